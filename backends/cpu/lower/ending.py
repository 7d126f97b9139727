"""What follows a convolution and is done by its kernel: activation, normalisation, sum.

Where nothing is learnt a normalisation is a factor and a summand for every channel, which become a
part of the weights once and for all. The sum that closes a residual block is written over the other
branch, which nobody reads afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.backends.cpu.fold import fold_bias, fold_weight
from netdsl.backends.cpu.lower.clamp import follower, follows
from netdsl.backends.cpu.lower.lazy import Source
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import reads, regular, running
from netdsl.op import Op
from netdsl.ops.add import Add
from netdsl.ops.bn import BatchNorm
from netdsl.schedule import Buffer, Call, Operand


@dataclass(frozen=True)
class Ending:
    """What a kernel writes, to where, and what it does beside the convolution.

    With ``add`` it adds to what lies there. Weights of another ``form`` are not those of the layer.
    """

    out: Buffer
    weight: Operand | None
    bias: Operand | None
    lo: float
    hi: float
    add: int = 0
    form: str = ""


def ending(low: Lowering, call: Call, source: Source) -> Ending:
    """All that a convolution over ``source`` can do along."""
    made, weight, bias = call.out.buffer, reads(call, "weight"), reads(call, "bias")
    form, other = "", None
    if not low.training:
        norm = only_reader(low, made, BatchNorm)
        if norm and regular(norm):
            weight, bias = folded(low, call, norm)
            form, made = "folded", norm.out.buffer
        made, other = joined(low, made, source)
    out, lo, hi = follows(low, made)
    if other:
        low.house(out, other)
    return Ending(out, weight, bias, lo, hi, int(other is not None), form)


def only_reader(low: Lowering, made: Buffer, op: type[Op]) -> Call | None:
    """The call that alone reads a tensor, if it is one of this kind."""
    readers = low.ahead(made)
    if len(readers) != 1 or made in low.kept or not isinstance(readers[0].op, op):
        return None
    return readers[0] if readers[0].kernel.makes == "y" else None


def folded(low: Lowering, call: Call, norm: Call) -> tuple[Operand, Operand]:
    """Weights and biases that make what the normalisation makes."""
    calls = low.of_owner(norm)
    coef = low.operand(running(low, calls))
    low.take(*(calls[name] for name in ("mean", "var", "y")))
    weight, bias = reads(call, "weight"), reads(call, "bias")
    assert weight is not None
    size, co = weight.buffer.tensor.size, call.out.buffer.tensor.channels
    scaled = low.operand(low.aux(call, "folded", size))
    shift = low.operand(low.aux(call, "foldedbias", co))
    numbers = {"co": co, "size": size // co}
    low.emit(fold_weight, scaled, {"weight": weight, "coef": coef}, numbers, first=True)
    low.emit(fold_bias, shift, {"bias": bias, "coef": coef}, {"co": co}, first=True)
    return scaled, shift


def joined(low: Lowering, made: Buffer, source: Source) -> tuple[Buffer, Buffer | None]:
    """The sum that a tensor goes into, and the other summand, if that can be written over."""
    add = only_reader(low, made, Add)
    if add is None:
        return made, None
    others = [read.buffer for read in add.reads["xs"] if read.buffer != made]  # type: ignore[union-attr]
    act = follower(low, add.out.buffer)
    into = act.out.buffer if act else add.out.buffer
    if len(others) != 1 or low.ahead(others[0]) != [add]:
        return made, None
    (other,) = others
    seen = {operand.buffer for operand in (source.x, source.ref, source.coef) if operand}
    if low.home(other) in seen or not (low.made_already(other) and low.can_house(into, other)):
        return made, None
    low.take(add)
    return add.out.buffer, other
