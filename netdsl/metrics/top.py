"""Top-k accuracy."""

from __future__ import annotations

import numpy as np

from netdsl.arguments import Count
from netdsl.op import Metric, class_scores


class Top(Metric, name="top"):
    """``mean(target is among the k largest of prediction)`` (Russakovsky et al. 2015).

    Of equal predictions the earlier class counts as larger, so that ``top(1)`` is accuracy; what
    is not a number is larger than any.

    - ``k``: how many guesses count
    """

    k: Count = 5

    examples = (("top",), ("top(2)",))

    def score(self, prediction: np.ndarray, target: np.ndarray) -> float:
        prediction = class_scores(prediction)
        scores = prediction.reshape(*prediction.shape[:2], -1)
        wanted = target.reshape(len(target), 1, -1)
        own = np.take_along_axis(scores, wanted, axis=1)
        classes = np.arange(scores.shape[1])[:, None]
        ahead = np.where(classes < wanted, ~(scores < own), ~(scores <= own)) & (classes != wanted)
        right = ahead.sum(axis=1) < self.k
        return float(right.mean(axis=1).sum())
