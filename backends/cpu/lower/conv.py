"""Convolutions with what stands around them: bias, activation, statistics, lazy inputs."""

from __future__ import annotations

from math import inf, prod

from netdsl.backends.cpu.bias import bias_rows, bias_sums, bias_total
from netdsl.backends.cpu.conv_weight import conv_weight
from netdsl.backends.cpu.conv_weight_plan import parts_size, weight_numbers
from netdsl.backends.cpu.conv_weight_sum import conv_weight_sum
from netdsl.backends.cpu.depthwise_plan import depthwise_parts_size
from netdsl.backends.cpu.depthwise_weight import depthwise_weight, depthwise_weight_sum
from netdsl.backends.cpu.lower.ending import Ending, ending
from netdsl.backends.cpu.lower.geometry import (
    at_batch,
    function_of,
    most,
    sizes,
    weight_window,
    window,
)
from netdsl.backends.cpu.lower.lazy import COUNT, Source, counted
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.ways import (
    Geometry,
    Way,
    backward_way,
    forward_way,
    is_depthwise,
    reason,
    way_for_few,
    winograd_tile,
)
from netdsl.backends.cpu.winograd_plan import winograd_parts_size
from netdsl.backends.cpu.winograd_weight import winograd_weight, winograd_weight_sum
from netdsl.ops.bn import BatchNorm
from netdsl.ops.conv import Conv
from netdsl.schedule import Buffer, Call, Counted, Number, Operand


def geometry_of(call: Call, x: Buffer, y: Buffer, weight: Buffer) -> dict[str, Number]:
    """The whole geometry of a convolution."""
    known = {**window(call), **weight_window(weight.tensor)}
    return {**sizes(x.tensor, y.tensor), **known, "groups": call.baked["groups"]}


def packed_for(
    low: Lowering, call: Call, way: Way, name: str, first: bool, weight: Operand | None = None
) -> Operand:
    """The weights of a layer, or others in their place, in the form that a way wants."""
    packed = low.operand(low.aux(call, name, way.size))
    known = {"weight": weight or reads(call, "weight")}
    low.emit(way.pack, packed, known, way.numbers, first=first)
    return packed


def forward(low: Lowering, call: Call) -> bool:
    """``y``, with all that its kernel can do along, and the statistics for a normalisation."""
    x, weight = buffer_of(call, "x"), buffer_of(call, "weight")
    geometry = geometry_of(call, x, call.out.buffer, weight)
    source = low.source(x)
    way = forward_way(geometry, low.tile)
    low.told.decide(call, why=reason(way.numbers, low.tile))
    end = ending(low, call, source)
    few = None if low.training else way_for_few(geometry, way)
    if few is None:
        make(low, call, way, source, end)
        return True
    smaller, limit = few
    known = (("n", COUNT), ("limit", limit))
    make(low, call, way, source, end, Counted(many_images, known))
    make(low, call, smaller, source, end, Counted(few_images, known))
    return True


def many_images(n: int, limit: int) -> int:
    """How many images a kernel makes that is for no fewer than a limit."""
    return n if n >= limit else 0


def few_images(n: int, limit: int) -> int:
    """How many a kernel makes that is for fewer."""
    return n if n < limit else 0


def make(
    low: Lowering, call: Call, way: Way, source: Source, end: Ending, n: Number = COUNT
) -> None:
    """Run a kernel, with its weights packed."""
    form = f"packed{end.form}" if n == COUNT else f"packed{end.form}{way.numbers['m']}"
    packed = packed_for(low, call, way, form, first=True, weight=end.weight)
    assert way.rows is not None
    sums = sums_for(low, call, end.out, function_of(way.rows, way.numbers))
    low.emit(
        way.body,
        low.operand(end.out),
        {
            "x": source.x, "ref": source.ref, "coef": source.coef, "weight": packed,
            "bias": end.bias, "sums": sums,
        },
        {
            **way.numbers, "n": n, "step": low.step(end.out), "x_step": source.step,
            "ref_step": source.ref_step, "add": end.add, "lo": source.lo, "hi": source.hi,
            "out_lo": end.lo, "out_hi": end.hi,
        },
    )  # fmt: skip


def sums_for(low: Lowering, call: Call, out: Buffer, rows: Counted) -> Operand | None:
    """Where the statistics of an output go, if a normalisation reads it next."""
    norms = [c for c in low.ahead(out) if isinstance(c.op, BatchNorm) and c.kernel.makes == "mean"]
    if len(norms) != 1:
        return None
    each = 2 * out.tensor.channels + 1
    sums = low.aux(call, "sums", at_batch(rows.fn, dict(rows.arguments), 1) * each, batch=True)
    low.notes["sums", out] = sums, rows
    return low.operand(sums)


def backward(low: Lowering, call: Call) -> bool:
    """``dx``."""
    dy, x = buffer_of(call, "dy"), call.out.buffer
    geometry = geometry_of(call, x, dy, buffer_of(call, "weight"))
    source = low.source(dy)
    way = backward_way(geometry, low.tile)
    low.told.decide(call, why=reason(way.numbers, low.tile))
    packed = packed_for(low, call, way, "packedback", first=False)
    if call.add:
        low.store(x)
    numbers = {**way.numbers, "step": low.step(x), "add": int(call.add)}
    if way.turned:
        unbounded = {"out_lo": -inf, "out_hi": inf}
        known = {"x": source.x, "ref": source.ref, "coef": source.coef, "bias": None, "sums": None}
        apart = {
            "x_step": source.step, "ref_step": source.ref_step, "lo": source.lo, "hi": source.hi,
        }  # fmt: skip
        reads_ = {**known, "weight": packed}
        low.emit(way.body, low.operand(x), reads_, {**numbers, **apart, **unbounded})
    else:
        reads_ = {**seen("y", source), "weight": packed}
        low.emit(way.body, low.operand(x), reads_, {**numbers, **distances("y", source)})
    return True


