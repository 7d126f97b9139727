"""Networks of few channels: images lie side by side in the lanes of vectors.

Vectors over channels would stay mostly empty in LeNet. Whether a network is one of these is decided
for all of it: every convolution has few channels, and what is between them is pooling or one
activation that becomes a part of the convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from netdsl.backends.cpu.across_backward import across_backward
from netdsl.backends.cpu.across_forward import across_forward
from netdsl.backends.cpu.across_gradient import AVERAGE, MAXIMUM, across_pool_backward
from netdsl.backends.cpu.across_plan import across_parts, outputs_at_once, sixth_form_size
from netdsl.backends.cpu.across_pool import across_pool
from netdsl.backends.cpu.across_six import across_six_pack, across_six_sum
from netdsl.backends.cpu.across_weight import across_weight_sum
from netdsl.backends.cpu.lower.clamp import BOUNDS
from netdsl.backends.cpu.lower.clamp import RULES as CLAMPS
from netdsl.backends.cpu.lower.conv import bias_gradient, geometry_of
from netdsl.backends.cpu.lower.geometry import at_batch
from netdsl.backends.cpu.lower.lowering import Lowering, Rule
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.notes import LAZY
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


@dataclass(frozen=True)
class Gradient:
    """What the gradient by a convolution's output is made from while it is read."""

    dy: Buffer
    index: Buffer | None = None
    y: Buffer | None = None
    act: Act = field(default_factory=Act)
    pool: Mapping[str, Number] = field(default_factory=dict)


NO_POOL: Mapping[str, Number] = {
    f"{name}{axis}": 0 for name in "okspdfe" for axis in range(3)
} | {"kind": 0}  # fmt: skip


def pool_numbers(call: Call, x: Buffer, y: Buffer) -> dict[str, Number]:
    """A pool's geometry and kind; what its kind does not ask for is 0."""
    kind = MAXIMUM if isinstance(call.op, MaxPool) else AVERAGE
    return {**NO_POOL, **geometry(call, x, y), "kind": kind, "maximum": int(kind == MAXIMUM)}


