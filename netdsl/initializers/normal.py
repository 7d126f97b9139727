"""Normal initialisation."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.op import Initializer


class Normal(Initializer, name="normal"):
    """``w ~ N(0, std**2)``: the same for every layer (Krizhevsky et al. 2012)."""

    std: NonNegative = 0.01

    synonyms = {"stddev": "std"}
    examples = (("normal",), ("normal(0.02)",))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "normal", self.std
