"""Embeddings: their vectors are rows, and all places of a word are found in one pass."""

from __future__ import annotations

from math import prod

from netdsl.backends.cpu.embedding import embedding_chain, embedding_forward, embedding_weight
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import buffer_of, reads
from netdsl.backends.cpu.lower.rows import lies_in_rows
from netdsl.ops.embedding import Embedding
from netdsl.schedule import Buffer, Call, Number, Operand, Scaled


def words(low: Lowering, call: Call) -> Buffer | None:
    """The words that a call reads, if they lie in their logical order."""
    x = buffer_of(call, "x")
    return None if x in low.last or x in low.across else x


def places(call: Call) -> dict[str, Number]:
    """How many places the words of all samples have."""
    return {"count": Scaled(prod(buffer_of(call, "x").tensor.dims))}


def forward(low: Lowering, call: Call) -> bool:
    """``y``, as rows."""
    x, out = words(low, call), call.out.buffer
    if x is None or not lies_in_rows(low, call.out):
        return False
    known = {"x": low.operand(x), "weight": reads(call, "weight")}
    numbers = {
        **places(call), "c": call.out.view[1], "step": low.step(out), "pad": call.baked["pad"],
    }  # fmt: skip
    low.emit(embedding_forward, low.operand(out), known, numbers)
    return True


def chain(low: Lowering, call: Call) -> bool:
    """``first`` and ``later``."""
    x, later = words(low, call), low.of_owner(call).get("later")
    if x is None or later is None:
        return False
    low.take(later)
    known = {"later": low.operand(later.out.buffer), "x": low.operand(x)}
    numbers = {**places(call), "vocab": call.out.buffer.tensor.size}
    low.emit(embedding_chain, low.operand(call.out.buffer), known, numbers)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """``dweight``, from rows."""
    dy = call.reads["dy"]
    assert isinstance(dy, Operand)
    if not lies_in_rows(low, dy):
        return False
    known = {
        "dy": low.stored(dy.buffer), "begin": reads(call, "first"), "later": reads(call, "later"),
    }  # fmt: skip
    vocab, c = call.out.buffer.tensor.dims
    numbers = {
        **places(call), "vocab": vocab, "c": c, "step": low.step(dy.buffer),
        "pad": call.baked["pad"], "add": int(call.add),
    }  # fmt: skip
    low.emit(embedding_weight, low.operand(call.out.buffer), known, numbers)
    return True


RULES = {
    (Embedding, "y"): forward, (Embedding, "first"): chain, (Embedding, "dweight"): backward,
}  # fmt: skip