def by_weight(low: Lowering, call: Call) -> bool:
    """``dweight``, and ``dbias`` with it."""
    x, dy = buffer_of(call, "x"), buffer_of(call, "dy")
    geometry = geometry_of(call, x, dy, call.out.buffer)
    low.told.decide(call, why=reason(geometry, low.tile))
    if m := winograd_tile(geometry, low.tile):
        winograd_gradient(low, call, {**geometry, "m": m}, low.source(x))
    elif is_depthwise(geometry) and geometry["ci"] == geometry["co"]:
        depthwise_gradient(low, call, geometry, low.source(x))
    else:
        bias = bias_gradient(low, call)
        gradient_of_weights(low, call, geometry, low.source(x), low.source(dy), bias)
    return True


def value_numbers(x: Source) -> dict[str, Number]:
    """The distances and bounds of a tensor called ``x``."""
    return {"x_step": x.step, "ref_step": x.ref_step, "lo": x.lo, "hi": x.hi}


def gradient_of_weights(
    low: Lowering,
    call: Call,
    geometry: Geometry,
    x: Source,
    dy: Source,
    dbias: Operand | None,
    name: str = "parts",
) -> None:
    """The gradients by weights and biases, of a convolution or of what is one in disguise."""
    parts = low.operand(low.aux(call, name, most(conv_parts_size, geometry)))
    out, numbers = low.operand(call.out.buffer), {**geometry, "add": int(call.add)}
    known = {"x": x.x, "ref": x.ref, "coef": x.coef, **seen("y", dy)}
    reads_ = {"dbias": dbias, "parts": parts, **known}
    low.emit(conv_weight, out, reads_, {**numbers, **value_numbers(x), **distances("y", dy)})
    low.emit(conv_weight_sum, out, {"dbias": dbias, "parts": parts}, numbers)


# fmt: off
def conv_parts_size(
    n: int, ci: int, co: int, groups: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s0: int, s1: int, s2: int, p0: int, p1: int, p2: int,
    d0: int, d1: int, d2: int,
) -> int:
    """How much room partial sums want."""
    return parts_size(weight_numbers(
        n, ci, co, groups, i0, i1, i2, o0, o1, o2, k0, k1, k2, s0, s1, s2, p0, p1, p2, d0, d1, d2
    ))
# fmt: on


def depthwise_gradient(low: Lowering, call: Call, geometry: Geometry, x: Source) -> None:
    """The same where every channel has a window of its own."""
    dbias, dy = bias_gradient(low, call), low.source(buffer_of(call, "dy"))
    parts = low.operand(low.aux(call, "parts", most(depthwise_parts_size, geometry)))
    numbers = {**geometry, **value_numbers(x), **distances("y", dy), "add": int(call.add)}
    reads_ = {"dbias": dbias, "x": x.x, "ref": x.ref, "coef": x.coef, **seen("y", dy)}
    low.emit(depthwise_weight, parts, reads_, numbers)
    reads_ = {"dbias": dbias, "parts": parts}
    low.emit(depthwise_weight_sum, low.operand(call.out.buffer), reads_, numbers)


def winograd_gradient(low: Lowering, call: Call, geometry: Geometry, x: Source) -> None:
    """The gradients by weights and biases by Winograd's products."""
    dbias, dy = bias_gradient(low, call), low.source(buffer_of(call, "dy"))
    parts = low.operand(low.aux(call, "parts", most(winograd_parts_size, geometry)))
    out, numbers = low.operand(call.out.buffer), {**geometry, "add": int(call.add)}
    reads_ = {"dbias": dbias, "parts": parts, "x": x.x, "ref": x.ref, "coef": x.coef}
    told = {**numbers, **value_numbers(x), **distances("y", dy)}
    low.emit(winograd_weight, out, {**reads_, **seen("y", dy)}, told)
    low.emit(winograd_weight_sum, out, {"dbias": dbias, "parts": parts}, numbers)


def bias_gradient(low: Lowering, call: Call) -> Operand | None:
    """Where the gradient by the bias goes, if it can be made together with that by the weight."""
    bias = low.of_owner(call).get("dbias")
    if bias is None or bias.add != call.add:
        return None
    low.take(bias)
    return low.operand(bias.out.buffer)


def bias_alone(low: Lowering, call: Call) -> None:
    """The gradient by the bias, from a gradient that may be lazy."""
    bias = low.of_owner(call).get("dbias")
    if bias is None:
        return
    low.take(bias)
    made = buffer_of(bias, "dy")
    dy, numbers = low.source(made), counted(made)
    rows = function_of(bias_rows, numbers)
    size = at_batch(bias_rows, {**numbers, "count": prod(made.tensor.dims[1:])}, 1)
    sums = low.operand(low.aux(call, "biassums", size * made.tensor.channels, batch=True))
    low.emit(bias_sums, sums, seen("y", dy), {**numbers, **distances("y", dy)})
    told = {**numbers, "rows": rows, "add": int(bias.add)}
    low.emit(bias_total, low.operand(bias.out.buffer), {"sums": sums}, told)


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
