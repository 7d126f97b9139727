"""A learning rate that falls along a cosine."""

from __future__ import annotations

from math import cos, pi

from netdsl.arguments import Fraction, NonNegative
from netdsl.op import Schedule


class Cosine(Schedule, name="cosine"):
    """``rate = lr * (floor + (1 - floor) * (1 + cos(pi * done)) / 2)`` (Loshchilov, Hutter 2017).

    ``done`` is the part that is over of what follows the warm-up.

    - ``floor``: the part of the rate that is left at the end
    """

    warmup: NonNegative = 0.0
    floor: Fraction = 0.0

    synonyms = {"warmup_epochs": "warmup", "eta_min": "floor", "alpha": "floor"}
    examples = (("cosine",), ("cosine(warmup=1, floor=0.1)",))

    def multiplier(self, epoch: float, epochs: int) -> float:
        if epoch < self.warmup:
            return self.warmed(epoch, self.warmup)
        rest = epochs - self.warmup
        done = min(1.0, (epoch - self.warmup) / rest) if rest > 0 else 1.0
        return self.floor + (1 - self.floor) * (1 + cos(pi * done)) / 2
