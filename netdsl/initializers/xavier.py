"""Glorot initialisation."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from netdsl.arguments import NonNegative
from netdsl.op import Initializer


class Xavier(Initializer, name="xavier"):
    """``std = gain * sqrt(2 / (fan_in + fan_out))``: keeps the variance forward and backward.

    Glorot and Bengio 2010; for layers followed by tanh, sigmoid or nothing.
    """

    distribution: Literal["uniform", "normal"] = "uniform"
    gain: NonNegative = 1.0

    examples = (("xavier",), ("xavier(normal, gain=2)",))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        std = self.gain * sqrt(2 / (fan_in + fan_out))
        return self.distribution, std * sqrt(3) if self.distribution == "uniform" else std
