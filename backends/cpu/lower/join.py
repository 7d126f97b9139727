"""Sums of branches, and channels side by side."""

from __future__ import annotations

from netdsl.backends.cpu.join import combine
from netdsl.backends.cpu.lower.clamp import follows
from netdsl.backends.cpu.lower.lazy import Lazy, counted
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.ops.add import Add
from netdsl.ops.concat import Concat
from netdsl.schedule import Call, Operand, Place


def add_forward(low: Lowering, call: Call) -> bool:
    """``y = a + b`` in one pass, with normalisations on the branches and an activation behind."""
    reads = call.reads["xs"]
    assert isinstance(reads, tuple)
    if len(reads) != 2 or call.out.buffer not in low.last:
        return False
    out, lo, hi = follows(low, call.out.buffer)
    named: dict[str, Operand | None] = {}
    numbers: dict[str, int | float] = {}
    for name, read in zip("ab", reads, strict=True):
        lazy = low.lazy.get(read.buffer)
        if lazy and lazy.ref:
            low.store(read.buffer)
        source = low.source(read.buffer)
        named |= {name: source.x, f"{name}_coef": source.coef}
        numbers |= {f"{name}_step": source.step, f"{name}_lo": source.lo, f"{name}_hi": source.hi}
    low.emit(
        combine,
        low.operand(out),
        named,
        {
            **counted(out), "step": low.step(out), "lo": lo, "hi": hi, **numbers,
        },
    )  # fmt: skip
    return True


def add_backward(low: Lowering, call: Call) -> bool:
    """``dx = dy``: the same numbers, under another name."""
    dy = call.reads["dy"].buffer  # type: ignore[union-attr]
    if dy not in low.last:
        return False
    if call.add:
        low.store(call.out.buffer)
        low.spread(low.source(dy), call.out.buffer, 1)
    else:
        low.lazy[call.out.buffer] = low.lazy.get(dy, Lazy(dy))
    return True


def concat_forward(low: Lowering, call: Call) -> bool:
    """Channels side by side: what has not been made in its place is copied there."""
    reads = call.reads["xs"]
    assert isinstance(reads, tuple)
    whole, start = call.out.buffer, 0
    if whole not in low.last:
        return False
    for read in reads:
        here = low.place(whole)
        place = Place(here.host, here.first + start)
        if low.places.get(read.buffer) == place:
            low.store(read.buffer)
        else:
            part = low.part(whole, read.buffer.tensor, place, start)
            low.spread(low.source(read.buffer), part, 0)
        start += read.buffer.tensor.channels
    return True


def concat_backward(low: Lowering, call: Call) -> bool:
    """The gradient of a part lies among the channels of the whole's."""
    dy = call.reads["dy"].buffer  # type: ignore[union-attr]
    if dy not in low.last:
        return False
    low.store(dy)
    start, into = int(call.passed["first"]), call.out.buffer  # type: ignore[arg-type]
    here = low.place(dy)
    place = Place(here.host, here.first + start)
    if not call.add and into in low.last and low.settle(into, place):
        return True
    part = low.part(dy, into.tensor, place, start)
    if call.add:
        low.store(into)
    low.spread(low.source(part), into, int(call.add))
    return True


RULES = {
    (Add, "y"): add_forward,
    (Add, "dx"): add_backward,
    (Concat, "y"): concat_forward,
    (Concat, "dx"): concat_backward,
}
