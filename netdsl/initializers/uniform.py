"""Uniform initialisation."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.op import Initializer


class Uniform(Initializer, name="uniform"):
    """``w ~ U(-bound, bound)``: the same for every layer."""

    bound: NonNegative

    synonyms = {"maxval": "bound", "b": "bound"}
    examples = (("uniform(0.1)",),)

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "uniform", self.bound
