"""A compiled network in Python: ``fit``, ``evaluate`` and ``predict`` on numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.data import Split
from netdsl.errors import RunError
from netdsl.recipe import Recipe
from netdsl.runtime.batches import Batches, Normalization, normalization
from netdsl.runtime.checkpoint import load, save
from netdsl.runtime.trainer import Watch, score, taken, train


class Model:
    """A network with its weights in memory, over the generated module's ``engine``.

    Inputs are arrays of shape (samples, channels, height, width); ``uint8`` pictures are divided by
    255. Targets of a classifier are class numbers.
    """

    def __init__(self, engine: Any, recipe: Recipe | None) -> None:
        self.engine = engine
        self.recipe = recipe
        self.normalization: Normalization | None = None

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray | None = None,
        validation: tuple[np.ndarray, np.ndarray | None] | None = None,
        epochs: int | None = None,
        watch: Watch | None = None,
    ) -> list[dict[str, float]]:
        """Train by the recipe of the file; returns the figures of every epoch.

        ``validation`` is a pair of samples and targets to watch. Targets may be left out where the
        losses only compare tensors of the network. Raises ValueError before the first step if the
        arrays do not suit the network, and `RunError` E503 if the loss stops being a number.
        """
        recipe = self.needs_recipe()
        most = self.engine.batch
        if recipe.batch > most:
            raise ValueError(f"the recipe's batch is {recipe.batch}; this model takes {most}")
        samples = self._split(x, y)
        held = self._split(*validation) if validation else None
        if recipe.normalize == "per_channel":
            if samples.x.dtype.kind == "i":
                raise ValueError("normalize = per_channel wants real numbers, the input has words")
            self.normalization = normalization(samples)
        return train(self.engine, recipe, samples, held, self.normalization, epochs, watch)

    def evaluate(self, x: np.ndarray, y: np.ndarray | None = None) -> dict[str, float]:
        """The mean loss and the metrics of the recipe over samples and targets."""
        recipe = self.needs_recipe()
        split = self._split(x, y)
        return score(self.engine, Batches(split, self.engine.batch, self.normalization), recipe)

    def predict(self, x: np.ndarray) -> Any:
        """The outputs for samples: an array, or a dictionary by name if there are several.

        A classifier without a softmax layer gives logits.
        """
        (checked,) = self._one_input().check(x, target=False)
        split = Split(self._samples(checked), np.zeros(len(checked), np.int64))
        made = [
            self.engine.forward(samples)
            for samples, _ in Batches(split, self.engine.batch, self.normalization).in_order()
        ]
        if isinstance(made[0], dict):
            return {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        return np.concatenate(made)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """A copy of every weight by its name: ``conv1.weight``."""
        return self.engine.parameters()

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write weights, statistics and what the optimizer keeps as a safetensors file."""
        arrays = dict(self.engine.snapshot())
        if self.normalization:
            arrays["normalization/mean"] = self.normalization.mean
            arrays["normalization/std"] = self.normalization.std
        save(Path(path), arrays, metadata or {})

    def load(self, path: str | Path) -> dict[str, str]:
        """Take the weights of a file that `save` wrote; returns its texts."""
        arrays, metadata = load(Path(path))
        try:
            self.engine.restore(arrays)
        except ValueError as error:
            raise RunError("E504", f"{path} does not fit this network: {error}") from error
        self.normalization = None
        if "normalization/mean" in arrays:
            mean, std = arrays["normalization/mean"], arrays["normalization/std"]
            self.normalization = Normalization(mean, std)
        return metadata

    def _split(self, x: np.ndarray, y: np.ndarray | None) -> Split:
        """Samples and targets in the shapes of the network; ValueError if they do not suit."""
        given = [x] if y is None else taken(self.engine, x, y)
        checked = self._one_input().check(*given)
        unused = np.zeros(len(checked[0]), np.int64)
        return Split(self._samples(checked[0]), checked[1] if len(checked) > 1 else unused)

    def _samples(self, x: np.ndarray) -> np.ndarray:
        """Samples as batches want them: signed whole numbers are those of a network of words."""
        if self.engine.INPUTS[0][2] == "int":
            return x.astype(np.int32)
        return x.astype(np.float32) if x.dtype.kind == "i" else x

    def _one_input(self) -> Any:
        """The engine, of a network with one input."""
        names = [name for name, *_ in self.engine.INPUTS]
        if len(names) > 1:
            raise ValueError(
                f"fit, evaluate and predict take one input, this network has {', '.join(names)}: "
                "call engine.train_step, engine.loss and engine.forward"
            )
        return self.engine

    def needs_recipe(self) -> Recipe:
        """The recipe; RunError E505 if the file has none."""
        if self.recipe is None:
            help = "write: train { optimizer = sgd(lr=0.1) loss = cross_entropy }, a key a line"
            raise RunError("E505", "the file has no train section", help=help)
        return self.recipe
