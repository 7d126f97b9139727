"""The command ``check``: every network of every file carried out, and all that is wrong told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netdsl.compiler import program
from netdsl.elaborate.build import LACKING
from netdsl.elaborate.lint import lint
from netdsl.elaborate.program import Elaborated, Program
from netdsl.elaborate.sweeps import sweeps
from netdsl.errors import Frame, LimitError, NetError, Warning_
from netdsl.folders import net_files
from netdsl.passes import run
from netdsl.source import Span
from netdsl.syntax import ast

ABSENT = "E001"
MOST_LAYERS = 200_000
"""How many layers of one file are looked at, those of all networks with all recipes together."""


@dataclass(frozen=True)
class Finding:
    """Something to tell of a file: an ``error``, a ``warning``, or a ``note`` (without a code)."""

    severity: str
    code: str | None
    message: str
    file: str
    span: Span | None = None
    help: str | None = None
    frames: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        if self.code is None:
            return f"{self.span.place if self.span else self.file}: note: {self.message}"
        kind = NetError if self.severity == "error" else Warning_
        return str(kind(self.code, self.message, self.span, self.help, self.frames))

    @property
    def key(self) -> tuple[Any, ...]:
        """Findings of one key are the same, whichever network or file led to them."""
        place = (self.span.start, self.span.end) if self.span else None
        return (os.path.realpath(self.file), place, self.code, self.message)

    def as_json(self) -> dict[str, Any]:
        """The finding for machines; the form is documented in docs/commands.md and stays."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "help": self.help,
            **_place(self.file, self.span),
            "frames": [
                {"what": frame.what, **_place(frame.call.source.name, frame.call)}
                for frame in reversed(self.frames)
            ],
        }


@dataclass
class Checked:
    """What checking found: ``findings`` by file and place, each once."""

    files: int = 0
    networks: int = 0
    closed: int = 0
    """Files whose networks could not be reached: a mistake of syntax, or an import that fails."""
    found: dict[tuple[Any, ...], Finding] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        """All of them by the names of the files, and by the places in these."""
        return sorted(self, key=lambda f: (f.file, f.span.start if f.span else -1))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found.values())

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(1 for finding in self if finding.severity == severity)

    def add(self, finding: Finding) -> None:
        """Keep a finding, if it is new."""
        self.found.setdefault(finding.key, finding)

    def error(self, error: NetError, path: Path) -> None:
        """Keep an error and those that it carries."""
        for e in error.each():
            name = e.span.source.name if e.span else str(path)
            self.add(Finding("error", e.code, e.message, name, e.span, e.help, e.frames))

    def warning(self, w: Warning_, path: Path) -> None:
        """Keep a warning."""
        name = w.span.source.name if w.span else str(path)
        self.add(Finding("warning", w.code, w.message, name, w.span, w.help, w.frames))

    def note(self, message: str, span: Span) -> None:
        """Keep what is no mistake, and worth knowing."""
        self.add(Finding("note", None, message, span.source.name, span))

    @property
    def summary(self) -> str:
        """``checked 12 files, 31 networks: 2 errors, 1 warning``."""
        parts = [_count(self.files, "file")]
        if self.closed:
            whose = f"of {self.closed} the" if self.closed < self.files else "their"
            whose = "its" if self.files == 1 else whose
            parts[0] += f" ({whose} networks could not be read)"
        if self.files > self.closed:
            parts.append(_count(self.networks, "network"))
        told = [_count(self.count(kind), kind) for kind in ("error", "warning")]
        return f"checked {', '.join(parts)}: {', '.join(told)}"


def check(given: Iterable[Path]) -> Checked:
    """Check files and those of directories."""
    checked = Checked()
    paths, empty = net_files(given)
    for folder, error in empty.items():
        checked.error(error, folder)
    for path in paths:
        file = None
        try:
            file = _File(program(path), path, checked)
            file.check()
        except NetError as error:
            checked.error(error, path)
            # What is not there was not checked either.
            if error.code == ABSENT:
                continue
            checked.closed += file is None
        checked.files += 1
    return checked


