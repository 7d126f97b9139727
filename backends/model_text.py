"""The text of a network's class: its tables, where its tensors lie, and its passes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isinf, prod
from typing import Any

from netdsl.backends.kernels import constants, plain_callees, source_text
from netdsl.backends.lives import lives
from netdsl.backends.override import task_of
from netdsl.schedule import Buffer, Call, Counted, Number, Operand, Scaled, Schedule, Symbol
from netdsl.tensor import dims_text

PREFIX = {
    "value": "v", "grad": "g", "aux": "a", "weight": "w", "dweight": "d", "state": "s",
    "target": "v", "loss": "v",
}  # fmt: skip
"""What stands before a layer's name: v and g for a value and its gradient, w and d for a weight
and its gradient, a for what kernels make for one another, s for what outlives the step."""


class Names:
    """Identifiers for what a network has, each behind a fixed prefix, no two the same."""

    def __init__(self) -> None:
        self.known: dict[object, str] = {}
        self.taken: set[str] = set()

    def unique(self, thing: object, wanted: str) -> str:
        """The name of a thing: the one it has, else the wanted one, longer if another has that."""
        if thing not in self.known:
            while wanted in self.taken:
                wanted += "_"
            self.taken.add(wanted)
            self.known[thing] = wanted
        return self.known[thing]

    def kernel(self, call: Call) -> str:
        """What a kernel is called that is made for a call: ``k_conv1_y``."""
        if task_of(call.kernel.fn):
            return f"k_{call.kernel.fn.__name__}"
        owner = call.owner.replace(".", "_") or "update"
        add = "_add" if call.add else ""
        return f"k_{owner}_{call.kernel.fn.__name__}{add}"

    def attribute(self, operand: Operand) -> str:
        """Where a tensor is kept in the shape that a kernel wants: ``t.v_conv1_5d``."""
        buffer = operand.buffer
        if operand.part:
            roles = {"weight": "weights", "dweight": "gradients"}
            wanted = f"all_{roles.get(buffer.role, buffer.name)}"
        else:
            names = filter(None, (buffer.owner.replace(".", "_"), buffer.name))
            wanted = f"{PREFIX[buffer.role]}_{'_'.join(names)}_{len(operand.view)}d"
        return f"t.{self.unique(operand, wanted)}"


class ModelText:
    """Writes the class of a network."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.names = Names()
        self.kernels: dict[int, str] = {}  # by the identity of calls, which are not hashable

    @classmethod
    def of(cls, schedule: Schedule, kernels: Iterable[Sequence[Call]]) -> ModelText:
        """A writer for a schedule; calls that share a kernel come together."""
        text = cls(schedule)
        for calls in kernels:
            name = text.names.unique(id(calls[0]), text.names.kernel(calls[0]))
            text.kernels.update(dict.fromkeys(map(id, calls), name))
        return text

    def kernel(self, call: Call) -> str:
        """The name of the kernel for a call."""
        return self.kernels[id(call)]

    def text(self) -> str:
        """The class."""
        s = self.schedule
        takes = _listed(buffer for buffer in s.inputs if buffer not in s.unread)
        beside = f"    Training and evaluation also take {_listed(s.unread)}."
        gives = ", ".join(f"{o.name} ({dims_text(o.tensor.dims)})" for o in s.outputs)
        lines = [
            "class Model(Engine):",
            f'    """The network {s.name}: {s.size:,} parameters.',
            "",
            f"    It takes {takes} and gives {gives}.",
            *([beside] if s.unread and s.losses else []),
            '    """',
            "",
            *self.tables(),
            "",
            *self.bind(),
            *self.passes(),
        ]
        return "\n".join(lines)

    # ---- tables ------------------------------------------------------------------

    def tables(self) -> Iterator[str]:
        """What the engine must know of the network, as data."""
        s = self.schedule
        yield from _table("INPUTS", (self.fed(buffer) for buffer in s.inputs))
        if s.unread:
            yield f"    UNREAD = {_literal(tuple(map(key, s.unread)))}"
        yield from _table("OUTPUTS", ((o.name, key(o.buffer), o.tensor.dims) for o in s.outputs))
        if s.target:
            yield f"    TARGET = {_literal(self.fed(s.target))}"
        if s.scored:
            yield f"    SCORED = {_literal((key(s.scored.buffer), s.scored.tensor.dims))}"
        draws = [(p, p.weight.init.draw(p.weight.fan_in, p.weight.fan_out)) for p in s.weights]
        rows = ((str(p.buffer), p.weight.dims, p.start, *draw) for p, draw in draws)
        yield from _table("WEIGHTS", rows)
        yield from _table("STATE", ((str(b), b.tensor.dims, value) for b, value in s.states))
        own = self.own()
        tensors = ((b, b.tensor, self.lies(b)) for b in own)
        rows = ((key(b), t.dims, t.dtype, t.batch, lies) for b, t, lies in tensors)
        yield from _table("VALUES", rows)
        yield "    LIVES = {"
        yield from (f"        {_literal(key(b))}: {_literal(v)}," for b, v in lives(s, own).items())
        yield "    }"
        if places := [(b, s.places[b]) for b in self.buffers() if b in s.places]:
            rows = ((key(b), key(p.host), p.first, b.tensor.channels) for b, p in places)
            yield from _table("PLACES", rows)
        if s.product:
            yield f"    PRODUCTS = {_literal(tuple(map(str, s.unheld)))}"
        yield f"    SLOTS = {_literal(s.slots)}"
        yield f"    LOSSES = {_literal(tuple(key(b) for b in s.losses))}"
        yield f"    MEASURED = {_literal(tuple(key(b) for b in s.measured))}"
        yield f"    LR = {_literal(s.lr)}"
        yield "    KERNELS = {"
        names = dict.fromkeys(self.kernels.values())
        yield from (f"        {_literal(name[2:])}: {name}," for name in names)
        yield "    }"

    def lies(self, buffer: Buffer) -> str:
        """In which order of axes a tensor lies; empty where that is the logical one."""
        if buffer in self.schedule.across:
            return "across"
        return "last" if buffer in self.schedule.last else ""

    def fed(self, buffer: Buffer) -> tuple[Any, ...]:
        """What the engine must know of an array that the user gives."""
        tensor = buffer.tensor
        return (key(buffer), tensor.dims, tensor.dtype, self.schedule.classes.get(buffer))

    def buffers(self) -> list[Buffer]:
        """The tensors that a step leaves behind: all but weights and what belongs to them."""
        s = self.schedule
        found = dict.fromkeys((*s.inputs, *(output.buffer for output in s.outputs)))
        if s.target:
            found[s.target] = None
        found.update(dict.fromkeys(operand.buffer for operand in self.operands()))
        places = [s.places[buffer] for buffer in found if buffer in s.places]
        found.update(dict.fromkeys(place.host for place in places))
        return [b for b in found if b.role in ("value", "grad", "aux", "target", "loss")]

    def own(self) -> list[Buffer]:
        """Those of them that lie in no other."""
        return [buffer for buffer in self.buffers() if buffer not in self.schedule.places]

    def operands(self) -> list[Operand]:
        """All that kernels read or make, in each of the shapes in which they see it."""
        found: dict[Operand, None] = {}
        for call in self.schedule.calls():
            found.update(dict.fromkeys((call.out, *call.operands())))
        return list(found)

    # ---- methods -----------------------------------------------------------------

    def bind(self) -> Iterator[str]:
        """The method that gives every tensor the shapes in which kernels see it."""
        starts = {placed.buffer: placed.start for placed in self.schedule.weights}
        yield "    def bind(self, t):"
        yield '        """Every tensor in the shapes in which kernels see it; -1 is the batch."""'
        wheres = [(self.names.attribute(o), _where(o, starts)) for o in self.operands()]
        memories = {
            "values": "t.values",
            "memory": "t.memory",
            "flat": "self._flat",
            "state": "self._state",
        }
        for name, memory in memories.items():
            if any(where.startswith(f"{name}[") for _, where in wheres):
                yield f"        {name} = {memory}"
        yield from (f"        {attribute} = {where}" for attribute, where in wheres)

    def passes(self) -> Iterator[str]:
        """The methods that call the kernels."""
        s = self.schedule
        if s.prepare:
            about = "What evaluation and prediction read of the weights alone."
            yield from self.method("prepare_pass", about, s.prepare)
        yield from self.method("predict_pass", "The outputs, as evaluation sees them.", s.predict)
        if not s.losses:
            return
        if s.evaluate[: len(s.predict)] == s.predict:
            more = s.evaluate[len(s.predict) :]
            about = "The outputs and the losses, as evaluation sees them."
            yield from self.method("evaluate_pass", about, more, ["self.predict_pass(t, now)"])
        else:
            about = "The outputs and the losses, as evaluation sees them."
            yield from self.method("evaluate_pass", about, s.evaluate)
        about = "Forward: the losses, and what the backward pass reads again."
        yield from self.method("train_pass", about, s.train)
        about = "Backward: the gradients of all that learns, from the last layer to the first."
        yield from self.method("backward_pass", about, s.backward)
        about = "One step of the optimizer, over all weights at once."
        yield from self.method("update_pass", about, s.update)
        if s.product:
            about = "The gradients of the last step that no array holds."
            yield from self.method("product_pass", about, s.product)

    def method(
        self,
        name: str,
        about: str,
        calls: Sequence[Call],
        first: Sequence[str] = (),
    ) -> Iterator[str]:
        """A pass: its calls, under a comment for each layer."""
        yield from ("", f"    def {name}(self, t, now):", f'        """{about}"""')
        yield from (f"        {line}" for line in first)
        comment = ""
        for call in calls:
            if whose(call) != comment:
                comment = whose(call)
                yield f"        # {comment}"
            operands = call.arguments() if task_of(call.kernel.fn) else call.operands()
            arguments = [self.argument(operand) for operand in (call.out, *operands)]
            arguments += map(_number, call.passed.values())
            yield f"        {self.kernel(call)}({', '.join(arguments)})"

    def argument(self, operand: Operand | None) -> str:
        """An array that a kernel is given, or one of no size."""
        return "self.nothing" if operand is None else self.names.attribute(operand)


