"""What is known of a tensor before it exists: its sizes, its element type, its batch axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from netdsl.errors import Problem


class DType(StrEnum):
    """Element types: ``real`` is the network's precision, ``int`` holds classes and indices."""

    REAL = "real"
    INT = "int"


@dataclass(frozen=True, slots=True)
class Tensor:
    """The type of a tensor: channels first, then space; the batch axis is not in ``dims``.

    A picture is ``Tensor((3, 224, 224))``, a vector ``Tensor((84,))``, a class ``Tensor((), INT)``.
    ``batch`` is false for what all samples share: weights, statistics.
    """

    dims: tuple[int, ...]
    dtype: DType = DType.REAL
    batch: bool = True

    @property
    def size(self) -> int:
        """The number of elements (of one sample, if there is a batch)."""
        return prod(self.dims)

    @property
    def channels(self) -> int:
        """The first axis: channels of a picture, features of a vector."""
        return self.dims[0]

    @property
    def spatial(self) -> tuple[int, ...]:
        """The axes after the channels: ``(height, width)`` of a picture."""
        return self.dims[1:]

    def __str__(self) -> str:
        return dims_text(self.dims)


def dims_text(dims: tuple[int, ...]) -> str:
    """``3x224x224``, as the language spells it; ``scalar`` if there are no axes."""
    return "x".join(map(str, dims)) or "scalar"


def agree(what: str, tensors: tuple[Tensor, ...]) -> Tensor:
    """The one type of several tensors; raises `Problem` if they differ."""
    for tensor in tensors[1:]:
        if tensor != tensors[0]:
            raise Problem(
                f"{what} joins equal shapes, not {tensors[0]} and {tensor}",
                help="make every branch end with the same channels and sizes",
            )
    return tensors[0]


View = Callable[[Tensor], tuple[int, ...]]
"""How a kernel sees a tensor: the shape to reshape it to; the batch axis is -1."""


def as_is(tensor: Tensor) -> tuple[int, ...]:
    """The logical shape: ``(batch, *dims)``."""
    return (-1, *tensor.dims) if tensor.batch else tensor.dims


def flat(tensor: Tensor) -> tuple[int, ...]:
    """One axis: what elementwise kernels see."""
    return (-1,)


def rows(tensor: Tensor) -> tuple[int, ...]:
    """``(batch, element)``; what all samples share is one row."""
    return (-1, tensor.size) if tensor.batch else (tensor.size,)


def by_channel(tensor: Tensor) -> tuple[int, ...]:
    """``(batch, channel, position)``: space in one axis. What has no batch stays as it is."""
    if not tensor.batch:
        return tensor.dims
    return (-1, *tensor.dims[:1], prod(tensor.dims[1:])) if tensor.dims else (-1, 1, 1)


def in_space(tensor: Tensor) -> tuple[int, ...]:
    """``(batch, channel, depth, height, width)``; axes that the tensor lacks have extent one.

    Kernels of any spatial rank are so written once, for three. Weights get ``(out, in, depth,
    height, width)``; vectors stay as they are.
    """
    dims = as_is(tensor)
    return dims if len(dims) < 3 else (*dims[:2], *(1,) * (5 - len(dims)), *dims[2:])
