"""Dense layers: products of matrices, with bias and activation."""

from __future__ import annotations

from dataclasses import replace

from netdsl.backends.cpu.dense import dense_forward, dense_input, dense_pack
from netdsl.backends.cpu.dense_plan import dense_packed_size, dense_weight_sizes
from netdsl.backends.cpu.lower.clamp import follows
from netdsl.backends.cpu.lower.conv import bias_gradient, gradient_of_weights
from netdsl.backends.cpu.lower.lowering import COUNT, Lowering, Source
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.ops.dense import Dense
from netdsl.schedule import Call, Number

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
    size = dense_packed_size(MOST, int(numbers["ci"]), int(numbers["co"]))  # type: ignore[arg-type]
    packed = low.operand(low.aux(call, "packed", size))
    low.emit(dense_pack, packed, {"x": x, "weight": weight}, numbers)
    low.emit(
        dense_forward,
        low.operand(out),
        {"x": x, "weight": weight, "packed": packed, "bias": reads(call, "bias")},
        {**numbers, "step": numbers["co"], "out_lo": lo, "out_hi": hi},
    )
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dx``; a flattened picture gets its own order of axes back."""
    dy, x = low.source(buffer_of(call, "dy")), call.out.buffer
    if dy.coef:
        low.store(buffer_of(call, "dy"))
        dy = low.source(buffer_of(call, "dy"))
    plain = replace(x, name=f"{x.name}plain") if low.needs_turn(call.out) else x
    if call.add:
        low.store(x)
    numbers = {
        **matrix(call), "step": matrix(call)["ci"], "y_step": dy.step, "ref_step": dy.ref_step,
        "add": int(call.add and plain == x), "lo": dy.lo, "hi": dy.hi,
    }  # fmt: skip
    reads_ = {"y": dy.x, "ref": dy.ref, "weight": reads(call, "weight")}
    low.emit(dense_input, low.operand(plain), reads_, numbers)
    if plain != x:
        low.bring(x, plain, int(call.add))
    return True


def by_weight(low: Lowering, call: Call) -> bool:
    """``dweight``, and ``dbias`` with it: a convolution of one position with all samples."""
    numbers = matrix(call)
    ci, co = int(numbers["ci"]), int(numbers["co"])  # type: ignore[arg-type]
    geometry: dict[str, Number] = {**dense_weight_sizes(1, ci, co), "i2": COUNT, "o2": COUNT}
    x = Source(low.lines(call.reads["x"]), None, None, ci, 0, 0.0, 0.0)
    bias = bias_gradient(low, call)
    gradient_of_weights(low, call, geometry, x, low.source(buffer_of(call, "dy")), bias)
    return True


RULES = {(Dense, "y"): forward, (Dense, "dx"): backward, (Dense, "dweight"): by_weight}
