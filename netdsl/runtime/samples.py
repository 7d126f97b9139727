"""Samples: arrays for the inputs of a network, and what the losses compare with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray]
"""Samples as users give them: by the names of the inputs, in their order, or of the one input."""


@dataclass(frozen=True)
class Samples:
    """Equally many samples of every input, in the order of the file, with their targets.

    There is no ``target`` where losses only compare tensors of the network, or none is measured.
    """

    inputs: Mapping[str, np.ndarray]
    target: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The arrays as an engine takes them: the inputs, then the target."""
        yield from self.inputs.values()
        if self.target is not None:
            yield self.target

    def part(self, start: int, stop: int) -> Samples:
        """The samples from ``start`` to before ``stop``, as views."""
        target = None if self.target is None else self.target[start:stop]
        return Samples({name: x[start:stop] for name, x in self.inputs.items()}, target)


def read(engine: Any, x: Arrays, y: np.ndarray | None = None) -> Samples:
    """What training and evaluation take, in the shapes of the network; ValueError if it misfits."""
    inputs = named(x, [name for name, *_ in engine.INPUTS])
    if engine.TARGET is None:
        return Samples(_stored(engine, inputs, engine.check(*inputs.values())))
    if y is None:
        raise ValueError(f"y is missing: the loss compares with {_what(*engine.TARGET)}")
    *arrays, target = engine.check(*inputs.values(), y)
    return Samples(_stored(engine, inputs, arrays), target)


def read_inputs(engine: Any, x: Arrays) -> Samples:
    """What prediction takes; a dictionary may hold the other inputs too."""
    inputs = named(x, [name for name, *_ in engine.wanted(target=False)], engine.UNREAD)
    return Samples(_stored(engine, inputs, engine.check(*inputs.values(), target=False)))


def named(x: Arrays, wanted: Sequence[str], beside: Sequence[str] = ()) -> dict[str, Any]:
    """Arrays by the names of the inputs that are ``wanted``; ValueError if they are others.

    A network has the inputs ``beside`` too; a dictionary may hold them. A list is an array for each
    input, but that of a network with one input is its samples.
    """
    names = ", ".join(wanted)
    if isinstance(x, Mapping):
        if unknown := ", ".join(str(name) for name in x if name not in {*wanted, *beside}):
            raise ValueError(f"no input is called {unknown}: this takes {names}")
        if missing := ", ".join(name for name in wanted if name not in x):
            raise ValueError(f"no array for {missing}: this takes {names}")
        return {name: x[name] for name in wanted}
    several = len(wanted) + len(beside) > 1
    if not (several and isinstance(x, (list, tuple))):
        if len(wanted) > 1:
            help = "give a dictionary by their names, or a list in this order"
            raise ValueError(f"one array for {len(wanted)} inputs, {names}: {help}")
        return {wanted[0]: x}
    if len(x) != len(wanted):
        raise ValueError(
            f"the list has the length {len(x)}; an array is wanted for each of {names}"
        )
    return dict(zip(wanted, x, strict=True))


def _stored(
    engine: Any, names: Iterable[str], arrays: Iterable[np.ndarray]
) -> dict[str, np.ndarray]:
    """Checked arrays as batches want them: signed whole numbers are indices."""
    whole = {name for name, _, kind, _ in engine.INPUTS if kind == "int"}
    made: dict[str, np.ndarray] = {}
    for name, array in zip(names, arrays, strict=True):
        signed = array.astype(np.float32) if array.dtype.kind == "i" else array
        made[name] = array.astype(np.int32) if name in whole else signed
    return made


def _what(name: str, sizes: tuple[int, ...], kind: str, classes: int | None) -> str:
    """What an array must hold, in words."""
    shape = ", ".join(map(str, ("samples", *sizes)))
    numbers = f"class numbers from 0 to {classes - 1}" if kind == "int" and classes else "numbers"
    return f"a {name}, {numbers} of shape ({shape})"