def of_pool(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The geometry of a pool as the kernels of convolutions are told of it."""
    return {f"q{name}": value for name, value in numbers.items() if name in NO_POOL}


def points(low: Lowering, numbers: Mapping[str, Number]) -> dict[str, Number]:
    """How many outputs of a row are made at once."""
    return {"m": at_batch(outputs_at_once, numbers, 1) if low.tile else 0}


def weight_of(
    low: Lowering, call: Call, numbers: Mapping[str, Number], first: bool
) -> Operand | None:
    """The weights as the kernels want them."""
    weight = reads(call, "weight")
    if not numbers["m"]:
        return weight
    key = "packed", call.owner, weight
    if key not in low.notes:
        low.notes[key] = low.aux(call, "packed", at_batch(sixth_form_size, numbers, 1))
        packed = low.operand(low.notes[key])
        low.emit(across_six_pack, packed, {"weight": weight}, numbers, first=first)
    return low.operand(low.notes[key])


def conv_forward(low: Lowering, call: Call) -> bool:
    """``y`` with bias, and with the activation and the pool behind."""
    x, out, act = buffer_of(call, "x"), call.out.buffer, Act()
    low.notes["x", call.owner] = x
    numbers = geometry_of(call, x, out, buffer_of(call, "weight"))
    numbers |= points(low, numbers)
    low.told.decide(call, why=WHY)
    after = behind(low, out, ACTS)
    if after is not None:
        low.take(after)
        out, act = after.out.buffer, act_of(after.op)
        low.notes["y", after.owner] = out
    pooled, index, pool = pool_behind(low, out)
    known = {
        "pooled": pooled and low.operand(pooled), "index": index and low.operand(index),
        "x": low.operand(x), "weight": weight_of(low, call, numbers, first=True),
        "bias": reads(call, "bias"),
    }  # fmt: skip
    told = {"out_lo": act.lo, "out_hi": act.hi, "act": act.act}
    told |= {"maximum": int(pool["kind"] == MAXIMUM), **of_pool(pool)}
    low.emit(across_forward, low.operand(out), known, {**numbers, **told})
    return True


def behind(low: Lowering, made: Buffer, ops: tuple[type[Op], ...]) -> Call | None:
    """The first reader of a tensor in the forward pass, if it is a layer of some kinds."""
    readers = [other for other in low.ahead(made) if other.kernel.makes in ("y", "where")]
    return readers[0] if readers and isinstance(readers[0].op, ops) else None


def pool_behind(
    low: Lowering, x: Buffer
) -> tuple[Buffer | None, Buffer | None, Mapping[str, Number]]:
    """The pool that reads what a convolution makes: its output, its winners and its numbers."""
    call = behind(low, x, (MaxPool, AvgPool))
    if call is None:
        return None, None, NO_POOL
    y, index = call, None
    if isinstance(call.op, MaxPool):
        y = low.of_owner(call)["y"]
        index = low.notes["index", call.owner] = low.lanes(call, "index", y.out.buffer.tensor)
        low.take(call)
    low.take(y)
    low.notes["fused", call.owner] = True
    return y.out.buffer, index, pool_numbers(call, x, y.out.buffer)


def conv_backward(low: Lowering, call: Call) -> bool:
    """``dx`` and ``dweight`` with ``dbias``, whichever comes first with the others."""
    made = low.of_owner(call)
    dx, dweight = made.get("dx"), made.get("dweight")
    dy, x = buffer_of(call, "dy"), low.notes["x", call.owner]
    low.told.decide(call, why=WHY)
    weight = buffer_of(dx, "weight") if dx else dweight.out.buffer  # type: ignore[union-attr]
    numbers = geometry_of(call, x, dy, weight)
    numbers |= points(low, numbers)
    dbias = bias_gradient(low, dweight) if dweight else None
    parts = low.operand(low.aux(call, "parts", at_batch(across_parts, numbers, 1), batch=True))
    lazy = low.notes.get(("gradient", dy), Gradient(dy))
    known = {
        "dx": low.operand(dx.out.buffer) if dx else None, "dy": low.operand(lazy.dy),
        "index": lazy.index and low.operand(lazy.index), "y": lazy.y and low.operand(lazy.y),
        "x": low.operand(x), "weight": weight_of(low, dx, numbers, first=False) if dx else None,
    }  # fmt: skip
    pool = {**NO_POOL, **lazy.pool}
    told = {"y_lo": lazy.act.lo, "y_hi": lazy.act.hi, "act": lazy.act.act}
    told |= {"pooled": pool["kind"], "back": int(dx is not None)}
    low.emit(across_backward, parts, known, {**numbers, **told, **of_pool(pool)})
    low.take(*(each for each in (dx, dweight) if each not in (None, call)))
    if dweight:
        total = across_six_sum if numbers["m"] else across_weight_sum
        told = {**numbers, "add": int(dweight.add)}
        low.emit(total, low.operand(dweight.out.buffer), {"dbias": dbias, "parts": parts}, told)
    return True


def act_backward(low: Lowering, call: Call) -> bool:
    """``dx`` of an activation that a convolution made along: it is made while it is read."""
    y = low.notes.get(("y", call.owner))
    if y is None:
        fallback = CLAMPS.get((type(call.op), "dx"))
        return fallback is not None and fallback(low, call)
    dy = buffer_of(call, "dy")
    lazy = low.notes.get(("gradient", dy), Gradient(dy))
    low.notes["gradient", call.out.buffer] = replace(lazy, y=y, act=act_of(call.op))
    low.told.decide(call, LAZY)
    return True


def pool_forward(low: Lowering, call: Call) -> bool:
    """``y`` of either kind of pool, where no convolution comes before."""
    y, index = call, None
    if isinstance(call.op, MaxPool):
        y = low.of_owner(call)["y"]
        low.take(call, y)
        index = low.notes["index", call.owner] = low.lanes(call, "index", y.out.buffer.tensor)
    x, out = buffer_of(call, "x"), y.out.buffer
    known = {"index": index and low.operand(index), "x": low.operand(x)}
    low.notes["x", call.owner] = x
    low.emit(across_pool, low.operand(out), known, pool_numbers(call, x, out))
    return True


def pool_backward(low: Lowering, call: Call) -> bool:
    """``dx``: where a convolution made the pool along, it is made while it is read."""
    dy, x = buffer_of(call, "dy"), call.out.buffer
    index, numbers = low.notes.get(("index", call.owner)), pool_numbers(call, x, dy)
    if low.notes.get(("fused", call.owner)):
        low.notes["gradient", x] = Gradient(dy, index, pool=numbers)
        low.told.decide(call, LAZY)
        return True
    known = {"index": index and low.operand(index), "dy": low.operand(dy)}
    low.emit(across_pool_backward, low.operand(x), known, numbers)
    return True


RULES: dict[tuple[type[Op], str], Rule] = {
    (Conv, "y"): conv_forward,
    (Conv, "dx"): conv_backward,
    (Conv, "dweight"): conv_backward,
    (MaxPool, "where"): pool_forward,
    (MaxPool, "dx"): pool_backward,
    (AvgPool, "y"): pool_forward,
    (AvgPool, "dx"): pool_backward,
    **{(op, "dx"): act_backward for op in ACTS},
}
