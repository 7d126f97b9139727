"""Transposed convolution: what is forward here is backward there, by the same kernels."""

from __future__ import annotations

from netdsl.backends.cpu.bias import spread_bias
from netdsl.backends.cpu.lower.conv import (
    bias_alone,
    distances,
    gradient_of_weights,
    packed_for,
    seen,
)
from netdsl.backends.cpu.lower.geometry import sizes, weight_window, window
from netdsl.backends.cpu.lower.lazy import counted
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.ways import direct_backward, direct_forward
from netdsl.ops.upconv import UpConv
from netdsl.schedule import Buffer, Call, Number


def geometry_of(call: Call, x: Buffer, y: Buffer, weight: Buffer) -> dict[str, Number]:
    """That of the convolution from ``y`` to ``x``, of which this is the gradient."""
    known = {**window(call), **weight_window(weight.tensor), "groups": 1}
    return {**sizes(y.tensor, x.tensor), **known}


def forward(low: Lowering, call: Call) -> bool:
    """``y``: the gradient of a convolution by its input, on top of the bias."""
    x, y = buffer_of(call, "x"), call.out.buffer
    way = direct_backward(geometry_of(call, x, y, buffer_of(call, "weight")))
    packed = packed_for(low, call, way, "packed", first=True)
    bias, source = reads(call, "bias"), low.source(x)
    if source.coef:
        low.store(x)
        source = low.source(x)
    if bias:
        numbers = {**counted(y), "step": low.step(y)}
        low.emit(spread_bias, low.operand(y), {"bias": bias}, numbers)
    numbers = {
        **way.numbers, **distances("y", source), "step": low.step(y), "add": int(bias is not None),
    }  # fmt: skip
    low.emit(way.body, low.operand(y), {**seen("y", source), "weight": packed}, numbers)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dx``: a convolution."""
    x, dy = call.out.buffer, buffer_of(call, "dy")
    way = direct_forward(geometry_of(call, x, dy, buffer_of(call, "weight")))
    packed = packed_for(low, call, way, "packedback", first=False)
    source = low.source(dy)
    if call.add:
        low.store(x)
    numbers = {
        **way.numbers, "step": low.step(x), "x_step": source.step, "ref_step": source.ref_step,
        "add": int(call.add), "lo": source.lo, "hi": source.hi,
        "out_lo": -float("inf"), "out_hi": float("inf"),
    }  # fmt: skip
    known = {"x": source.x, "ref": source.ref, "coef": source.coef, "bias": None, "sums": None}
    low.emit(way.body, low.operand(x), {**known, "weight": packed}, numbers)
    return True


def by_weight(low: Lowering, call: Call) -> bool:
    """``dweight``: that of the convolution, where ``x`` is the gradient."""
    x, dy = buffer_of(call, "x"), buffer_of(call, "dy")
    bias_alone(low, call)
    geometry = geometry_of(call, x, dy, call.out.buffer)
    gradient_of_weights(low, call, geometry, low.source(dy), low.source(x), None)
    return True


RULES = {(UpConv, "y"): forward, (UpConv, "dx"): backward, (UpConv, "dweight"): by_weight}
