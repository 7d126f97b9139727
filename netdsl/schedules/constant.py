"""A constant learning rate."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.op import Schedule


class Constant(Schedule, name="constant"):
    """``rate = lr``, after a linear warm-up of so many epochs."""

    warmup: NonNegative = 0.0

    synonyms = {"warmup_epochs": "warmup"}
    examples = (("constant",), ("constant(warmup=2)",))

    def multiplier(self, epoch: float, epochs: int) -> float:
        return self.warmed(epoch, self.warmup)
