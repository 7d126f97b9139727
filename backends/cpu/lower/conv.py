"""Convolutions: by Winograd's products where these pay, by windows elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from netdsl.backends.cpu.conv_backward import conv_backward
from netdsl.backends.cpu.conv_forward import conv_forward, conv_rows
from netdsl.backends.cpu.conv_pack import pack_backward, pack_forward, packed_size
from netdsl.backends.cpu.conv_weight import conv_weight
from netdsl.backends.cpu.conv_weight_plan import parts_size, weight_numbers
from netdsl.backends.cpu.conv_weight_sum import conv_weight_sum
from netdsl.backends.cpu.lower.clamp import follows
from netdsl.backends.cpu.lower.geometry import sizes, weight_window, window
from netdsl.backends.cpu.lower.lowering import COUNT, Lowering, Source
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.machine import LANES
from netdsl.ops.bn import BatchNorm
from netdsl.ops.conv import Conv
from netdsl.schedule import Buffer, Call, Counted, Number, Operand


@dataclass(frozen=True)
class Packed:
    """How the weights of a convolution are brought into the form that a kernel wants."""

    body: Any
    size: int


def numbers(call: Call, x: Buffer, y: Buffer, weight: Buffer) -> dict[str, Number]:
    """The whole geometry of a convolution."""
    known = {**window(call), **weight_window(weight.tensor)}
    return {**sizes(x.tensor, y.tensor), **known, "groups": call.baked["groups"]}


def whole(geometry: dict[str, Number], *names: str) -> dict[str, int]:
    """Some numbers that do not depend on the batch."""
    return {name: int(geometry[name]) for name in names}  # type: ignore[arg-type]


def forward(low: Lowering, call: Call) -> bool:
    """``y``, with bias, the activation behind it, and the statistics that a normalisation wants."""
    x, weight = buffer_of(call, "x"), reads(call, "weight")
    assert weight is not None
    geometry = numbers(call, x, call.out.buffer, weight.buffer)
    source = low.source(x)
    panels = whole(geometry, "ci", "co", "groups", "k0", "k1", "k2")
    packed = low.aux(call, "packed", packed_size(LANES, **panels))
    low.emit(pack_forward, low.operand(packed), {"weight": weight}, panels, first=True)
    out, lo, hi = follows(low, call.out.buffer)
    rows = function_of(conv_rows, geometry)
    low.emit(
        conv_forward,
        low.operand(out),
        {
            "x": source.x, "ref": source.ref, "coef": source.coef, "weight": low.operand(packed),
            "bias": reads(call, "bias"), "sums": sums_for(low, call, out, rows),
        },
        {
            **geometry, "step": low.step(out), "x_step": source.step, "ref_step": source.ref_step,
            "add": 0, "lo": source.lo, "hi": source.hi, "out_lo": lo, "out_hi": hi,
        },
    )  # fmt: skip
    return True


def function_of(fn: Callable[..., int], numbers: Mapping[str, Number]) -> Counted:
    """A function of some of these numbers, by the names of its parameters."""
    return Counted(fn, tuple((name, numbers[name]) for name in signature(fn).parameters))  # type: ignore[misc]


def sums_for(low: Lowering, call: Call, out: Buffer, rows: Counted) -> Operand | None:
    """Where the statistics of an output go, if a normalisation reads it next."""
    norms = [c for c in low.ahead(out) if isinstance(c.op, BatchNorm) and c.kernel.makes == "mean"]
    if len(norms) != 1:
        return None
    one = {name: 1 if value is COUNT else value for name, value in rows.arguments}
    each = 2 * out.tensor.channels + 1
    sums = low.aux(call, "sums", rows.fn(**one) * each, batch=True)
    low.notes["sums", out] = sums, rows
    return low.operand(sums)


def backward(low: Lowering, call: Call) -> bool:
    """``dx``."""
    dy, x, weight = buffer_of(call, "dy"), call.out.buffer, reads(call, "weight")
    assert weight is not None
    geometry = numbers(call, x, dy, weight.buffer)
    source = low.source(dy)
    panels = whole(geometry, "ci", "co", "groups", "k0", "k1", "k2")
    turned = {**panels, "ci": panels["co"], "co": panels["ci"]}
    packed = low.aux(call, "packedback", packed_size(LANES, **turned))
    low.emit(pack_backward, low.operand(packed), {"weight": weight}, geometry)
    if call.add:
        low.store(x)
    low.emit(
        conv_backward,
        low.operand(x),
        {**seen("y", source), "weight": low.operand(packed)},
        {**geometry, **distances("y", source), "step": low.step(x), "add": int(call.add)},
    )
    return True


def by_weight(low: Lowering, call: Call) -> bool:
    """``dweight``, and ``dbias`` with it."""
    x = buffer_of(call, "x")
    source = low.source(x)
    geometry = numbers(call, x, buffer_of(call, "dy"), call.out.buffer)
    known = {"x": source.x, "ref": source.ref, "coef": source.coef}
    apart: dict[str, Number] = {
        "x_step": source.step, "ref_step": source.ref_step, "lo": source.lo, "hi": source.hi,
    }  # fmt: skip
    weight_gradient(low, call, geometry, known, apart)
    return True


def weight_gradient(
    low: Lowering,
    call: Call,
    geometry: Mapping[str, Number],
    x: Mapping[str, Operand | None],
    apart: Mapping[str, Number],
) -> None:
    """The gradients by weights and biases, of a convolution or of what is one in disguise."""
    add, dbias = int(call.add), bias_gradient(low, call)
    dy = low.source(buffer_of(call, "dy"))
    parts = low.operand(low.aux(call, "parts", most_parts(geometry)))
    low.emit(
        conv_weight,
        low.operand(call.out.buffer),
        {"dbias": dbias, "parts": parts, **x, **seen("y", dy)},
        {**geometry, **apart, **distances("y", dy), "add": add},
    )
    reads = {"dbias": dbias, "parts": parts}
    low.emit(conv_weight_sum, low.operand(call.out.buffer), reads, {**geometry, "add": add})


def bias_gradient(low: Lowering, call: Call) -> Operand | None:
    """Where the gradient by the bias goes, if it can be made together with that by the weight."""
    bias = low.of_owner(call).get("dbias")
    if bias is None or bias.add != call.add:
        return None
    low.take(bias)
    return low.operand(bias.out.buffer)


def most_parts(geometry: Mapping[str, Number]) -> int:
    """How much room partial sums want, whatever the batch."""
    found = 0
    for count in (1, 2, 4, 8, 16, 32, 64, 1024):
        known = {name: count if n is COUNT else n for name, n in geometry.items()}
        asked = {name: known[name] for name in signature(weight_numbers).parameters}
        found = max(found, parts_size(weight_numbers(**asked)))  # type: ignore[arg-type]
    return found


def seen(name: str, source: Source) -> dict[str, Operand | None]:
    """The three arrays of a tensor that may be lazy."""
    return {name: source.x, f"{name}_ref": source.ref, f"{name}_coef": source.coef}


def distances(name: str, source: Source) -> dict[str, Number]:
    """Its numbers."""
    return {
        f"{name}_step": source.step, f"{name}_ref_step": source.ref_step,
        f"{name}_lo": source.lo, f"{name}_hi": source.hi,
    }  # fmt: skip


RULES = {(Conv, "y"): forward, (Conv, "dx"): backward, (Conv, "dweight"): by_weight}
