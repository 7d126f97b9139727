"""The CPU's passes over a schedule: layouts first, then kernels, fused where they meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from netdsl.backends.cpu.lower import (
    across,
    clamp,
    conv,
    dense,
    embedding,
    flat,
    join,
    losses,
    lrn,
    norm,
    pool,
    recurrent,
    separable,
    upconv,
    update,
)
from netdsl.backends.cpu.lower.layouts import channels_last, concatenations
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.products import Products
from netdsl.ops.avgpool import AvgPool
from netdsl.ops.bn import BatchNorm
from netdsl.ops.conv import Conv
from netdsl.ops.global_avgpool import GlobalAvgPool
from netdsl.ops.global_maxpool import GlobalMaxPool
from netdsl.ops.lrn import LocalResponseNorm
from netdsl.ops.maxpool import MaxPool
from netdsl.ops.upconv import UpConv
from netdsl.recurrent import Recurrent
from netdsl.schedule import Buffer, Call, Note, Operand, Schedule

RULES = {
    **clamp.RULES, **conv.RULES, **dense.RULES, **embedding.RULES, **flat.RULES, **join.RULES,
    **losses.RULES, **lrn.RULES, **norm.RULES, **pool.RULES, **recurrent.RULES,
    **separable.RULES, **upconv.RULES, **update.RULES,
}  # fmt: skip
TILES = {"exact": 0, "normal": 2, "fast": 4}
"""The largest of Winograd's tiles that a precision allows; 0 is none."""
WANTING = (
    Conv, UpConv, BatchNorm, LocalResponseNorm, MaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool,
    Recurrent,
)  # fmt: skip
"""Layers whose kernels want the channels last."""


def lower(schedule: Schedule, real: str) -> Schedule:
    """The same schedule with the kernels of the CPU."""
    calls = tuple(schedule.calls())
    wanting = [call for call in calls if isinstance(call.op, WANTING)]
    last = channels_last(calls, wanting)
    kept = {output.buffer for output in schedule.outputs}
    kept |= {schedule.scored.buffer} if schedule.scored else set()
    lanes = frozenset[Buffer]()
    if real == "f4":
        lanes = across.across(schedule.train or schedule.predict, kept)
        last = frozenset() if lanes else last
    copies = {b: replace(b, name="last") for b in given(schedule) if b in last}
    copies |= {b: replace(b, name="across") for b in given(schedule) if b in lanes}
    lanes = lanes - set(copies) | {b for b in copies.values() if b.name == "across"}
    lanes |= {replace(b, role="grad") for b in lanes}
    schedule = moved(schedule, copies)
    last = last - set(copies) | {b for b in copies.values() if b.name == "last"}
    rules = {**RULES, **across.RULES} if lanes else RULES
    places = concatenations(schedule.train or schedule.predict, last - set(copies.values()))
    done: dict[str, tuple[Call, ...]] = {}
    found, lying, notes = dict(places), set[Buffer](), list[Note]()
    products = Products(schedule)

    def run(training: bool, **passes: tuple[Call, ...]) -> tuple[Call, ...]:
        parts, tile = list(passes.values()), TILES[schedule.precision]
        low = Lowering(parts, last, places, kept, rules, training, real, tile, lanes, products)
        done.update(zip(passes, low.run({new: old for old, new in copies.items()}), strict=True))
        found.update(low.places)
        lying.update(low.across)
        notes.extend(low.told.all())
        return tuple(low.first)

    run(True, train=schedule.train, backward=schedule.backward)
    late = tuple(call for call in schedule.backward if call.out.buffer in products)
    run(True, update=schedule.update, product=late)
    first = (*run(False, predict=schedule.predict), *run(False, evaluate=schedule.evaluate))
    prepare = tuple({call.out.buffer: call for call in first}.values())
    lowered = replace(schedule, **done, prepare=prepare, places=found, notes=tuple(notes))
    used = {*buffers(lowered), *(place.host for place in found.values())}
    return replace(lowered, last=frozenset(used & last), across=frozenset(used & lying))


def moved(schedule: Schedule, copies: Mapping[Buffer, Buffer]) -> Schedule:
    """A schedule that reads copies in the place of what the user gives."""

    def other(operand: Operand) -> Operand:
        return replace(operand, buffer=copies.get(operand.buffer, operand.buffer))

    def each(read: Any) -> Any:
        return tuple(map(other, read)) if isinstance(read, tuple) else read and other(read)

    def call(old: Call) -> Call:
        return replace(old, reads={name: each(read) for name, read in old.reads.items()})

    names = ("train", "evaluate", "predict", "backward")
    passes = {name: tuple(map(call, getattr(schedule, name))) for name in names}
    return replace(schedule, **passes)


def given(schedule: Schedule) -> set[Buffer]:
    """What the user feeds, and what is compared with it."""
    return {*schedule.inputs, *([schedule.target] if schedule.target else [])}


def buffers(schedule: Schedule) -> Iterator[Buffer]:
    """All that calls read or make."""
    for call in schedule.calls():
        yield from (operand.buffer for operand in (call.out, *call.operands()))
    yield from (*schedule.inputs, *(output.buffer for output in schedule.outputs))