def counting(calls: Iterable[Call]) -> Iterator[str]:
    """The texts of the functions that tell numbers of kernels, with what they call."""
    numbers = (number for call in calls for number in call.passed.values())
    functions = dict.fromkeys(n.fn for n in numbers if isinstance(n, Counted))
    for fn in functions:
        yield from constants(*plain_callees(fn), fn)
        yield from map(source_text, (*plain_callees(fn), fn))


def whose(call: Call) -> str:
    """The layer that a call belongs to, and where it stands: ``conv1 (lenet5.net:5)``."""
    return f"{call.owner} ({safe_place(call.place)})" if call.owner else "the optimizer"


def safe_place(place: str) -> str:
    """``file:line`` with nothing in it that could end a comment or a string."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", place.rpartition("/")[2])


def key(buffer: Buffer) -> str:
    """The name of a tensor of the step: ``conv1``, ``conv1:grad``, ``bn1:mean``."""
    kind = "grad" if buffer.role == "grad" else ""
    return ":".join(filter(None, (buffer.owner, kind, buffer.name)))


def _listed(buffers: Iterable[Buffer]) -> str:
    """Inputs with their sizes, for people."""
    return ", ".join(f"{b.owner} ({dims_text(b.tensor.dims)})" for b in buffers)


def _where(operand: Operand, starts: dict[Buffer, int]) -> str:
    """The expression of an operand: what memory, which part of it, in which shape."""
    buffer, shape = operand.buffer, ", ".join(map(str, operand.view))
    if operand.part:
        name = buffer.role if buffer.role in ("weight", "dweight") else buffer.name
        return f"flat[{_literal(name)}][{operand.part[0]}:{operand.part[1]}]"
    if buffer.role == "state":
        return f"state[{_literal(str(buffer))}].reshape({shape})"
    if buffer.role in ("weight", "dweight"):
        start = starts[replace(buffer, role="weight")]
        stop = start + prod(buffer.tensor.dims)
        return f"flat[{_literal(buffer.role)}][{start}:{stop}].reshape({shape})"
    if operand.memory:
        return f"memory[{_literal(key(buffer))}]"
    if operand.strided:
        return f"values[{_literal(key(buffer))}].reshape(({shape}), copy=False)"
    return f"values[{_literal(key(buffer))}].reshape({shape})"


def _number(value: Number) -> str:
    if isinstance(value, Symbol):
        return "t.count" if value.name == "count" else f"now.{value.name}"
    if isinstance(value, Scaled):
        return "t.count" if value.factor == 1 else f"t.count * {value.factor}"
    if isinstance(value, Counted):
        arguments = (f"{name}={_number(number)}" for name, number in value.arguments)
        return f"{value.fn.__name__}({', '.join(arguments)})"
    return _literal(value)


def _literal(value: object) -> str:
    """A value as Python spells it, texts in double quotes and in ASCII."""
    if isinstance(value, str):
        return json.dumps(str(value))
    if isinstance(value, tuple):
        items = ", ".join(map(_literal, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, float) and isinf(value):
        return "math.inf" if value > 0 else "-math.inf"
    return repr(value)


def _table(name: str, rows: Iterable[Any]) -> Iterator[str]:
    lines = [f"        {_literal(tuple(row))}," for row in rows]
    yield from (f"    {name} = (", *lines, "    )") if lines else (f"    {name} = ()",)
