"""One initialisation."""

from __future__ import annotations

from netdsl.op import Initializer


class Ones(Initializer, name="ones"):
    """``w = 1``: for scales."""

    examples = (("ones",),)

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "constant", 1.0
