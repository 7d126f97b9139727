"""Where nothing is learnt: depthwise convolutions in one with the pointwise ones around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netdsl.backends.cpu.lower import conv
from netdsl.backends.cpu.lower.clamp import follower, follows
from netdsl.backends.cpu.lower.conv import geometry_of, packed_for
from netdsl.backends.cpu.lower.ending import Ending, ending, only_reader
from netdsl.backends.cpu.lower.geometry import at_batch, most
from netdsl.backends.cpu.lower.lazy import Source
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of, regular
from netdsl.backends.cpu.lower.ways import (
    TYPICAL,
    Geometry,
    direct_forward,
    forward_way,
    is_depthwise,
)
from netdsl.backends.cpu.separable import separable_forward, separable_sum
from netdsl.backends.cpu.separable_plan import separable_parts_size, separable_pays
from netdsl.ops.add import Add
from netdsl.ops.bn import BatchNorm
from netdsl.ops.conv import Conv
from netdsl.schedule import Buffer, Call, Operand


@dataclass(frozen=True)
class Chain:
    """A depthwise convolution, and the pointwise ones before and after it that there are."""

    before: Call | None
    own: Call
    after: Call | None


def forward(low: Lowering, call: Call) -> bool:
    """``y`` of a convolution, or of several that follow one another."""
    chain = None if low.training else chain_of(low, call)
    if chain is None:
        return conv.forward(low, call)
    low.told.decide(call, why="windows and their neighbours: nothing between them is written")
    low.take(*(c for c in (chain.own, chain.after) if c and c is not call))
    fuse(low, chain, low.source(buffer_of(call, "x")))
    return True


def chain_of(low: Lowering, call: Call) -> Chain | None:
    """The convolutions that can be made in one with this one, if there are any."""
    way = [call]
    if is_pointwise(geometry(call)):
        way = path(low, way)
    own = way[-1]
    if not has_windows(geometry(own)):
        return None
    before = call if own is not call else None
    longer = path(low, way)
    if longer[-1] is not own and is_pointwise(geometry(longer[-1])):
        return Chain(before, own, longer[-1])
    return Chain(before, own, None) if before else None


def path(low: Lowering, way: Sequence[Call]) -> list[Call]:
    """A way of calls that follow one another, up to the next convolution, if that reads it alone.

    Nothing else may stand between: what the first one reads must still be there.
    """
    made, more = way[-1].out.buffer, list(way)
    norm = only_reader(low, made, BatchNorm)
    if norm and regular(norm):
        more, made = [*more, norm], norm.out.buffer
    if act := follower(low, made):
        more, made = [*more, act], act.out.buffer
    found = only_reader(low, made, Conv)
    if found is None:
        return list(way)
    owners = {call.owner for call in more}
    between = low.calls[low.index(way[0]) : low.index(found)]
    return [*more, found] if all(call.owner in owners for call in between) else list(way)


def geometry(call: Call) -> Geometry:
    """The whole geometry of a convolution."""
    return geometry_of(call, buffer_of(call, "x"), call.out.buffer, buffer_of(call, "weight"))


def is_pointwise(known: Geometry) -> bool:
    """Whether each position of the output sees the same position of the input, and all of it."""
    ones = all(known[f"{name}{axis}"] == 1 for name in "ks" for axis in "012")
    return ones and known["groups"] == 1 and all(known[f"p{axis}"] == 0 for axis in "012")


def has_windows(known: Geometry) -> bool:
    """Whether every channel has a window of its own, over pictures that are not too wide."""
    level = known["i0"] == known["k0"] == known["s0"] == 1 and known["p0"] == 0
    if not (level and is_depthwise(known) and known["ci"] == known["co"]):
        return False
    return at_batch(separable_pays, {**known, "c": known["ci"]}, TYPICAL)


@dataclass(frozen=True)
class Layer:
    """One of the convolutions as the kernel is told of it."""

    weight: Operand | None = None
    end: Ending | None = None

    def operands(self, weight: str, bias: str) -> dict[str, Operand | None]:
        """Its weights and biases."""
        return {weight: self.weight, bias: self.end and self.end.bias}

    def bounds(self, name: str) -> dict[str, float]:
        """Between which numbers it is cut."""
        lo, hi = (self.end.lo, self.end.hi) if self.end else (0.0, 0.0)
        return {f"{name}_lo": lo, f"{name}_hi": hi}


def layer(low: Lowering, call: Call | None, source: Source) -> Layer:
    """The weights of a convolution as its kernel wants them, and what follows it."""
    if call is None:
        return Layer()
    known, end = geometry(call), ending(low, call, source)
    way = forward_way(known, 0) if is_depthwise(known) else direct_forward(known)
    form = f"packed{end.form}"
    return Layer(packed_for(low, call, way, form, first=True, weight=end.weight), end)


def fuse(low: Lowering, chain: Chain, source: Source) -> None:
    """One kernel for all of them, and for what follows each."""
    before, own = layer(low, chain.before, source), layer(low, chain.own, source)
    after = layer(low, chain.after, source)
    known, first = geometry(chain.own), chain.before or chain.own
    final, plus = added(low, after.end) if after.end else (own.end, None)
    assert final is not None
    after = replace(after, end=after.end and final)
    channels = {"ci": buffer_of(first, "x").tensor.channels, "c": known["ci"]}
    numbers = {
        **known, **channels, "co": final.out.tensor.channels, "step": low.step(final.out),
        "before": int(chain.before is not None), "after": int(chain.after is not None),
        "x_step": source.step, "plus_step": low.step(plus) if plus else 0, "lo": source.lo,
        "hi": source.hi, **before.bounds("wide"), **own.bounds("own"), **after.bounds("out"),
    }  # fmt: skip
    parts = low.operand(low.aux(chain.own, "pieces", most(separable_parts_size, numbers)))
    given = {"parts": parts, "x": source.x, "coef": source.coef}
    given |= before.operands("wide", "wide_bias") | own.operands("weight", "bias")
    given |= after.operands("slim", "slim_bias")
    out = low.operand(final.out)
    given["plus"] = plus and low.operand(plus)
    low.emit(separable_forward, out, given, numbers)
    low.emit(separable_sum, out, {"parts": parts}, numbers)


def added(low: Lowering, end: Ending) -> tuple[Ending, Buffer | None]:
    """The sum that a tensor goes into, with the other summand, which is there already."""
    if end.add:
        return end, end.out
    add = only_reader(low, end.out, Add)
    others = [r.buffer for r in add.reads["xs"] if r.buffer != end.out] if add else []  # type: ignore[union-attr]
    if add is None or len(others) != 1 or not low.made_already(others[0]):
        return end, None
    low.take(add)
    low.store(others[0])
    out, lo, hi = follows(low, add.out.buffer)
    return replace(end, out=out, lo=lo, hi=hi), others[0]


RULES = {(Conv, "y"): forward}
