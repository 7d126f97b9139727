"""A learning rate that falls in steps."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.op import Schedule


class Step(Schedule, name="step"):
    """``rate = lr * factor**(how many of at are over)`` (He et al. 2015).

    - ``at``: epochs from the start of training, warm-up included: with ``[82]`` epochs 0 to 81 have
      the full rate
    - ``factor``: what the rate is multiplied with at each of them
    """

    at: tuple[NonNegative, ...]
    factor: NonNegative = 0.1
    warmup: NonNegative = 0.0

    synonyms = {"milestones": "at", "gamma": "factor", "warmup_epochs": "warmup"}
    examples = (("step(at=[2, 4])",), ("step([1.5, 3], factor=0.5, warmup=1)",))

    def multiplier(self, epoch: float, epochs: int) -> float:
        return self.warmed(epoch, self.warmup) * self.factor ** sum(
            place <= epoch for place in self.at
        )
