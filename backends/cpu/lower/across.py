"""Networks of few channels: images lie side by side in the lanes of vectors.

Vectors over channels would stay mostly empty in LeNet. Whether a network is one of these is decided
for all of it: every convolution has few channels, and what is between them is pooling or one
activation that becomes a part of the convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from netdsl.backends.cpu.across_conv import across_backward, across_forward
from netdsl.backends.cpu.across_pool import across_pool, across_pool_backward
from netdsl.backends.cpu.across_weight import across_parts, across_weight, across_weight_sum
from netdsl.backends.cpu.lower.clamp import BOUNDS
from netdsl.backends.cpu.lower.conv import bias_gradient, geometry_of
from netdsl.backends.cpu.lower.geometry import at_batch
from netdsl.backends.cpu.lower.lowering import Lowering, Rule
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.pool import geometry
from netdsl.op import Op
from netdsl.ops.avgpool import AvgPool
from netdsl.ops.conv import Conv
from netdsl.ops.dense import Dense
from netdsl.ops.maxpool import MaxPool
from netdsl.ops.tanh import Tanh
from netdsl.schedule import Buffer, Call, Number, Operand

NARROW = 16
"""Convolutions have no more channels than this, in and out."""
ACTS = (Tanh, *BOUNDS)
WHY = f"no convolution has over {NARROW} channels"


def across(calls: Sequence[Call], kept: Iterable[Buffer]) -> frozenset[Buffer]:
    """The pictures of a forward pass that lie across; none if the network has any other kind."""
    found: set[Buffer] = set()
    readers: dict[Buffer, list[Call]] = {}
    for call in calls:
        for operand in call.operands():
            readers.setdefault(operand.buffer, []).append(call)
    makers = {call.out.buffer: call for call in calls}
    for call in calls:
        if isinstance(call.op, Conv):
            x = buffer_of(call, "x")
            few = max(x.tensor.channels, call.out.buffer.tensor.channels) <= NARROW
            if not few or call.baked["groups"] != 1 or len(x.tensor.dims) > 3:
                return frozenset()
        pictures = [o.buffer for o in call.operands() if is_large(o.buffer)]
        if is_large(call.out.buffer) and not fits(call, makers):
            return frozenset()
        if pictures and not isinstance(call.op, (Conv, MaxPool, AvgPool, Dense, *ACTS)):
            return frozenset()
        found.update(b for b in (call.out.buffer, *pictures) if is_large(b))
    single = all(len({call.owner for call in readers.get(b, ())}) <= 1 for b in found)
    convolved = any(isinstance(call.op, Conv) for call in calls)
    return frozenset(found) if single and convolved and not found & set(kept) else frozenset()


def is_large(buffer: Buffer) -> bool:
    """Whether a tensor is a picture, if only of one channel."""
    tensor = buffer.tensor
    return buffer.role == "value" and tensor.batch and len(tensor.dims) > 1


def fits(call: Call, makers: Mapping[Buffer, Call]) -> bool:
    """Whether what makes a picture has a kernel for it; an activation belongs to a convolution."""
    if isinstance(call.op, (Conv, MaxPool, AvgPool)):
        return True
    before = makers.get(buffer_of(call, "x")) if isinstance(call.op, ACTS) else None
    return before is not None and isinstance(before.op, Conv)


@dataclass(frozen=True)
class Act:
    """An activation as kernels are told of it: its number, and the bounds of a clamp."""

    act: int = 0
    lo: float = -inf
    hi: float = inf


def act_of(op: Op) -> Act:
    """An activation's numbers."""
    return Act(1) if isinstance(op, Tanh) else Act(0, *BOUNDS[type(op)])


def conv_forward(low: Lowering, call: Call) -> bool:
    """``y`` with bias and activation."""
    low.told.decide(call, why=WHY)
    x, out, act = buffer_of(call, "x"), call.out.buffer, Act()
    numbers = geometry_of(call, x, out, buffer_of(call, "weight"))
    after = [other for other in low.ahead(out) if other.kernel.makes == "y"]
    if after and isinstance(after[0].op, ACTS):
        low.take(after[0])
        out, act = after[0].out.buffer, act_of(after[0].op)
        low.notes["act", out] = after[0]
    told = {**numbers, "out_lo": act.lo, "out_hi": act.hi, "act": act.act}
    known = {"x": low.operand(x), "weight": reads(call, "weight"), "bias": reads(call, "bias")}
    low.emit(across_forward, low.operand(out), known, told)
    return True


