"""Accuracy."""

from __future__ import annotations

import numpy as np

from netdsl.op import Metric


class Accuracy(Metric, name="accuracy"):
    """``mean(argmax over classes of prediction == target)``, over all positions of a sample."""

    examples = (("accuracy",),)

    def score(self, prediction: np.ndarray, target: np.ndarray) -> float:
        right = prediction.argmax(axis=1) == target[:, 0]
        return float(right.reshape(len(right), -1).mean(axis=1).sum())
