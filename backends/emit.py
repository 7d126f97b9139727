"""Schedule to Python: the module of a network, readable and complete.

Written ``whole``, a module holds its kernels and needs numpy and numba alone. Written for a cache, it
imports each kernel from a file of its own, named by the hash of its text: networks then share what
is compiled, and a changed number, comment or line of the ``.net`` file recompiles nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from math import prod
from pathlib import PurePath
from typing import Any

from netdsl.backends.kernels import KernelText, function_name, kernel_text
from netdsl.schedule import Buffer, Call, Operand, Schedule, Symbol
from netdsl.target import Target

ENGINE = (files("netdsl.backends") / "engine.py").read_text()
PREFIX = {
    "value": "v", "grad": "g", "aux": "a", "weight": "w", "dweight": "d", "state": "s",
    "slot": "o", "target": "v", "loss": "v",
}  # fmt: skip
PACKAGE = "netdsl_kernels"
"""The package under which the loader makes cached kernels importable."""


@dataclass(frozen=True)
class Emitted:
    """A module's text, and the texts of the kernels that it imports, by file stem."""

    text: str
    kernels: dict[str, str] = field(default_factory=dict)


def emit(schedule: Schedule, target: Target, about: str, real: str = "f4") -> str:
    """The whole module of a network, for keeps; ``about`` is a line for its docstring."""
    writer = _Writer(schedule, target, real)
    functions: dict[str, None] = {}
    kernels: list[str] = []
    for name, (text, calls) in writer.kernels.items():
        functions.update(dict.fromkeys(text.functions))
        kernels.append(f"{_comment(calls)}\n{text.named(name)}")
    imports, prelude = _split(target.prelude)
    more, engine = _split(ENGINE)
    head = [_docstring(about), _imports([*imports, *more]), writer.precision(), prelude]
    return _join([*head, *functions, *kernels, engine, writer.model()])


def emit_cached(schedule: Schedule, target: Target, about: str, real: str = "f4") -> Emitted:
    """The module of a network for a cache, with every kernel in a file of its own."""
    writer = _Writer(schedule, target, real)
    imports, prelude = _split(target.prelude)
    files_: dict[str, str] = {}
    lines: list[str] = []
    for name, (text, calls) in writer.kernels.items():
        function = function_name(calls[0].op, calls[0].kernel)
        parts = [
            _docstring(f"The kernel {function}, compiled for {target.name}."),
            _imports(imports),
            writer.precision(),
            prelude,
            *text.functions,
            text.named(f"k_{function}"),
        ]
        stem = f"{function}_{sha256(_join(parts).encode()).hexdigest()[:20]}"
        files_[stem] = _join(parts)
        lines.append(f"from {PACKAGE}.{stem} import k_{function} as {name}")
    more, engine = _split(ENGINE)
    head = [_docstring(about), _imports([*imports, *more, *lines]), writer.precision(), prelude]
    return Emitted(_join([*head, engine, writer.model()]), files_)


class _Writer:
    """Names for everything, and the text of the model."""

    def __init__(self, schedule: Schedule, target: Target, real: str) -> None:
        self.schedule = schedule
        self.real = real
        self.names: dict[str, str] = {}
        self.kernels: dict[str, tuple[KernelText, list[Call]]] = {}
        self.kernel_of: dict[int, str] = {}
        known: dict[KernelText, str] = {}
        for call in schedule.calls():
            text = kernel_text(call, target, real)
            if text not in known:
                known[text] = self._kernel_name(call)
                self.kernels[known[text]] = (text, [])
            self.kernels[known[text]][1].append(call)
            self.kernel_of[id(call)] = known[text]

    def precision(self) -> str:
        """What ``real`` means in this module."""
        return f"real = np.{'float32' if self.real == 'f4' else 'float64'}"

    # ---- names -----------------------------------------------------------------

    def _kernel_name(self, call: Call) -> str:
        parts = [self.owner(call.owner) or "update", call.kernel.fn.__name__]
        name = "_".join(["k", *parts, *(["add"] if call.add else [])])
        while name in self.kernels:
            name += "_"
        return name

    def owner(self, name: str) -> str:
        """A node's name as a part of identifiers, never that of another node."""
        if name not in self.names:
            plain = name.replace(".", "_")
            while plain in self.names.values():
                plain += "_"
            self.names[name] = plain
        return self.names[name]

    def attribute(self, operand: Operand) -> str:
        """Where a bound operand is kept: ``t.v_conv1_5d``."""
        buffer = operand.buffer
        parts = [PREFIX[buffer.role], self.owner(buffer.owner), buffer.name]
        if operand.part:
            parts.append(f"from{operand.part[0]}")
        return "_".join([*filter(None, parts), f"{operand.rank}d"])

    # ---- the model ---------------------------------------------------------------

    def model(self) -> str:
        """The class of the network."""
        lines = [
            "class Model(Engine):",
            f'    """The network {self.schedule.name}: {self.schedule.size:,} parameters."""',
            "",
            *self._tables(),
            "",
            *self._bind(),
        ]
        for name, argument, calls in self._passes():
            lines += ["", f"    def {name}(self, t{argument}):", *calls]
        return "\n".join(lines)

    def _tables(self) -> Iterator[str]:
        s = self.schedule
        yield from _table(
            "INPUTS", [(key(b), b.tensor.dims, str(b.tensor.dtype)) for b in s.inputs]
        )
        yield from _table("OUTPUTS", [(key(b), b.tensor.dims) for b in s.outputs])
        if s.target:
            tensor = s.target.tensor
            yield f"    TARGET = {(tensor.dims, str(tensor.dtype), s.classes)!r}"
        yield from _table(
            "WEIGHTS",
            [
                (str(p.buffer), p.weight.dims, p.start,
                 *p.weight.init.draw(p.weight.fan_in, p.weight.fan_out))
                for p in s.weights
            ],
        )  # fmt: skip
        yield from _table("STATE", [(str(b), b.tensor.dims, value) for b, value in s.states])
        values = [
            b for b in self._buffers() if b.role in ("value", "grad", "aux", "target", "loss")
        ]
        yield from _table(
            "VALUES", [(key(b), b.tensor.dims, str(b.tensor.dtype), b.tensor.batch) for b in values]
        )
        yield f"    SLOTS = {s.slots!r}"
        yield f"    LOSSES = {tuple(key(b) for b in s.losses)!r}"
        yield f"    LR = {s.lr!r}"
        yield "    KERNELS = {"
        yield from (f'        "{name[2:]}": {name},' for name in self.kernels)
        yield "    }"

    def _buffers(self) -> list[Buffer]:
        found = dict.fromkeys((*self.schedule.inputs, *self.schedule.outputs))
        if self.schedule.target:
            found[self.schedule.target] = None
        for operand in self._operands():
            found[operand.buffer] = None
        return list(found)

    def _operands(self) -> list[Operand]:
        found: dict[Operand, None] = {}
        for call in self.schedule.calls():
            found.update(dict.fromkeys((call.out, *call.operands())))
        return list(found)

    def _bind(self) -> Iterator[str]:
        starts = {p.buffer: p.start for p in self.schedule.weights}
        yield "    def bind(self, t):"
        yield "        values, flat, state = t.values, self._flat, self._state"
        for operand in self._operands():
            where = _where(operand, starts)
            yield f"        t.{self.attribute(operand)} = {where}"

    def _passes(self) -> Iterator[tuple[str, str, list[str]]]:
        s = self.schedule
        predict = [self._line(call) for call in s.predict]
        evaluate = [self._line(call) for call in s.evaluate]
        if evaluate[: len(predict)] == predict:
            evaluate = ["        self.predict_pass(t)", *evaluate[len(predict) :]]
        yield "predict_pass", "", predict or ["        pass"]
        if s.losses:
            yield "evaluate_pass", "", evaluate
            yield "train_pass", "", [self._line(call) for call in s.train]
            yield "backward_pass", "", [self._line(c) for c in s.backward] or ["        pass"]
            yield "update_pass", ", lr", [self._line(c) for c in s.update] or ["        pass"]

    def _line(self, call: Call) -> str:
        arguments = [f"t.{self.attribute(o)}" for o in (call.out, *call.operands())]
        arguments += [_number(value) for value in call.passed.values()]
        return f"        {self.kernel_of[id(call)]}({', '.join(arguments)})"