def before_act(
    low: Lowering, x: Buffer, dx: Buffer
) -> tuple[Buffer, dict[str, Operand | None], dict[str, Number]]:
    """Where the gradient by ``x`` goes: past the activation that made it, if one did."""
    call = low.notes.get(("act", x))
    if call is None:
        return dx, {"y": None}, {"y_lo": -inf, "y_hi": inf, "act": 0}
    (slope,) = [c for c in low.ahead(dx) if c.owner == call.owner]
    low.take(slope)
    act = act_of(call.op)
    return slope.out.buffer, {"y": low.operand(x)}, {"y_lo": act.lo, "y_hi": act.hi, "act": act.act}


def conv_backward(low: Lowering, call: Call) -> bool:
    """``dx``, times the slope of the activation before it."""
    low.told.decide(call, why=WHY)
    dy, weight = buffer_of(call, "dy"), reads(call, "weight")
    x = low.notes["x", call.owner]
    numbers = geometry_of(call, x, dy, buffer_of(call, "weight"))
    out, y, told = before_act(low, x, call.out.buffer)
    known = {"dy": low.operand(dy), "weight": weight, **y}
    low.emit(across_backward, low.operand(out), known, {**numbers, **told})
    return True


def conv_weight(low: Lowering, call: Call) -> bool:
    """``dweight`` and ``dbias``."""
    low.told.decide(call, why=WHY)
    x, dy = buffer_of(call, "x"), buffer_of(call, "dy")
    numbers = {**geometry_of(call, x, dy, call.out.buffer), "add": int(call.add)}
    dbias = bias_gradient(low, call)
    size = at_batch(across_parts, numbers, 1)
    parts = low.operand(low.aux(call, "parts", size, batch=True))
    low.emit(across_weight, parts, {"x": low.operand(x), "dy": low.operand(dy)}, numbers)
    known = {"dbias": dbias, "parts": parts}
    low.emit(across_weight_sum, low.operand(call.out.buffer), known, numbers)
    return True


def pool_numbers(call: Call, x: Buffer, y: Buffer) -> dict[str, Number]:
    """A pool's geometry; what its kind does not ask for is 0."""
    rest: dict[str, Number] = {f"{name}{axis}": 0 for name in "fe" for axis in range(3)}
    return {**rest, **geometry(call, x, y), "maximum": int(isinstance(call.op, MaxPool))}


def pool_forward(low: Lowering, call: Call) -> bool:
    """``y`` of either kind of pool."""
    y, index = call, None
    if isinstance(call.op, MaxPool):
        y = low.of_owner(call)["y"]
        low.take(call, y)
        found = low.lanes(call, "index", y.out.buffer.tensor)
        low.notes[call.owner] = found
        index = low.operand(found)
    x, out = buffer_of(call, "x"), y.out.buffer
    known = {"index": index, "x": low.operand(x)}
    low.notes["x", call.owner] = x
    low.emit(across_pool, low.operand(out), known, pool_numbers(call, x, out))
    return True


def pool_backward(low: Lowering, call: Call) -> bool:
    """``dx``, times the slope of the activation before it."""
    dy, x = buffer_of(call, "dy"), low.notes["x", call.owner]
    out, y, told = before_act(low, x, call.out.buffer)
    index = low.notes.get(call.owner)
    known = {"index": index and low.operand(index), "dy": low.operand(dy), **y}
    low.emit(across_pool_backward, low.operand(out), known, {**pool_numbers(call, x, dy), **told})
    return True


def conv_noted(low: Lowering, call: Call) -> bool:
    """``y``; the backward pass will ask for its input."""
    low.notes["x", call.owner] = buffer_of(call, "x")
    return conv_forward(low, call)


RULES: dict[tuple[type[Op], str], Rule] = {
    (Conv, "y"): conv_noted,
    (Conv, "dx"): conv_backward,
    (Conv, "dweight"): conv_weight,
    (MaxPool, "where"): pool_forward,
    (MaxPool, "dx"): pool_backward,
    (AvgPool, "y"): pool_forward,
    (AvgPool, "dx"): pool_backward,
}
