"""Which tensors lie with their channels last, and which inside the memory of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from netdsl.ops.add import Add
from netdsl.ops.concat import Concat
from netdsl.schedule import Buffer, Call, Operand, Place
from netdsl.tensor import Tensor


def is_picture(buffer: Buffer) -> bool:
    """Whether the order of its axes makes a difference: channels and positions, more than one."""
    tensor = buffer.tensor
    known = buffer.role in ("value", "grad") and tensor.batch and len(tensor.dims) > 1
    return known and tensor.channels > 1 and prod(tensor.dims[1:]) > 1


def touched(call: Call) -> list[Buffer]:
    """The pictures that a call reads or makes."""
    operands = (call.out, *call.operands())
    return [operand.buffer for operand in operands if is_picture(operand.buffer)]


def channels_last(calls: Sequence[Call], wanting: Iterable[Call]) -> frozenset[Buffer]:
    """The pictures that kernels want so, and those that share elementwise work with them."""
    found = {buffer for call in wanting for buffer in touched(call)}
    together = [c for c in calls if c.kernel.scalar or isinstance(c.op, (Add, Concat))]
    before = -1
    while len(found) > before:
        before = len(found)
        for call in together:
            buffers = touched(call)
            if not found.isdisjoint(buffers):
                found.update(buffers)
    return frozenset(found)


def lies(tensor: Tensor, step: int, batch: int = 2) -> np.ndarray:
    """An array without memory, in the logical order of a tensor whose positions are apart."""
    sizes = (*tensor.dims[1:], step)
    strides = [prod(sizes[axis:]) for axis in range(len(sizes) + 1)]
    array = np.lib.stride_tricks.as_strided(
        np.zeros((), np.int8), (batch, *tensor.dims[1:], tensor.channels), strides
    )
    return np.moveaxis(array, -1, 1)


def can_be_seen(operand: Operand, step: int) -> bool:
    """Whether strides can show a buffer whose channels lie last as an operand wants it."""
    try:
        lies(operand.buffer.tensor, step).reshape(operand.view, copy=False)
    except ValueError:
        return False
    return True


def concatenations(calls: Iterable[Call], last: frozenset[Buffer]) -> dict[Buffer, Place]:
    """Inputs of concatenations that are made where they are wanted: in the memory of the whole.

    The largest come first: what is joined again and again lies in one host.
    """
    found: dict[Buffer, Place] = {}
    joins = [c for c in calls if isinstance(c.op, Concat) and c.kernel.makes == "y"]
    for call in reversed(joins):
        whole = call.out.buffer
        if whole not in last:
            continue
        parts = [operand.buffer for operand in call.operands()]
        start, host = 0, found.get(whole, Place(whole))
        for part in parts:
            free = part in last and part not in found and part != host.host
            if free and parts.count(part) == 1 and part.role == "value":
                found[part] = Place(host.host, host.first + start)
            start += part.tensor.channels
    return _flat(found)


def _flat(places: dict[Buffer, Place]) -> dict[Buffer, Place]:
    """Places in hosts that lie in no other."""
    done: dict[Buffer, Place] = {}
    for buffer, place in places.items():
        while place.host in places:
            outer = places[place.host]
            place = Place(outer.host, outer.first + place.first)
        done[buffer] = place
    return done