def key(buffer: Buffer) -> str:
    """The name of a tensor of the step: ``conv1``, ``conv1:grad``, ``bn1:mean``."""
    name = "grad" if buffer.role == "grad" else buffer.name
    return f"{buffer.owner}:{name}" if name else buffer.owner


def _where(operand: Operand, starts: dict[Buffer, int]) -> str:
    """The expression of an operand: what memory, which part of it, in which shape."""
    buffer = operand.buffer
    if operand.part:
        role = {"p": "weight", "g": "dweight"}.get(buffer.name, buffer.name)
        return f'flat["{role}"][{operand.part[0]}:{operand.part[1]}]'
    shape = ", ".join(map(str, operand.view))
    if buffer.role == "state":
        return f'state["{buffer}"].reshape({shape})'
    if buffer.role in ("weight", "dweight"):
        weight = Buffer("weight", buffer.owner, buffer.name, buffer.tensor)
        start = starts[weight]
        stop = start + prod(buffer.tensor.dims)
        return f'flat["{buffer.role}"][{start}:{stop}].reshape({shape})'
    return f'values["{key(buffer)}"].reshape({shape})'


def _number(value: float | int | Symbol) -> str:
    if isinstance(value, Symbol):
        return "lr" if value.name == "lr" else f"self.{value.name}"
    return repr(value)


def _table(name: str, rows: Iterable[Any]) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        yield f"    {name} = ()"
        return
    yield f"    {name} = ("
    yield from (f"        {row!r}," for row in rows)
    yield "    )"


def _comment(calls: list[Call]) -> str:
    """Which layers a kernel serves, and where they stand in the file."""
    whose = dict.fromkeys(
        f"{call.owner} ({safe_place(call.place)})" if call.owner else "the optimizer"
        for call in calls
    )
    return f"# {', '.join(whose)}"


def safe_place(place: str) -> str:
    """``file:line`` with nothing in it that could end a comment."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", PurePath(place).name)


def _docstring(about: str) -> str:
    return f'"""{about}"""'


def _split(text: str) -> tuple[list[str], str]:
    """A module's imports, and the rest of it."""
    lines = text.splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = [line for line in lines if line not in imports]
    return imports, "\n".join(rest).strip("\n")


def _imports(lines: Iterable[str]) -> str:
    """Imports, the standard library first, each once."""
    outside = ("numpy", "numba")

    def rank(line: str) -> tuple[bool, bool, str]:
        package = line.split()[1].split(".")[0]
        return package == PACKAGE, package in outside, line

    ordered = sorted(dict.fromkeys(lines), key=rank)
    standard = [line for line in ordered if not any(rank(line)[:2])]
    others = [line for line in ordered if any(rank(line)[:2])]
    return "\n".join([*standard, "", *others] if standard else others)


def _join(parts: Iterable[str]) -> str:
    text = "\n\n\n".join(part.strip("\n") for part in parts if part)
    head, *rest = text.split("\n\n\n")
    return "\n\n".join([head, rest[0]]) + "\n\n\n" + "\n\n\n".join(rest[1:]) + "\n"
