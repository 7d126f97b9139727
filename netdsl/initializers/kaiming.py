"""He initialisation."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from netdsl.arguments import NonNegative
from netdsl.op import Initializer


class Kaiming(Initializer, name="kaiming"):
    """``std = gain / sqrt(fan)``: keeps the variance through ReLU layers.

    He et al. 2015, "Delving deep into rectifiers". ``fan`` chooses the forward or backward pass.
    """

    distribution: Literal["uniform", "normal"] = "uniform"
    gain: NonNegative = sqrt(2)
    fan: Literal["in", "out"] = "in"

    examples = (("kaiming",), ("kaiming(normal, gain=1, fan=out)",))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        std = self.gain / sqrt(fan_in if self.fan == "in" else fan_out)
        return self.distribution, std * sqrt(3) if self.distribution == "uniform" else std
