"""Constant initialisation."""

from __future__ import annotations

from netdsl.arguments import Real
from netdsl.op import Initializer


class Constant(Initializer, name="constant"):
    """``w = value``."""

    value: Real

    examples = (("constant(0.5)",), ("constant(value=-1)",))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "constant", self.value
