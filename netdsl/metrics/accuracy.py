"""Accuracy."""

from __future__ import annotations

import numpy as np

from netdsl.op import Metric, class_scores


class Accuracy(Metric, name="accuracy"):
    """``mean(argmax over classes of prediction == target)``, over all positions of a sample.

    A single logit says class 1 where it is above 0.
    """

    examples = (("accuracy",),)

    def score(self, prediction: np.ndarray, target: np.ndarray) -> float:
        prediction = class_scores(prediction)
        right = prediction.argmax(axis=1) == target[:, 0]
        # A prediction that is no number is never right, wherever argmax finds it.
        if (unknown := np.isnan(prediction)).any():
            right &= ~unknown.any(axis=1)
        return np.count_nonzero(right) * len(right) / right.size
