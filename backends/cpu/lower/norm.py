"""Batch normalisation: its statistics are taken where they are made, the rest while it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, prod

from netdsl.backends.cpu.join import join_backward
from netdsl.backends.cpu.lower.lazy import Lazy, counted
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.norm import (
    norm_backward,
    norm_backward_sums,
    norm_rows,
    norm_running,
    norm_statistics,
    norm_sums,
)
from netdsl.ops.bn import BatchNorm
from netdsl.schedule import Buffer, Call, Counted, Operand, Scaled


@dataclass(frozen=True)
class Known:
    """What the forward pass of a normalisation leaves for the backward pass."""

    x: Buffer
    coef: Buffer
    mean: Buffer
    var: Buffer


def reads(call: Call, name: str) -> Operand | None:
    """One tensor that a call reads, as it lies."""
    read = call.reads.get(name)
    assert not isinstance(read, tuple)
    return read and replace(read, view=(-1,), memory=True)


def buffer_of(call: Call, name: str) -> Buffer:
    """The buffer of a tensor that a call surely reads."""
    read = reads(call, name)
    assert read is not None
    return read.buffer


def regular(call: Call) -> bool:
    """Whether the channels of a normalisation are those of its tensor, which may be a flat one."""
    x = call.reads["x"]
    assert isinstance(x, Operand)
    return x.view[1] == x.buffer.tensor.channels


def rows_of(x: Buffer) -> Counted:
    """How many rows of sums a tensor has where they are taken by themselves."""
    size = (("count", Scaled(prod(x.tensor.dims[1:]))), ("c", x.tensor.channels))
    return Counted(norm_rows, size)


def sums_size(x: Buffer, each: int) -> int:
    """The most numbers that sums take for an image."""
    return norm_rows(prod(x.tensor.dims[1:]), x.tensor.channels) * each


def forward(low: Lowering, call: Call) -> bool:
    """All kernels of a normalisation at once: coefficients, and a value that is not there yet."""
    calls = low.of_owner(call)
    y = calls["y"]
    if not regular(y):
        return False
    if call.kernel.when == "train":
        x = buffer_of(call, "x")
        low.store(x)
        coef = statistics(low, x, calls)
    else:
        x = buffer_of(y, "x")
        low.store(x)
        coef = running(low, calls)
    low.take(*(calls[n] for n in ("mean", "var", "running_mean", "running_var", "y") if n in calls))
    low.lazy[y.out.buffer] = Lazy(x, coef=coef)
    return True


def statistics(low: Lowering, x: Buffer, calls: dict[str, Call]) -> Buffer:
    """Coefficients from the statistics of a batch."""
    y, c = calls["y"], x.tensor.channels
    sums, rows = low.notes.pop(("sums", x), (None, None))
    low.told.decide(y, why=f"statistics with {x.owner if sums else 'a kernel of its own'}")
    if sums is None:
        sums, rows = low.aux(y, "sums", sums_size(x, 2 * c + 1), batch=True), rows_of(x)
        numbers = {**counted(x), "x_step": low.step(x)}
        low.emit(norm_sums, low.operand(sums), {"x": low.operand(x)}, numbers)
    coef = low.aux(y, "coef", 5 * c)
    mean, var = calls["mean"].out.buffer, calls["var"].out.buffer
    low.emit(
        norm_statistics,
        low.operand(coef),
        {
            "mean": low.operand(mean), "var": low.operand(var),
            "running_mean": low.operand(calls["running_mean"].out.buffer),
            "running_var": low.operand(calls["running_var"].out.buffer),
            "sums": low.operand(sums), "weight": reads(y, "weight"), "bias": reads(y, "bias"),
        },
        {
            "rows": rows, "c": c, "eps": y.passed["eps"],
            "momentum": calls["running_mean"].passed["momentum"],
        },
    )  # fmt: skip
    low.notes[y.owner] = Known(x, coef, mean, var)
    return coef


def running(low: Lowering, calls: dict[str, Call]) -> Buffer:
    """Coefficients from the running statistics."""
    y = calls["y"]
    low.told.decide(y, why="running statistics")
    c = buffer_of(y, "x").tensor.channels
    coef = low.aux(y, "coef", 5 * c)
    low.emit(
        norm_running,
        low.operand(coef),
        {
            "running_mean": reads(calls["mean"], "running_mean"),
            "running_var": reads(calls["var"], "running_var"),
            "weight": reads(y, "weight"), "bias": reads(y, "bias"),
        },
        {"c": c, "eps": y.passed["eps"]},
        first=True,
    )  # fmt: skip
    return coef


def backward(low: Lowering, call: Call) -> bool:
    """All gradients of a normalisation: sums in one pass, and a gradient that is not there yet."""
    if call.owner not in low.notes:
        return False
    calls, known = low.of_owner(call), low.notes[call.owner]
    x, c = known.x, known.x.tensor.channels
    named = ("sum_dy", "sum_dy_x", "dx", "dweight", "dbias")
    low.take(*(calls[name] for name in named if name in calls))
    sums = low.aux(call, "sumsback", sums_size(x, 2 * c), batch=True)
    low.told.read(buffer_of(call, "dy"), call.owner)
    dy, lo, hi = summed(low, buffer_of(call, "dy"), sums, known)
    made = {n: low.operand(calls[n].out.buffer) if n in calls else None for n in named[3:]}
    adds = {int(calls[name].add) for name in named[3:] if name in calls} or {0}
    (add,) = adds
    weight = reads(calls["dx"], "weight") if "dx" in calls else None
    low.emit(
        norm_backward,
        low.operand(known.coef),
        {
            **made, "sums": low.operand(sums), "mean": low.operand(known.mean),
            "var": low.operand(known.var), "weight": weight,
        },
        {
            "rows": rows_of(x), **counted(x), "eps": calls["sum_dy_x"].passed["eps"], "add": add,
        },
    )  # fmt: skip
    if "dx" in calls:
        gradient(low, calls["dx"], Lazy(dy, ref=x, coef=known.coef, lo=lo, hi=hi))
    return True


def gradient(low: Lowering, call: Call, lazy: Lazy) -> None:
    """The gradient by what enters: made while it is read, unless it is added to another."""
    into = call.out.buffer
    if not call.add:
        low.lazy[into] = lazy
        return
    low.store(into)
    part = replace(into, name=f"{into.name}more")
    low.lazy[part] = lazy
    low.spread(low.source(part), into, 1)
    del low.lazy[part]


def summed(low: Lowering, dy: Buffer, sums: Buffer, known: Known) -> tuple[Buffer, float, float]:
    """Take the sums of a gradient; returns where it lies, and what of it passes."""
    lazy = low.lazy.get(dy, Lazy(dy))
    if lazy.ref and lazy.coef is None:
        joined(low, dy, lazy, sums, known)
        return low.lazy.get(dy, Lazy(dy)).x, -inf, inf
    if lazy.ref and lazy.coef != known.coef:
        low.store(dy)
        lazy = Lazy(dy)
    low.emit(
        norm_backward_sums,
        low.operand(sums),
        {
            "dy": low.operand(lazy.x), "x": low.operand(known.x),
            "coef": low.operand(known.coef), "mean": low.operand(known.mean),
        },
        {
            **counted(known.x), "y_step": low.step(lazy.x), "x_step": low.step(known.x),
            "lo": lazy.lo, "hi": lazy.hi,
        },
    )  # fmt: skip
    return lazy.x, lazy.lo, lazy.hi


def joined(low: Lowering, dy: Buffer, lazy: Lazy, sums: Buffer, known: Known) -> None:
    """The gradient before a sum with an activation behind it: written, and summed, in one pass.

    It is written over the gradient behind the activation, if nobody wants that any more.
    """
    same = [buffer for buffer, other in low.lazy.items() if other == lazy]
    into = dy if low.ahead(lazy.x) else lazy.x
    for buffer in same:
        del low.lazy[buffer]
    low.emit(
        join_backward,
        low.operand(into),
        {
            "sums": low.operand(sums), "dy": low.operand(lazy.x), "ref": low.operand(lazy.ref),  # type: ignore[arg-type]
            "x": low.operand(known.x), "coef": low.operand(known.coef),
            "mean": low.operand(known.mean),
        },
        {
            **counted(known.x), "step": low.step(into), "y_step": low.step(lazy.x),
            "ref_step": low.step(lazy.ref), "x_step": low.step(known.x),  # type: ignore[arg-type]
            "lo": lazy.lo, "hi": lazy.hi, "x_lo": -inf, "x_hi": inf,
        },
    )  # fmt: skip
    for buffer in same:
        if buffer != into:
            low.lazy[buffer] = Lazy(into)


RULES = {(BatchNorm, "mean"): forward, (BatchNorm, "sum_dy"): backward}
