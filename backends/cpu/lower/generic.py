"""Calls that no rule knows: generic kernels, over tensors in an order that they can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netdsl.schedule import Call, Operand

if TYPE_CHECKING:
    from netdsl.backends.cpu.lower.lowering import Lowering


def keep_generic(low: Lowering, call: Call) -> None:
    """A call as it is, over tensors in memory in an order that it can read."""
    operands = (call.out, *call.operands())
    for operand in operands:
        if operand is not call.out or call.add:
            low.store(operand.buffer)
    call = at_home(low, call)
    operands = (call.out, *call.operands())
    if call.kernel.scalar and all(low.whole(operand) for operand in operands):
        reads = {name: each(read, low.as_it_lies) for name, read in call.reads.items()}
        low.before(call.out.buffer)
        low.made.append(replace(call, out=low.as_it_lies(call.out), reads=reads))
        return
    reads = {name: alike(each(read, low.seen)) for name, read in call.reads.items()}
    low.before(call.out.buffer)
    if call.out.buffer not in low.last and call.out.buffer not in low.across:
        low.lazy.forget(call.out.buffer)
        low.made.append(replace(call, reads=reads))
    elif low.visible(call.out):
        low.lazy.forget(call.out.buffer)
        low.made.append(replace(call, out=replace(call.out, strided=True), reads=reads))
    else:
        turned(low, call, reads)


def at_home(low: Lowering, call: Call) -> Call:
    """A call that finds tensors where they are."""

    def there(operand: Operand) -> Operand:
        return replace(operand, buffer=low.home(operand.buffer))

    reads = {name: each(read, there) for name, read in call.reads.items()}
    return replace(call, out=there(call.out), reads=reads)


def turned(low: Lowering, call: Call, reads: Mapping[str, Any]) -> None:
    """A call that makes a picture in the logical order, which is then put in the other one."""
    buffer = call.out.buffer
    plain = replace(buffer, name=f"{buffer.name}plain")
    low.made.append(replace(call, out=replace(call.out, buffer=plain), reads=reads, add=False))
    low.bring(buffer, plain, int(call.add))


def each(read: Any, change: Callable[[Operand], Operand]) -> Any:
    """An operand, several, or none, changed."""
    if isinstance(read, tuple):
        return tuple(change(operand) for operand in read)
    return None if read is None else change(read)


def alike(read: Any) -> Any:
    """Several operands that a kernel goes through in turn: all through strides if one is."""
    if isinstance(read, tuple) and any(operand.strided for operand in read):
        return tuple(replace(operand, strided=True) for operand in read)
    return read
