"""Losses that vectors compute: the pieces of the mean, and the gradient."""

from __future__ import annotations

from math import prod

from netdsl.backends.cpu.cross_entropy import cross_entropy_backward, cross_entropy_forward
from netdsl.backends.cpu.lower.lazy import COUNT
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of
from netdsl.losses.cross_entropy import CrossEntropy
from netdsl.schedule import Buffer, Call, Number, Operand


def planes(low: Lowering, buffer: Buffer) -> int:
    """Whether each class has a plane of positions of its own."""
    return int(buffer not in low.last and prod(buffer.tensor.dims[1:]) > 1)


def known(low: Lowering, x: Buffer) -> dict[str, Number]:
    """How many samples, classes and positions there are, and how they lie."""
    c, positions = x.tensor.channels, prod(x.tensor.dims[1:])
    return {"n": COUNT, "c": c, "positions": positions, "planes": planes(low, x)}


def words(low: Lowering, call: Call) -> Operand:
    """The labels as one row."""
    return low.stored(buffer_of(call, "target"))


def forward(low: Lowering, call: Call) -> bool:
    """``log_sum``, and the loss of each position with it."""
    x, each = buffer_of(call, "x"), low.of_owner(call).get("each")
    if low.real != "f4" or x in low.across or each is None:
        return False
    if buffer_of(each, "log_sum") != call.out.buffer:
        return False
    low.take(each)
    numbers = {**known(low, x), **each.baked, **each.passed, "step": low.step(x)}
    log_sum = low.operand(call.out.buffer)
    reads = {"log_sum": log_sum, "x": low.stored(x), "target": words(low, each)}
    low.emit(cross_entropy_forward, low.operand(each.out.buffer), reads, numbers)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dx``."""
    x, out = buffer_of(call, "x"), call.out.buffer
    if low.real != "f4" or {x, out} & low.across or call.add or planes(low, x) != planes(low, out):
        return False
    log_sum = low.stored(buffer_of(call, "log_sum"))
    reads = {"x": low.stored(x), "log_sum": log_sum, "target": words(low, call)}
    numbers = {**known(low, x), **call.baked, **call.passed}
    told = {**numbers, "step": low.step(out), "x_step": low.step(x)}
    low.emit(cross_entropy_backward, low.operand(out), reads, told)
    return True


RULES = {(CrossEntropy, "log_sum"): forward, (CrossEntropy, "dx"): backward}
