"""From generic calls to the CPU's kernels: what is fused, what is never written, what is copied.

The calls of a forward pass, and of the backward pass behind it, are gone through in order. Rules
put a kernel of the CPU in the place of those that they know, or of several at once. A value that
all its readers can make while they read it is not stored: it is ``lazy``, until a reader wants it
in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from netdsl.backends.cpu.across import from_across, to_across
from netdsl.backends.cpu.join import materialise
from netdsl.backends.cpu.layout import to_first, to_last
from netdsl.backends.cpu.lower.generic import keep_generic
from netdsl.backends.cpu.lower.layouts import can_be_seen
from netdsl.backends.cpu.lower.lazy import COUNT, Lazies, Lazy, Source, counted
from netdsl.backends.cpu.lower.notes import GENERIC, Notes
from netdsl.backends.override import task_of
from netdsl.kernel import Kernel
from netdsl.op import Op
from netdsl.schedule import Buffer, Call, Number, Operand, Place
from netdsl.tensor import Tensor

if TYPE_CHECKING:
    from netdsl.backends.cpu.lower.products import Products

Rule = Callable[["Lowering", Call], bool]
"""Lowers a call, if it can: True if so. It may take others that follow along: `Lowering.take`."""


class Lowering:
    """One run over the calls of passes that follow one another."""

    def __init__(
        self,
        passes: Sequence[Sequence[Call]],
        last: frozenset[Buffer],
        places: Mapping[Buffer, Place],
        kept: set[Buffer],
        rules: Mapping[tuple[type[Op], str], Rule],
        training: bool,
        real: str,
        tile: int,
        across: frozenset[Buffer],
        products: Products,
    ) -> None:
        self.passes, self.calls = passes, [call for part in passes for call in part]
        self.last, self.places, self.kept, self.rules = last, dict(places), kept, rules
        self.training, self.real, self.tile = training, real, tile
        self.across, self.products = set(across), products
        self.at = 0
        self.taken: set[int] = set()
        self.lazy = Lazies()
        self.plain: dict[Buffer, Buffer] = {}
        self.homes: dict[Buffer, Buffer] = {}
        self.guests: dict[Buffer, list[Buffer]] = {}
        self.hosts = {place.host for place in places.values()}
        self.numbers = {id(call): i for i, call in enumerate(self.calls)}
        self.owned: dict[str, list[int]] = {}
        self.made: list[Call] = []
        self.first: list[Call] = []
        self.notes: dict[Any, Any] = {}
        self.told = Notes(training)
        self.readers: dict[Buffer, list[int]] = {}
        for i, call in enumerate(self.calls):
            self.owned.setdefault(call.owner, []).append(i)
            for buffer in {operand.buffer for operand in call.operands()}:
                self.readers.setdefault(buffer, []).append(i)

    def run(self, copies: Mapping[Buffer, Buffer]) -> list[tuple[Call, ...]]:
        """The passes anew; ``copies`` are made first of what the user gives."""
        done: list[tuple[Call, ...]] = []
        for copy, original in copies.items():
            readers = self.readers.get(copy, [])
            if readers and readers[0] < len(self.passes[0]):
                self.at = readers[0]
                self.bring(copy, original, 0)
        self.at = 0
        for part in self.passes:
            for call in part:
                if self.at not in self.taken:
                    begun = len(self.made)
                    rule = self.rules.get((type(call.op), call.kernel.makes))
                    if rule is None or not rule(self, call):
                        keep_generic(self, call)
                        self.told.decide(call, GENERIC, "no kernel of its own")
                    self.told.done(call, self.made[begun:], self.lazy)
                self.at += 1
            if not done:
                for buffer in sorted(self.kept & set(self.lazy), key=str):
                    self.store(buffer)
            done.append(tuple(self.made))
            self.made = []
        return done

    # ---- what is ahead -----------------------------------------------------------

    def take(self, *calls: Call) -> None:
        """These calls are done with: a rule has seen to them."""
        self.taken.update(self.index(call) for call in calls)
        self.told.took(self.calls[self.at], calls)

    def index(self, call: Call) -> int:
        """Where a call stands."""
        return self.numbers[id(call)]

    def ahead(self, buffer: Buffer) -> list[Call]:
        """The calls after this one that read a buffer."""
        found = (i for i in self.readers.get(buffer, ()) if i > self.at and i not in self.taken)
        return [self.calls[i] for i in found]

    def of_owner(self, call: Call) -> dict[str, Call]:
        """The calls of the same layer in this pass that are not done yet, by what they make."""
        found: dict[str, Call] = {}
        for i in self.owned[call.owner]:
            if i >= self.at and i not in self.taken:
                found.setdefault(self.calls[i].kernel.makes, self.calls[i])
        return found

    # ---- tensors -----------------------------------------------------------------

    def home(self, buffer: Buffer) -> Buffer:
        """The buffer in whose memory a tensor is: mostly its own."""
        while buffer in self.homes:
            buffer = self.homes[buffer]
        return buffer

    def operand(self, buffer: Buffer) -> Operand:
        """A buffer as it lies in memory."""
        return Operand(self.home(buffer), (-1,), memory=True)

    def place(self, buffer: Buffer) -> Place:
        """Where a tensor is: in its home, or in what that lies in."""
        home = self.home(buffer)
        return self.places.get(home, Place(home))

    def step(self, buffer: Buffer) -> int:
        """How far positions are apart."""
        return self.place(buffer).host.tensor.channels

    def source(self, buffer: Buffer) -> Source:
        """A tensor that a kernel reads, lazy or not."""
        lazy = self.lazy.get(buffer, Lazy(buffer))
        if buffer in self.lazy and self.at < len(self.calls):
            self.told.read(buffer, self.calls[self.at].owner)
        ref = lazy.ref and self.operand(lazy.ref)
        coef = lazy.coef and self.operand(lazy.coef)
        ref_step = self.step(lazy.ref) if lazy.ref else 0
        return Source(
            self.operand(lazy.x), ref, coef, self.step(lazy.x), ref_step, lazy.lo, lazy.hi
        )

    def stored(self, buffer: Buffer) -> Operand:
        """A tensor that a kernel wants in memory."""
        self.store(buffer)
        return self.operand(buffer)

    def store(self, buffer: Buffer) -> None:
        """Write a lazy tensor to its memory."""
        if buffer not in self.lazy:
            return
        source, lazy = self.source(buffer), self.lazy[buffer]
        del self.lazy[buffer]
        if lazy == Lazy(lazy.x) and self.free(lazy.x, buffer):
            self.house(buffer, lazy.x)
        else:
            self.told.written.add(buffer)
            self.spread(source, buffer, 0)

    def free(self, memory: Buffer, wanted: Buffer) -> bool:
        """Whether nobody reads a buffer any more, so that another tensor can stay in its memory."""
        if self.ahead(memory) or {memory, wanted} & self.kept or wanted in self.places:
            return False
        if wanted in self.hosts or any(map(self.used, self.lodgers(memory))):
            return False
        others = self.lazy.needing.get(memory, ())
        return memory.role == wanted.role == "grad" and not any(map(self.ahead, others))

    def lodgers(self, host: Buffer) -> list[Buffer]:
        """The tensors that lie among the channels of another one."""
        if host not in self.hosts:
            return []
        return [buffer for buffer, place in self.places.items() if place.host == host]

    def used(self, buffer: Buffer) -> bool:
        """Whether a call from this one on makes or reads a tensor."""
        return bool(self.ahead(buffer)) or not self.made_already(buffer)

    def house(self, buffer: Buffer, memory: Buffer) -> None:
        """Let a tensor stay in the memory of another one."""
        self.homes[buffer] = memory
        self.guests.setdefault(self.home(buffer), []).append(buffer)

    def can_house(self, buffer: Buffer, memory: Buffer) -> bool:
        """Whether a tensor may be written over another one, whose last reader makes it."""
        if memory in self.lazy or not {memory, buffer} <= self.last:
            return False
        apart = {*self.kept, *self.places, *self.hosts}
        return not {memory, self.home(memory), buffer} & apart

    def made_already(self, buffer: Buffer) -> bool:
        """Whether no call from this one on makes a tensor."""
        left = (i for i in range(self.at, len(self.calls)) if i not in self.taken)
        return all(self.calls[i].out.buffer != buffer for i in left)

    def spread(self, source: Source, out: Buffer, add: int) -> None:
        """Write, or add, a tensor that is made while it is read."""
        numbers = {
            **counted(out), "step": self.step(out), "x_step": source.step,
            "ref_step": source.ref_step, "add": add, "lo": source.lo, "hi": source.hi,
        }  # fmt: skip
        reads = {"x": source.x, "ref": source.ref, "coef": source.coef}
        self.emit(materialise, self.operand(out), reads, numbers)

    def before(self, out: Buffer) -> None:
        """See to it that what is made from a buffer is made before the buffer changes."""
        self.plain.pop(out, None)
        out = self.home(out)
        for need in (out, *self.guests.get(out, ())):
            for buffer in list(self.lazy.needing.get(need, ())):
                if buffer not in self.lazy or self.home(buffer) == out:
                    continue
                if self.ahead(buffer) or buffer in self.kept:
                    self.store(buffer)
                else:
                    del self.lazy[buffer]

    def part(self, whole: Buffer, tensor: Tensor, place: Place, start: int) -> Buffer:
        """Some channels of a tensor, as a buffer of their own."""
        part = Buffer(whole.role, whole.owner, f"{whole.name}from{start}", tensor)
        self.places[part] = place
        self.hosts.add(place.host)
        return part

    def settle(self, buffer: Buffer, place: Place) -> bool:
        """Let a gradient lie among the channels of another, if it can: all that follows adds."""
        if buffer in self.places or buffer in self.kept:
            return False
        if buffer in self.hosts:  # what lies in it would have to move along
            return False
        self.places[buffer] = place
        self.hosts.add(place.host)
        return True

    def aux(self, call: Call, name: str, size: int, batch: bool = False) -> Buffer:
        """Memory for what kernels make for one another.

        That of evaluation is not that of training: what is prepared for it stays all the time.
        """
        name = name if self.training else f"eval_{name}"
        return Buffer("aux", call.owner, name, Tensor((max(size, 1),), batch=batch))

    # ---- calls -------------------------------------------------------------------

    def emit(
        self,
        body: Callable[..., Any],
        out: Operand,
        reads: Mapping[str, Operand | None],
        numbers: Mapping[str, Number],
        baked: Mapping[str, Any] | None = None,
        first: bool = False,
    ) -> None:
        """Run a kernel of the CPU.

        What reads weights alone comes ``first``, before all else, where no training changes them.
        """
        task = task_of(body)
        assert task is not None
        baked = baked or {}
        arrays = [name for name, kind in task.operands.items() if kind in ("array", "words")]
        passed = {name: {**numbers, **baked}[name] for name in task.numbers(baked)}
        written = [out, *(reads[name] for name in task.writes if name != arrays[0])]
        for operand in written:
            if operand is not None:
                self.before(operand.buffer)
        call = self.calls[min(self.at, len(self.calls) - 1)]
        kernel = Kernel(
            fn=body, makes=body.__name__, index=(), reads=tuple(arrays[1:]), many=None,
            numbers=tuple(passed), when="always", scalar=False,
        )  # fmt: skip
        new = Call(
            call.owner, call.place, call.op, kernel, out,
            {name: reads[name] for name in arrays[1:]}, baked, passed,
        )  # fmt: skip
        (self.first if first and not self.training else self.made).append(new)

    def bring(self, buffer: Buffer, plain: Buffer, add: int) -> None:
        """Put a picture that is in the logical order into the one in which it lies."""
        assert not (add and buffer in self.across), "what lies across has one reader"
        self.convert(to_across if buffer in self.across else to_last, buffer, plain, buffer, add)

    def lanes(self, call: Call, name: str, tensor: Tensor) -> Buffer:
        """Memory for a number beside each one of a picture that lies across."""
        buffer = Buffer("aux", call.owner, name, tensor)
        self.across.add(buffer)
        return buffer

    def convert(
        self, body: Callable[..., Any], out: Buffer, x: Buffer, last: Buffer, add: int = 0
    ) -> None:
        """Copy a picture to the other order of axes."""
        numbers = {
            "n": COUNT, "c": out.tensor.channels, "positions": prod(out.tensor.dims[1:]),
            "step": self.step(last), "x_step": self.step(last), "add": add,
        }  # fmt: skip
        self.emit(body, self.operand(out), {"x": self.operand(x)}, numbers)

    def needs_turn(self, operand: Operand) -> bool:
        """Whether a tensor lies in another order than that in which a kernel goes through it."""
        buffer = operand.buffer
        return (buffer in self.last or buffer in self.across) and not self.visible(operand)

    def lines(self, read: Operand | tuple[Operand, ...] | None) -> Operand:
        """A tensor as rows in its logical order, one for each sample."""
        assert isinstance(read, Operand)
        self.store(read.buffer)
        there = replace(read, buffer=self.home(read.buffer))
        return replace(self.seen(there), view=(-1,), memory=True, strided=False)

    def whole(self, operand: Operand) -> bool:
        """Whether a tensor lies in one piece, in the order of a picture (or has no order)."""
        return operand.buffer in self.last and self.home(operand.buffer) not in self.places

    def as_it_lies(self, operand: Operand) -> Operand:
        """The same as one row of numbers."""
        return self.operand(operand.buffer)

    def visible(self, operand: Operand) -> bool:
        """Whether strides can show a picture as a kernel wants it."""
        if operand.buffer in self.across:
            return False
        return can_be_seen(operand, self.step(operand.buffer))

    def seen(self, operand: Operand) -> Operand:
        """What a generic kernel reads, through strides or from a copy in the logical order."""
        buffer = operand.buffer
        if buffer not in self.last and buffer not in self.across:
            return operand
        if self.visible(operand):
            return replace(operand, strided=True)
        if buffer not in self.plain:
            plain = replace(buffer, name=f"{buffer.name}plain")
            body = from_across if buffer in self.across else to_first
            self.convert(body, plain, buffer, buffer)
            self.plain[buffer] = plain
        return replace(operand, buffer=self.plain[buffer])
