"""Data sets: samples with their targets, in the splits that a training wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netdsl.op import Op


@dataclass(frozen=True)
class Split:
    """Samples and their targets: ``x`` of shape (samples, channels, height, width), ``y`` classes.

    Pictures stay ``uint8`` as they were stored; whoever makes a batch of them divides by 255.
    What is ``float32`` already is taken as it is.
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Data:
    """A data set: what to train on, what to watch, what to report at the end."""

    train: Split
    val: Split | None
    test: Split
    classes: tuple[str, ...]


class Dataset(Op, kind="dataset"):
    """Where samples come from."""

    def load(self, seed: int) -> Data:
        """Read it; ``seed`` decides random splits. Raises `DataError` if it is not to be found."""
        raise NotImplementedError
