"""ReLU and its like: they become a part of what makes their input, or of what reads them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from netdsl.backends.cpu.lower.lazy import Lazy
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.op import Op
from netdsl.ops.relu import Relu
from netdsl.ops.relu6 import Relu6
from netdsl.schedule import Buffer, Call

BOUNDS: dict[type[Op], tuple[float, float]] = {Relu: (0.0, inf), Relu6: (0.0, 6.0)}
"""What lies between these numbers goes through, forward and backward; what is outside is cut."""


def forward(low: Lowering, call: Call) -> bool:
    """``y`` of a normalisation that is not there yet is no more there than that."""
    lazy = low.lazy.get(call.reads["x"].buffer)  # type: ignore[union-attr]
    if lazy is None or lazy.ref or lazy.coef is None or (lazy.lo, lazy.hi) != (-inf, inf):
        return False
    lo, hi = BOUNDS[type(call.op)]
    low.lazy[call.out.buffer] = replace(lazy, lo=lo, hi=hi)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dx`` is ``dy`` where the output shows that it came through, made while it is read."""
    y, dy = call.reads["y"].buffer, call.reads["dy"].buffer  # type: ignore[union-attr]
    if call.add:
        return False
    lo, hi = BOUNDS[type(call.op)]
    low.store(dy)
    seen = low.lazy.get(y)
    if seen is None:
        low.lazy[call.out.buffer] = Lazy(dy, ref=y, lo=lo, hi=hi)
    else:  # the coefficients of a normalisation: its backward pass has not begun
        low.lazy[call.out.buffer] = Lazy(dy, ref=seen.x, coef=seen.coef, lo=lo, hi=hi)
    return True


def follower(low: Lowering, made: Buffer) -> Call | None:
    """The activation that is all that reads a tensor, if it only cuts."""
    readers = low.ahead(made)
    if len(readers) != 1 or type(readers[0].op) not in BOUNDS or made in low.kept:
        return None
    return readers[0] if readers[0].kernel.makes == "y" else None


def follows(low: Lowering, made: Buffer) -> tuple[Buffer, float, float]:
    """Where a kernel shall write what it makes, and between which numbers it shall cut it.

    If all that reads it is one activation, the kernel does the activation's work too.
    """
    act = follower(low, made)
    if act is None:
        return made, -inf, inf
    low.take(act)
    return act.out.buffer, *BOUNDS[type(act.op)]


RULES = {(op, makes): rule for op in BOUNDS for makes, rule in (("y", forward), ("dx", backward))}
