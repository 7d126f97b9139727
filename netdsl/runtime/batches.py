"""Batches: which samples come together, and as which numbers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from netdsl.random import permutation
from netdsl.runtime.ahead import ahead
from netdsl.runtime.samples import Samples

PIECE = 1024
"""How many samples are turned into doubles at a time when statistics are taken."""
PREPARED = 2**18
"""About so many bytes of numbers are prepared at a time: small batches several together."""


@dataclass(frozen=True)
class Normalization:
    """``(x - mean) / std`` for every channel, in ``float32``."""

    mean: np.ndarray
    std: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """A batch, normalised; the one that is given stays as it is."""
        each = (-1, *(1,) * (x.ndim - 2))
        made = x - self.mean.reshape(each)
        made /= self.std.reshape(each)
        return made


@dataclass(frozen=True)
class Batches:
    """Samples in batches of ``size``; the last one is smaller where it does not divide evenly.

    The inputs that have a normalization get it. A thread prepares batches while those before are
    used, unless there are few samples: close the generators (`contextlib.closing`), so that it ends
    with them.
    """

    samples: Samples
    size: int
    normalizations: Mapping[str, Normalization] = field(default_factory=dict)

    def __len__(self) -> int:
        return -(-len(self.samples) // self.size)

    def in_order(self) -> Generator[Samples, None, None]:
        """All samples as they stand: for evaluation."""
        return self._prepared(self._pieces(lambda piece: piece))

    def shuffled(self, seed: int, epoch: int, epochs: int = 1) -> Generator[Samples, None, None]:
        """All samples in the order of an epoch: for training; then in that of the next ones."""
        turns = range(epoch, epoch + epochs)
        orders = (order(len(self.samples), seed, turn) for turn in turns)
        return self._prepared(piece for each in orders for piece in self._pieces(each.__getitem__))

    def _pieces(
        self, picked: Callable[[slice], slice | np.ndarray]
    ) -> Generator[list[Samples], None, None]:
        """The batches of an epoch, some at a time; what is done to them is done here.

        The place of a batch in the epoch is known, so that it may depend on seed and step.
        """
        step = self._together() * self.size
        for start in range(0, len(self.samples), step):
            made = batch(self.samples, picked(slice(start, start + step)))
            normal = {n: one.apply(made.inputs[n]) for n, one in self.normalizations.items()}
            made = replace(made, inputs={**made.inputs, **normal})
            yield [made.part(i, i + self.size) for i in range(0, len(made), self.size)]

    def _together(self) -> int:
        """How many batches are prepared at a time."""
        sample = sum(4 * array[0].size for array in self.samples.inputs.values())
        return max(1, PREPARED // (sample * self.size))

    def _prepared(
        self, pieces: Generator[list[Samples], None, None]
    ) -> Generator[Samples, None, None]:
        if len(self) > self._together():
            return ahead(pieces)
        return (made for piece in pieces for made in piece)


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the samples in an epoch: a function of seed and epoch alone."""
    return permutation(count, seed, "order", epoch)


def batch(samples: Samples, indices: slice | np.ndarray) -> Samples:
    """The samples at these indices, with inputs as `numbers` of the network.

    Those of a slice may be views of what is stored.
    """
    inputs = {name: numbers(array[indices]) for name, array in samples.inputs.items()}
    return Samples(inputs, None if samples.target is None else samples.target[indices])


def numbers(x: np.ndarray) -> np.ndarray:
    """Stored samples as a network reads them: contiguous ``float32``, ``uint8`` divided by 255.

    Signed whole numbers are indices, of words for instance, and stay what they are.
    """
    if x.dtype.kind == "i":
        return x
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32)
    return np.ascontiguousarray(x, np.float32)


def normalization(x: np.ndarray) -> Normalization:
    """Mean and standard deviation of every channel of an input, as `numbers` of the network.

    Summed in double precision in a fixed order. A channel that never changes gets the deviation 1,
    and so becomes zero.
    """
    axes = (0, *range(2, x.ndim))
    each = (1, -1, *(1,) * (x.ndim - 2))
    count = x.size // x.shape[1]
    mean = sum(piece.sum(axes) for piece in _pieces(x)) / count
    square = sum(((piece - mean.reshape(each)) ** 2).sum(axes) for piece in _pieces(x)) / count
    std = np.where(square > 0, np.sqrt(square), 1.0)
    return Normalization(mean.astype(np.float32), std.astype(np.float32))


def stored(normalizations: Mapping[str, Normalization]) -> dict[str, np.ndarray]:
    """Normalizations by the names of their inputs as arrays of a checkpoint."""
    made: dict[str, np.ndarray] = {}
    for name, normal in normalizations.items():
        mean, std = _keys(name)
        made |= {mean: normal.mean, std: normal.std}
    return made


def restored(arrays: Mapping[str, np.ndarray], inputs: Iterable[str]) -> dict[str, Normalization]:
    """What `stored` has put among the arrays; ValueError if it is not of these inputs."""
    made: dict[str, Normalization] = {}
    left = {key for key in arrays if key.startswith("normalization/")}
    for name in inputs:
        if left.issuperset(_keys(name)):
            made[name] = Normalization(*(arrays[key] for key in _keys(name)))
            left.difference_update(_keys(name))
    if left:
        raise ValueError(f"{min(left)} is of no input of it")
    return made


def _keys(name: str) -> tuple[str, str]:
    return f"normalization/{name}/mean", f"normalization/{name}/std"


def _pieces(x: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(x), PIECE):
        yield numbers(x[np.arange(start, min(start + PIECE, len(x)))]).astype(np.float64)
