"""A compiled network in Python: ``fit``, ``evaluate`` and ``predict`` on numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.errors import RunError
from netdsl.recipe import Recipe
from netdsl.runtime.batches import Batches, Normalization, normalization, restored, stored
from netdsl.runtime.checkpoint import load, save
from netdsl.runtime.samples import Arrays, Samples, read, read_inputs
from netdsl.runtime.trainer import Watch, score, train


class Model:
    """A network with its weights in memory, over the generated module's ``engine``.

    Inputs are arrays of shape (samples, channels, height, width); ``uint8`` pictures are divided by
    255. Several inputs are a dictionary by their names, or a list in the order of the file. Targets
    of a classifier are class numbers.
    """

    def __init__(self, engine: Any, recipe: Recipe | None) -> None:
        self.engine = engine
        self.recipe = recipe
        self.normalizations: dict[str, Normalization] = {}

    def fit(
        self,
        x: Arrays,
        y: np.ndarray | None = None,
        validation: tuple[Arrays] | tuple[Arrays, np.ndarray | None] | None = None,
        epochs: int | None = None,
        watch: Watch | None = None,
    ) -> list[dict[str, float]]:
        """Train by the recipe of the file; returns the figures of every epoch.

        ``validation`` is a pair of samples and targets to watch. Where the losses only compare
        tensors of the network, such as an input that they alone read, targets are not read and may
        be left out. With ``normalize = per_channel`` each input of real numbers that the outputs
        depend on is normalised by its own channels. Raises ValueError before the first step if the
        arrays do not suit the network, and `RunError` E503 if the loss stops being a number.
        """
        recipe = self.needs_recipe()
        most = self.engine.batch
        if recipe.batch > most:
            raise ValueError(f"the recipe's batch is {recipe.batch}; this model takes {most}")
        samples = read(self.engine, x, y)
        held = None if validation is None else self._held(validation)
        if recipe.normalize == "per_channel":
            self.normalizations = self._normalizations(samples)
        return train(self.engine, recipe, samples, held, self.normalizations, epochs, watch)

    def evaluate(self, x: Arrays, y: np.ndarray | None = None) -> dict[str, float]:
        """The mean loss and the metrics of the recipe over samples and targets."""
        recipe = self.needs_recipe()
        samples = read(self.engine, x, y)
        return score(self.engine, Batches(samples, self.engine.batch, self.normalizations), recipe)

    def predict(self, x: Arrays) -> Any:
        """The outputs for samples: an array, or a dictionary by name if there are several.

        It takes the inputs that the outputs depend on; a dictionary may hold the others too. A
        classifier without a softmax layer gives logits.
        """
        batches = Batches(read_inputs(self.engine, x), self.engine.batch, self.normalizations)
        with closing(batches.in_order()) as prepared:
            made = [self.engine.forward(*batch) for batch in prepared]
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
        save(Path(path), arrays | stored(self.normalizations), metadata or {})

    def load(self, path: str | Path) -> dict[str, str]:
        """Take the weights of a file that `save` wrote; returns its texts."""
        arrays, metadata = load(Path(path))
        try:
            kept = restored(arrays, [name for name, *_ in self.engine.INPUTS])
            self.engine.restore(arrays)
        except ValueError as error:
            raise RunError("E504", f"{path} does not fit this network: {error}") from error
        self.normalizations = kept
        return metadata

    def _held(self, pair: Sequence[Any]) -> Samples:
        """The samples to watch."""
        if not isinstance(pair, (tuple, list)) or len(pair) not in (1, 2):
            raise ValueError("validation is a pair: the inputs and their targets")
        try:
            return read(self.engine, *pair)
        except ValueError as error:
            raise ValueError(f"validation: {error}") from error

    def _normalizations(self, samples: Samples) -> dict[str, Normalization]:
        """Those of the inputs of real numbers; what only losses read is left as it is."""
        inputs = self.engine.wanted(target=False)
        names = [name for name, _, kind, _ in inputs if kind != "int"]
        if not names:
            raise ValueError("normalize = per_channel wants real numbers, the input has words")
        return {name: normalization(samples.inputs[name]) for name in names}

    def needs_recipe(self) -> Recipe:
        """The recipe; RunError E505 if the file has none."""
        if self.recipe is None:
            help = "write: train { optimizer = sgd(lr=0.1) loss = cross_entropy }, a key a line"
            raise RunError("E505", "the file has no train section", help=help)
        return self.recipe
