"""Tensors that are lazy while calls are lowered, and what kernels are told of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod

from netdsl.schedule import Buffer, Number, Operand, Scaled, Symbol

COUNT = Symbol("count")


@dataclass(frozen=True)
class Lazy:
    """A tensor that is made from others while it is read: see `netdsl.backends.cpu.lazy`."""

    x: Buffer
    ref: Buffer | None = None
    coef: Buffer | None = None
    lo: float = -inf
    hi: float = inf

    def needs(self) -> set[Buffer]:
        """What it is made from."""
        return {b for b in (self.x, self.ref, self.coef) if b is not None}


class Lazies(dict[Buffer, Lazy]):
    """The tensors that are lazy now; ``needing`` tells which of them are made from a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.needing: dict[Buffer, dict[Buffer, None]] = {}

    def __setitem__(self, buffer: Buffer, lazy: Lazy) -> None:
        if buffer in self:
            del self[buffer]
        super().__setitem__(buffer, lazy)
        for need in lazy.needs():
            self.needing.setdefault(need, {})[buffer] = None

    def forget(self, buffer: Buffer) -> None:
        """It is not lazy any more, if it was."""
        if buffer in self:
            del self[buffer]

    def __delitem__(self, buffer: Buffer) -> None:
        for need in self[buffer].needs():
            del self.needing[need][buffer]
        super().__delitem__(buffer)


@dataclass(frozen=True)
class Source:
    """A tensor as a kernel is told of it: three arrays and the distances of positions."""

    x: Operand
    ref: Operand | None
    coef: Operand | None
    step: int
    ref_step: int
    lo: float
    hi: float


def counted(buffer: Buffer) -> dict[str, Number]:
    """How many positions all images have, and how many channels a position."""
    tensor = buffer.tensor
    return {"count": Scaled(prod(tensor.dims[1:])), "c": tensor.channels}
