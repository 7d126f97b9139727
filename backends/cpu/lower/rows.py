"""Sequences as rows: position after position, the channels of each side by side."""

from __future__ import annotations

from dataclasses import replace

from netdsl.backends.cpu.layout import to_first, to_last
from netdsl.backends.cpu.lower.layouts import is_picture
from netdsl.backends.cpu.lower.lazy import COUNT
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.schedule import Buffer, Call, Operand
from netdsl.tensor import Tensor


def lies_in_rows(low: Lowering, read: Operand) -> bool:
    """Whether a sequence lies so, as its layer sees it: ``(batch, channels, positions)``."""
    buffer = read.buffer
    if buffer in low.across or buffer.tensor.channels != read.view[1]:
        return False
    return buffer in low.last or not is_picture(buffer)


def rows_of(low: Lowering, call: Call, name: str) -> tuple[Operand, int]:
    """A sequence that a call reads, as rows, and how far they are apart."""
    read = call.reads[name]
    assert isinstance(read, Operand)
    if lies_in_rows(low, read):
        return low.stored(read.buffer), low.step(read.buffer)
    _, c, positions = read.view
    copy = low.operand(rows_for(call, f"{name}rows", read))
    numbers = {"n": COUNT, "c": c, "positions": positions, "step": c, "add": 0}
    low.emit(to_last, copy, {"x": low.lines(read)}, numbers)
    return copy, c


def rows_for(call: Call, name: str, like: Operand) -> Buffer:
    """Memory for the rows of a sequence."""
    return Buffer("aux", call.owner, name, Tensor(like.view[1:]))


def out_of_rows(low: Lowering, out: Operand, rows: Buffer, add: int) -> None:
    """Put, or add, rows to where a sequence lies in another order."""
    buffer = out.buffer
    turned = buffer in low.last or buffer in low.across
    plain = replace(buffer, name=f"{buffer.name}plain") if turned else buffer
    _, c, positions = out.view
    numbers = {
        "n": COUNT, "c": c, "positions": positions, "x_step": c, "add": 0 if turned else add,
    }  # fmt: skip
    low.emit(to_first, low.operand(plain), {"x": low.operand(rows)}, numbers)
    if turned:
        low.bring(buffer, plain, add)
