"""Local response normalisation, forward and backward in one pass each."""

from __future__ import annotations

from netdsl.backends.cpu.lower.lazy import counted
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of
from netdsl.backends.cpu.lrn import lrn_backward, lrn_forward
from netdsl.ops.lrn import LocalResponseNorm
from netdsl.schedule import Buffer, Call, Number


def numbers(low: Lowering, call: Call, x: Buffer, out: Buffer) -> dict[str, Number]:
    """What the kernels are told."""
    op = call.op
    assert isinstance(op, LocalResponseNorm)
    return {
        **counted(x), "size": op.size, "before": op.size // 2, "step": low.step(out),
        "x_step": low.step(x), "alpha": op.alpha / op.size, "beta": op.beta, "k": op.k,
    }  # fmt: skip


def forward(low: Lowering, call: Call) -> bool:
    """``y``; the divisors are not kept."""
    x, y = buffer_of(call, "x"), low.of_owner(call)["y"]
    out = y.out.buffer
    if x.tensor.spatial and not {x, out} <= low.last:
        return False
    low.take(call, y)
    told = numbers(low, call, x, out)
    low.emit(lrn_forward, low.operand(out), {"x": low.stored(x)}, told)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dx``."""
    x, dy, out = buffer_of(call, "x"), buffer_of(call, "dy"), call.out.buffer
    if x.tensor.spatial and not {x, dy, out} <= low.last:
        return False
    if call.add:
        low.store(out)
    reads = {"x": low.stored(x), "dy": low.stored(dy)}
    told = {**numbers(low, call, x, out), "y_step": low.step(dy), "add": int(call.add)}
    low.emit(lrn_backward, low.operand(out), reads, told)
    return True


RULES = {(LocalResponseNorm, "scale"): forward, (LocalResponseNorm, "dx"): backward}
