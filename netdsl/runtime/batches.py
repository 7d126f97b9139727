"""Batches: which samples come together, and as which numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netdsl.data import Split
from netdsl.random import permutation

Batch = tuple[np.ndarray, np.ndarray]
PIECE = 1024
"""How many samples are turned into doubles at a time when statistics are taken."""


@dataclass(frozen=True)
class Normalization:
    """``(x - mean) / std`` for every channel, in ``float32``."""

    mean: np.ndarray
    std: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Normalise a batch in place, and return it."""
        each = (-1, *(1,) * (x.ndim - 2))
        x -= self.mean.reshape(each)
        x /= self.std.reshape(each)
        return x


@dataclass(frozen=True)
class Batches:
    """A split in batches of ``size``; the last one is smaller where it does not divide evenly."""

    split: Split
    size: int
    normalization: Normalization | None = None

    def __len__(self) -> int:
        return -(-len(self.split) // self.size)

    def in_order(self) -> Iterator[Batch]:
        """All samples as they stand: for evaluation."""
        return self._along(np.arange(len(self.split)))

    def shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        """All samples in the order of an epoch: for training."""
        return self._along(order(len(self.split), seed, epoch))

    def _along(self, indices: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(indices), self.size):
            x, y = batch(self.split, indices[start : start + self.size])
            yield (self.normalization.apply(x) if self.normalization else x), y


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the samples in an epoch: a function of seed and epoch alone."""
    return permutation(count, seed, "order", epoch)


def batch(split: Split, indices: np.ndarray) -> Batch:
    """The samples at these indices: ``x`` contiguous ``float32``, ``uint8`` divided by 255.

    Signed whole numbers are indices of words and stay what they are.
    """
    x, y = split.x[indices], split.y[indices]
    if x.dtype.kind == "i":
        return x, y
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32), y
    return np.ascontiguousarray(x, np.float32), y


def normalization(split: Split) -> Normalization:
    """Mean and standard deviation of every channel, of the values as `batch` gives them.

    Summed in double precision in a fixed order. A channel that never changes gets the deviation 1,
    and so becomes zero.
    """
    axes = (0, *range(2, split.x.ndim))
    each = (1, -1, *(1,) * (split.x.ndim - 2))
    count = split.x.size // split.x.shape[1]
    mean = sum(x.sum(axes) for x in _pieces(split)) / count
    square = sum(((x - mean.reshape(each)) ** 2).sum(axes) for x in _pieces(split)) / count
    std = np.where(square > 0, np.sqrt(square), 1.0)
    return Normalization(mean.astype(np.float32), std.astype(np.float32))


def _pieces(split: Split) -> Iterator[np.ndarray]:
    for start in range(0, len(split), PIECE):
        yield batch(split, np.arange(start, min(start + PIECE, len(split))))[0].astype(np.float64)
