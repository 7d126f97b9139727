"""Zero initialisation."""

from __future__ import annotations

from netdsl.op import Initializer


class Zeros(Initializer, name="zeros"):
    """``w = 0``: for biases."""

    examples = (("zeros",),)

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "constant", 0.0
