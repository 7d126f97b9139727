"""The training loop: batches to steps, steps to epochs, figures on the way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np

from netdsl.errors import RunError
from netdsl.recipe import Recipe
from netdsl.runtime.batches import Batches, Normalization
from netdsl.runtime.samples import Samples

Figures = dict[str, float]


class Watch:
    """What a training tells while it goes; the methods do nothing until they are overridden."""

    def epoch(self, number: int, epochs: int, images: int) -> None:
        """Epoch ``number``, from 1, begins."""

    def batch(self, images: int, figures: Figures) -> None:
        """A step is done; the figures are those of the epoch so far."""

    def epoch_done(self, number: int, figures: Figures) -> None:
        """An epoch is over, its evaluation too."""


@dataclass
class Tally:
    """Sums over the samples of an epoch, and their means."""

    recipe: Recipe
    count: int = 0
    loss: float = 0.0
    scores: tuple[float, ...] = ()

    def add(self, loss: float, engine: Any, batch: Samples) -> None:
        """Count the batch that an engine has just computed."""
        self.count += len(batch)
        self.loss += loss * len(batch)
        if not self.recipe.metrics:
            return
        assert batch.target is not None, "a recipe with metrics has labels"
        prediction, labels = engine.scored(len(batch)), _labels(batch.target)
        new = [metric.score(prediction, labels) for metric in self.recipe.metrics]
        old = self.scores or (0.0,) * len(new)
        self.scores = tuple(a + float(b) for a, b in zip(old, new, strict=True))

    def figures(self, prefix: str = "") -> Figures:
        """The means so far, by name."""
        count = max(self.count, 1)
        names = [metric.column() for metric in self.recipe.metrics]
        scores = zip(names, self.scores or (0.0,) * len(names), strict=True)
        figures = {"loss": self.loss / count} | {name: total / count for name, total in scores}
        return {prefix + name: value for name, value in figures.items()}


def train(
    engine: Any,
    recipe: Recipe,
    samples: Samples,
    held: Samples | None,
    normal: Mapping[str, Normalization],
    epochs: int | None = None,
    watch: Watch | None = None,
) -> list[Figures]:
    """Train an engine by a recipe; returns the figures of every epoch."""
    watch = watch or Watch()
    epochs = recipe.epochs if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more, not {epochs}")
    batches = Batches(samples, recipe.batch, normal)
    history: list[Figures] = []
    with closing(batches.shuffled(engine.seed, 0, epochs)) as made:
        for epoch in range(epochs):
            watch.epoch(epoch + 1, epochs, len(samples))
            tally = Tally(recipe)
            for i, batch in enumerate(islice(made, len(batches))):
                rate = learning_rate(recipe, epoch + (i + 0.5) / len(batches), epochs)
                loss = engine.train_step(*batch, lr=rate)
                if not isfinite(loss):
                    raise _lost(engine.step, epoch + 1, loss, rate)
                tally.add(loss, engine, batch)
                watch.batch(len(batch), tally.figures())
            figures = tally.figures()
            if held is not None:
                held_batches = Batches(held, engine.batch, normal)
                figures |= score(engine, held_batches, recipe, "val_")
            history.append(figures)
            watch.epoch_done(epoch + 1, figures)
    return history


def learning_rate(recipe: Recipe, epoch: float, epochs: int) -> float:
    """The rate at a place of the training, by the recipe's schedule."""
    factor = recipe.schedule.multiplier(epoch, epochs) if recipe.schedule else 1.0
    return recipe.optimizer.lr * factor


def score(engine: Any, batches: Batches, recipe: Recipe, prefix: str = "") -> Figures:
    """The mean loss and the metrics over all samples, as evaluation sees them."""
    tally = Tally(recipe)
    with closing(batches.in_order()) as made:
        for batch in made:
            tally.add(engine.loss(*batch), engine, batch)
    return tally.figures(prefix)


def _labels(y: np.ndarray) -> np.ndarray:
    """Targets as metrics want them: one axis more than their samples."""
    return y[:, None] if y.ndim == 1 else y


def _lost(step: int, epoch: int, loss: float, rate: float) -> RunError:
    message = f"the loss became {loss} at step {step} (epoch {epoch}), learning rate {rate:g}"
    return RunError("E503", message, help="lower the learning rate, or warm it up")