def told(checked: Checked, machine: bool) -> Iterator[str]:
    """What a person reads of it; for a ``machine`` a list of findings, as JSON."""
    if machine:
        yield json.dumps([finding.as_json() for finding in checked.findings], indent=2)
        return
    for finding in checked.findings:
        yield f"{finding}\n"
    yield checked.summary


class _File:
    """One file: its networks alone, then each with every recipe that can train it."""

    def __init__(self, program: Program, path: Path, checked: Checked) -> None:
        self.program = program
        self.path = path
        self.checked = checked
        self.sound: dict[str, Elaborated] = {}
        self.broken: list[str] = []
        self.layers = 0

    def check(self) -> None:
        """Tell all that is wrong with it."""
        # A recipe that is mistaken, or another net's, must not be in the way of a network.
        items = tuple(item for item in self.program.file.items if not isinstance(item, ast.Train))
        bare = replace(self.program, file=replace(self.program.file, items=items))
        for name, item in self.program.nets.items():
            try:
                self.sound[name] = self.made(bare, name)
            except LimitError:
                raise
            except NetError as error:
                if _open(error, item):
                    look = f"netdsl summary {self.path} {name} --set NAME=VALUE"
                    self.checked.note(f"{error.message}, so it is left out: {look}", item.name.span)
                    continue
                self.broken.append(name)
                self.checked.error(error, self.path)
            self.checked.networks += 1
        trained = {net for recipe in self.program.recipes for net in self.recipe(recipe)}
        for name, elaborated in self.sound.items():
            if name not in trained:
                self.warn(elaborated)
        for error in lint(self.program):
            self.checked.error(error, self.path)
        for section in self.program.sweeps:
            self.sweep(section)

    def made(self, program: Program, name: str, recipe: str | None = None) -> Elaborated:
        """A network; LimitError E420 if those of the file are too large together."""
        elaborated = program.elaborate(name, recipe)
        self.layers += len(elaborated.graph.nodes)
        if self.layers > MOST_LAYERS:
            message = f"the networks of {self.path} have more than {MOST_LAYERS:,} layers in all"
            raise LimitError("E420", message, None, "look at one: netdsl summary FILE NET")
        return replace(elaborated, graph=run(elaborated.graph))

    def recipe(self, recipe: str | None) -> list[str]:
        """The networks that a recipe can train; if it can train none, why the likeliest."""
        fitting: list[str] = []
        wrong: list[tuple[str, NetError]] = []
        for name in self.sound or self.broken:
            try:
                self.warn(self.made(self.program, name, recipe))
                fitting.append(name)
            except LimitError:
                raise
            except NetError as error:
                wrong.append((name, error))
        if wrong and not fitting:
            likeliest = min(wrong, key=lambda each: self.strange(each[0], recipe))
            self.checked.error(likeliest[1], self.path)
        return fitting

    def strange(self, name: str, recipe: str | None) -> bool:
        """Whether a recipe reads tensors that a net does not have: it is another's."""
        try:
            return self.program.elaborate(name, recipe, train=False).training is None
        except NetError:
            return False

    def sweep(self, name: str | None) -> None:
        """What a sweep would try; all its values are tried on the network."""
        alone = replace(self.program, sweeps={name: self.program.sweeps[name]})
        try:
            for sweep in sweeps(alone):
                self.checked.note(str(sweep), sweep.span)
        except NetError as error:
            if not _open(error, self.program.choose(None)):
                self.checked.error(error, self.path)

    def warn(self, elaborated: Elaborated) -> None:
        """Tell the warnings of a network."""
        for warning in elaborated.graph.warnings:
            self.checked.warning(warning, self.path)


def _open(error: NetError, net: ast.Net | ast.Alias) -> bool:
    """Whether all that is wrong with a net is that its parameters have no values yet."""
    return error.code == LACKING and error.span == net.name.span


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _place(file: str, span: Span | None) -> Mapping[str, Any]:
    """Lines and columns count from 1; the end is the place after the last character."""
    if span is None:
        return {"file": file, "range": None}
    ends = {"start": span, "end": Span(span.source, span.end, span.end)}
    return {
        "file": file,
        "range": {k: {"line": s.line, "column": s.column} for k, s in ends.items()},
    }
