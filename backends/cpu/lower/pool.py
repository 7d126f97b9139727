"""Pooling: the largest or the mean of windows, or of whole pictures."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from netdsl.backends.cpu.lower.clamp import BOUNDS
from netdsl.backends.cpu.lower.geometry import sizes, window
from netdsl.backends.cpu.lower.lazy import COUNT
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of
from netdsl.backends.cpu.pool_average import average_pool, average_pool_backward
from netdsl.backends.cpu.pool_global import (
    global_average,
    global_average_backward,
    global_max,
    global_max_backward,
)
from netdsl.backends.cpu.pool_max import max_pool, max_pool_backward
from netdsl.ops.avgpool import AvgPool
from netdsl.ops.global_avgpool import GlobalAvgPool
from netdsl.ops.global_maxpool import GlobalMaxPool
from netdsl.ops.maxpool import MaxPool
from netdsl.schedule import Buffer, Call, Number, Operand


def geometry(call: Call, x: Buffer, y: Buffer) -> dict[str, Number]:
    """The numbers of a window that goes over a picture."""
    found = {**sizes(x.tensor, y.tensor), **window(call), "c": x.tensor.channels}
    for short, long in (("f", "first"), ("e", "end")):
        values: Any = call.baked.get(long, ())
        found |= {f"{short}{axis}": value for axis, value in enumerate(values)}
    return found


def source(low: Lowering, x: Buffer) -> tuple[dict[str, Operand | None], dict[str, Number]]:
    """What a pool reads, and its numbers: a value, which may be lazy."""
    made = low.source(x)
    numbers: dict[str, Number] = {"x_step": made.step, "lo": made.lo, "hi": made.hi}
    return {"x": made.x, "coef": made.coef}, numbers


def winners(low: Lowering, call: Call) -> Operand | None:
    """Where training keeps which of its inputs each output is."""
    if not low.training:
        return None
    found = low.aux(call, "index", call.out.buffer.tensor.size, batch=True)
    low.notes[call.owner] = found
    return low.operand(found)


def max_forward(low: Lowering, call: Call) -> bool:
    """``y``, and for training which element of its window each is."""
    x, y = buffer_of(call, "x"), low.of_owner(call)["y"]
    low.take(call, y)
    reads, numbers = source(low, x)
    out = y.out.buffer
    numbers |= {**geometry(call, x, out), "step": low.step(out)}
    low.emit(max_pool, low.operand(out), {**reads, "index": winners(low, y)}, numbers)
    return True


def cut(low: Lowering, call: Call) -> Call | None:
    """The gradient of the activation before a maximum, if it can be cut at the maximum as well.

    ``max(relu(x)) = relu(max(x))``: of these two training keeps the smaller.
    """
    dx, readers = call.out.buffer, low.ahead(call.out.buffer)
    if len(readers) != 1 or type(readers[0].op) not in BOUNDS or call.add or readers[0].add:
        return None
    y = buffer_of(readers[0], "y")
    again = any(later.out.buffer == dx for later in low.calls[low.at + 1 :])
    return None if again or y in low.lazy or y.owner != dx.owner else readers[0]


def window_backward(low: Lowering, call: Call) -> bool:
    """``dx`` of either kind of window."""
    dy, x = low.source(buffer_of(call, "dy")), call.out.buffer
    if isinstance(call.op, MaxPool) and not dy.ref and (act := cut(low, call)):
        low.take(act)
        lo, hi = BOUNDS[type(act.op)]
        pooled = low.source(replace(buffer_of(call, "dy"), role="value"))
        dy = replace(dy, ref=pooled.x, ref_step=pooled.step, lo=lo, hi=hi)
        x = act.out.buffer
    if call.add:
        low.store(x)
    numbers: dict[str, Number] = {
        **geometry(call, x, buffer_of(call, "dy")), "step": low.step(x), "y_step": dy.step,
        "y_ref_step": dy.ref_step, "y_lo": dy.lo, "y_hi": dy.hi, "add": int(call.add),
    }  # fmt: skip
    reads = {"y": dy.x, "y_ref": dy.ref, "y_coef": dy.coef}
    if isinstance(call.op, MaxPool):
        reads["index"] = low.operand(low.notes[call.owner])
        low.emit(max_pool_backward, low.operand(x), reads, numbers)
    else:
        low.emit(average_pool_backward, low.operand(x), reads, numbers)
    return True


def average_forward(low: Lowering, call: Call) -> bool:
    """``y``."""
    x, out = buffer_of(call, "x"), call.out.buffer
    reads, numbers = source(low, x)
    numbers |= {**geometry(call, x, out), "step": low.step(out)}
    low.emit(average_pool, low.operand(out), reads, numbers)
    return True


def whole_picture(low: Lowering, x: Buffer) -> dict[str, Number]:
    """The numbers of a pool over all positions."""
    return {"n": COUNT, "c": x.tensor.channels, "positions": prod(x.tensor.dims[1:])}


def global_forward(low: Lowering, call: Call) -> bool:
    """``y`` of a whole picture."""
    x, out = buffer_of(call, "x"), call.out.buffer
    reads, numbers = source(low, x)
    numbers |= whole_picture(low, x)
    low.emit(global_average, low.operand(out), reads, numbers)
    return True


def global_backward(low: Lowering, call: Call) -> bool:
    """``dx`` of a mean."""
    x = call.out.buffer
    dy = low.stored(buffer_of(call, "dy"))
    if call.add:
        low.store(x)
    numbers = {**whole_picture(low, x), "step": low.step(x), "add": int(call.add)}
    low.emit(global_average_backward, low.operand(x), {"dy": dy}, numbers)
    return True


def global_max_forward(low: Lowering, call: Call) -> bool:
    """``y``, and for training where it was found."""
    x, y = buffer_of(call, "x"), low.of_owner(call)["y"]
    low.take(call, y)
    reads, numbers = source(low, x)
    numbers |= whole_picture(low, x)
    low.emit(global_max, low.operand(y.out.buffer), {**reads, "index": winners(low, y)}, numbers)
    return True


def global_peak_backward(low: Lowering, call: Call) -> bool:
    """``dx`` of a maximum."""
    x = call.out.buffer
    dy, index = low.stored(buffer_of(call, "dy")), low.operand(low.notes[call.owner])
    if call.add:
        low.store(x)
    numbers = {**whole_picture(low, x), "step": low.step(x), "add": int(call.add)}
    low.emit(global_max_backward, low.operand(x), {"dy": dy, "index": index}, numbers)
    return True


RULES = {
    (MaxPool, "where"): max_forward,
    (MaxPool, "dx"): window_backward,
    (AvgPool, "y"): average_forward,
    (AvgPool, "dx"): window_backward,
    (GlobalAvgPool, "y"): global_forward,
    (GlobalAvgPool, "dx"): global_backward,
    (GlobalMaxPool, "where"): global_max_forward,
    (GlobalMaxPool, "dx"): global_peak_backward,
}
