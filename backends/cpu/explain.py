"""What the CPU makes of a network, told for people: kernels and why, and the plan of its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from netdsl.backends.cpu.arena import arrange
from netdsl.backends.cpu.lower.notes import FUSED, LAZY, WRITTEN
from netdsl.backends.lives import lives
from netdsl.backends.model_text import ModelText, key
from netdsl.backends.override import task_of
from netdsl.schedule import Buffer, Call, Counted, Note, Number, Scaled, Schedule, Symbol

ELEMENT = 4
"""The bytes of a number: float32, and whole numbers are as long."""
MADE = ("y", "dx", "dweight")
"""The tensors of a layer that people know."""


# ---- kernels -------------------------------------------------------------------------------------


class Choices:
    """What was decided for the layers of a lowered schedule, in training or in prediction."""

    def __init__(self, schedule: Schedule, training: bool) -> None:
        notes = (note for note in schedule.notes if note.training == training)
        self.notes = {(note.owner, note.makes): note for note in notes}

    def get(self, owner: str, makes: str) -> Note | None:
        """The note on a tensor of a layer, if a kernel makes it."""
        return self.notes.get((owner, makes))

    def of(self, owner: str) -> dict[str, Note]:
        """The notes on ``y`` and the gradients of a layer; there is none on what is not made."""
        found = ((name, self.get(owner, name)) for name in MADE)
        return {name: note for name, note in found if note}


def words(note: Note, whole: bool = False) -> str:
    """How a tensor is made: ``direct``, ``fused into conv1``, ``made in conv2``, which reads it.

    One is named as one says it here, unless all shall be told as a ``whole``.
    """
    if note.how not in (FUSED, LAZY, WRITTEN):
        return note.how
    verb = {FUSED: "fused into", LAZY: "made in", WRITTEN: "written for"}[note.how]
    if whole or not note.into:
        return f"{verb} {', '.join(note.into) or 'its reader'}"
    first, *others = note.into
    more = f" +{len(others)}" if others else ""
    return f"{verb} {near(note.owner, first)}{more}"


def near(name: str, other: str) -> str:
    """Another layer's name as one says it beside this one: without the blocks around both."""
    here, there = name.split(".")[:-1], other.split(".")
    while here and len(there) > 1 and here[0] == there[0]:
        here, there = here[1:], there[1:]
    return short(".".join(there))


def short(name: str) -> str:
    """``stage1…conv2`` of a name that goes through several blocks."""
    first, *between, last = ("", *name.split("."))
    return f"{between[0]}…{last}" if len(between) > 1 else f"{first}{name}"


def reason(note: Note) -> str:
    """Why it is made so, with names as one says them beside it."""
    begin, _, name = note.why.partition("statistics with ")
    return note.why if begin or not name else f"statistics with {near(note.owner, name)}"


# ---- memory --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lived:
    """A tensor of a step: its bytes, and the calls of training between which it is wanted."""

    name: str
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """The bytes that a network takes with a batch, and the tensors that share the arena."""

    arena: int
    weights: int
    gradients: int
    optimizer: int
    state: int
    work: int
    """Of one thread: what kernels use for themselves."""
    tensors: tuple[Lived, ...]

    def total(self, threads: int) -> int:
        """All of it, with so many threads."""
        kept = self.weights + self.gradients + self.optimizer + self.state
        return self.arena + kept + self.work * threads


def memory(schedule: Schedule, batch: int) -> Memory:
    """What the engine will allocate for a lowered schedule, by the engine's own arrangement."""
    own = ModelText(schedule).own()
    sizes = {key(buffer): size(buffer, batch) for buffer in own}
    spans = {key(buffer): value for buffer, value in lives(schedule, own).items()}
    _, together = arrange(sizes, spans)
    held = ELEMENT * schedule.size
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    # The first of the spans is that of training, the last that of prediction.
    which = 0 if schedule.train and schedule.lr is not None else -1
    return Memory(
        arena=together,
        weights=held,
        gradients=held - sum(ELEMENT * buffer.tensor.size for buffer in schedule.unheld),
        optimizer=held * len(schedule.slots),
        state=sum(ELEMENT * buffer.tensor.size for buffer, _ in schedule.states),
        work=ELEMENT * max((scratch(call, batch) for call in steps(schedule)), default=0),
        tensors=tuple(Lived(name, sizes[name], *spans[name][which]) for name in order),
    )


def size(buffer: Buffer, batch: int) -> int:
    """The bytes of a tensor of a step."""
    return ELEMENT * buffer.tensor.size * (batch if buffer.tensor.batch else 1)


def steps(schedule: Schedule) -> tuple[Call, ...]:
    """The calls of a step: of training, or of prediction where there is no training."""
    if schedule.lr is None:
        return schedule.predict
    return (*schedule.train, *schedule.backward, *schedule.update)


def scratch(call: Call, batch: int) -> int:
    """How many numbers a thread wants for itself to do a call."""
    task = task_of(call.kernel.fn)
    if task is None or task.memory is None:
        return 0
    known = {**call.baked, **at(call.passed.items(), batch)}
    if task.plan:
        known |= task.plan(**{name: known[name] for name in signature(task.plan).parameters})
    return task.memory(**{name: known[name] for name in signature(task.memory).parameters})


def at(numbers: Iterable[tuple[str, Number]], batch: int) -> Mapping[str, Any]:
    """Numbers as they are for a batch."""

    def value(number: Number) -> Any:
        if isinstance(number, Counted):
            return number.fn(**at(number.arguments, batch))
        if isinstance(number, Scaled):
            return number.factor * batch
        return batch if isinstance(number, Symbol) else number

    return {name: value(number) for name, number in numbers}
