"""Dense layers: products of matrices, with bias and activation."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from netdsl.backends.cpu.dense import dense_forward, dense_input, dense_pack
from netdsl.backends.cpu.dense_plan import dense_packed_size, weight_parts_size
from netdsl.backends.cpu.dense_weight import dense_weight, dense_weight_sum
from netdsl.backends.cpu.lower.clamp import BOUNDS, follows
from netdsl.backends.cpu.lower.conv import bias_gradient, distances, seen
from netdsl.backends.cpu.lower.lazy import Source
from netdsl.backends.cpu.lower.lowering import COUNT, Lowering
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.products import HOW, WHY, hold
from netdsl.ops.dense import Dense
from netdsl.schedule import Buffer, Call, Number, Operand

MOST = 1 << 20
"""No batch is larger than this."""


def matrix(call: Call) -> dict[str, Number]:
    """How many samples, inputs and outputs there are."""
    layer = reads(call, "weight") or call.out
    co, ci = layer.buffer.tensor.dims
    return {"n": COUNT, "ci": ci, "co": co, "x_step": ci}


def forward(low: Lowering, call: Call) -> bool:
    """``y``, with bias and the activation behind it."""
    numbers, weight, x = matrix(call), reads(call, "weight"), low.lines(call.reads["x"])
    out, lo, hi = follows(low, call.out.buffer)
    size, batch = dense_packed_size(int(numbers["ci"]), int(numbers["co"]))  # type: ignore[arg-type]
    packed = low.operand(low.aux(call, "packed", size, batch))
    low.emit(dense_pack, packed, {"x": x, "weight": weight}, numbers)
    low.emit(
        dense_forward,
        low.operand(out),
        {"x": x, "weight": weight, "packed": packed, "bias": reads(call, "bias")},
        {**numbers, "step": numbers["co"], "out_lo": lo, "out_hi": hi},
    )
    return True


def passed(low: Lowering, call: Call) -> tuple[Buffer, Buffer | None, float, float]:
    """Where to write ``dx``, and the output and the bounds of an activation that masks it.

    If all that reads it is the gradient of one activation, the layer makes that one.
    """
    x, readers = call.out.buffer, low.ahead(call.out.buffer)
    more = any(other.out.buffer == x for other in low.calls[low.at + 1 :])
    if call.add or more or low.needs_turn(call.out) or len(readers) != 1 or x in low.kept:
        return x, None, -inf, inf
    (act,) = readers
    if type(act.op) not in BOUNDS or act.kernel.makes != "dx" or act.add:
        return x, None, -inf, inf
    y = buffer_of(act, "y")
    if y in low.lazy or low.step(y) != y.tensor.size or act.out.buffer in low.places:
        return x, None, -inf, inf
    low.take(act)
    return act.out.buffer, y, *BOUNDS[type(act.op)]


def backward(low: Lowering, call: Call) -> bool:
    """``dx``; a flattened picture gets its own order of axes back."""
    dy = low.source(buffer_of(call, "dy"))
    if dy.coef:
        low.store(buffer_of(call, "dy"))
        dy = low.source(buffer_of(call, "dy"))
    x, y, least, most = passed(low, call)
    plain = replace(x, name=f"{x.name}plain") if low.needs_turn(call.out) else x
    if call.add:
        low.store(x)
    numbers = {
        **matrix(call), "step": matrix(call)["ci"], "y_step": dy.step, "ref_step": dy.ref_step,
        "add": int(call.add and plain == x), "lo": dy.lo, "hi": dy.hi,
        "act_lo": least, "act_hi": most,
    }  # fmt: skip
    weight, act = reads(call, "weight"), low.operand(y) if y else None
    reads_ = {"y": dy.x, "ref": dy.ref, "weight": weight, "act": act}
    low.emit(dense_input, low.operand(plain), reads_, numbers)
    if plain != x:
        low.bring(x, plain, int(call.add))
    return True


def by_weight(low: Lowering, call: Call) -> bool:
    """``dweight``, and ``dbias`` with it; a large one is left to the optimizer."""
    if call.out.buffer in low.products.parts:
        low.told.decide(call, HOW, WHY)
    if product := low.products.get(call.out.buffer):
        y = Source(product.y, None, None, call.out.buffer.tensor.dims[0], 0, -inf, inf)
        weigh(low, call, product.x, y, None)
        return True
    x, bias = low.lines(call.reads["x"]), bias_gradient(low, call)
    dy = low.source(buffer_of(call, "dy"))
    if call.out.buffer in low.products.parts:
        low.products[call.out.buffer] = hold(low, call, x, dy, bias)
    else:
        weigh(low, call, x, dy, bias)
    return True


def weigh(low: Lowering, call: Call, x: Operand, dy: Source, bias: Operand | None) -> None:
    """The kernels of ``dweight``."""
    numbers = {**matrix(call), "add": int(call.add)}
    ci, co = int(numbers["ci"]), int(numbers["co"])  # type: ignore[arg-type]
    parts = low.operand(low.aux(call, "parts", weight_parts_size(MOST, ci, co)))
    out, known = low.operand(call.out.buffer), {"dbias": bias, "parts": parts}
    told = {**numbers, **distances("y", dy)}
    low.emit(dense_weight, out, {**known, "x": x, **seen("y", dy)}, told)
    low.emit(dense_weight_sum, out, known, numbers)


RULES = {(Dense, "y"): forward, (Dense, "dx"): backward, (Dense, "dweight"): by_weight}
