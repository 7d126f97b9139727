"""The text of a task: its body as it stands, with what it calls, and how it reads its operands."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from textwrap import fill
from typing import Any

from netdsl.backends.kernels import (
    KernelText,
    body_text,
    callees,
    constants,
    plain_callees,
    source_text,
    without_marks,
)
from netdsl.backends.override import Task

WIDTH, NAME = 100, 20
"""How long lines are, and how much longer than ``{name}`` most names are."""
KINDS = {"array": "{real}[::1]", "words": "i4[::1]", "int": "i8", "float": "f8"}


@cache
def task_text(task: Task, real: str, numbers: tuple[tuple[str, Any], ...] = ()) -> KernelText:
    """The text of a task in a precision; some ``numbers`` may be compiled in, by name."""
    baked = dict(numbers)
    asked = {n: kind for n, kind in task.operands.items() if n not in baked}
    kinds = {name: KINDS[kind].format(real=real) for name, kind in asked.items()}
    helpers = [fn for fn in (task.tasks, task.memory) if fn is not None]
    more = dict.fromkeys(callee for fn in helpers for callee in plain_callees(fn))
    helpers = [*more, *helpers]
    about, body = _body(task.body)
    lines = [
        *head(kinds, _declared(task), "first, last", about),
        *(["    scratch = own_memory(memory_, size_)"] if "scratch" in body else []),
        *(f"    {name} = {value!r}" for name, value in baked.items()),
        body,
    ]
    called = [f"@{fn.__dict__['device']}\n{source_text(fn)}" for fn in callees(task.body)]
    functions = (*constants(task.body, *callees(task.body), *helpers), *called)
    plans = (module_text(task.plan),) if task.plan else ()
    return KernelText((*functions, *map(source_text, helpers), *plans), "\n".join(lines))


def module_text(fn: Callable[..., Any]) -> str:
    """The text of the module that a plan stands in: it is plain Python, and imports little."""
    return plain_text(inspect.getsource(sys.modules[fn.__module__]))


def plain_text(text: str) -> str:
    """A module's text without its docstring and without what it imports from netdsl."""
    if text.startswith('"""'):
        text = text.split('"""', 2)[2]
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        begins = line.startswith(("from netdsl", "from __future__"))
        if begins or inside:
            inside = line.endswith("(") if begins else not line.startswith(")")
            continue
        kept.append(line)
    return without_marks("\n".join(kept)).strip("\n")


def head(
    kinds: Mapping[str, str], declared: Mapping[str, str], span: str, about: str = ""
) -> list[str]:
    """How a kernel begins: it reads its operands, of these types, from a table."""
    told = ["{name}_kinds", *(f"{name}={value}" for name, value in declared.items())]
    return [
        _listed("{name}_kinds = {", [f'"{n}":\0"{kind}"' for n, kind in kinds.items()], "}"),
        "{name}_operands = operands({name}_kinds)",
        "",
        "",
        _listed("@kernel(", told, ")"),
        f"def {{name}}(table_, {span}, memory_, size_):",
        *([about] if about else []),
        _listed("    (", list(kinds), ") = {name}_operands(table_)"),
    ]


def _listed(begin: str, items: list[str], end: str) -> str:
    """Items in a line, or in several; they may not be cut where a zero stands."""
    depth = len(begin) - len(begin.lstrip())
    last = "," if len(items) == 1 and "@" not in begin else ""
    text = f"{begin}{', '.join(items)}{last}{end}"
    if len(text) > WIDTH - NAME:
        indent = " " * (depth + 4)
        inside = fill(
            f"{', '.join(items)},", WIDTH - NAME, initial_indent=indent, subsequent_indent=indent
        )
        text = f"{begin}\n{inside}\n{' ' * depth}{end}"
    return text.replace("\0", " ")


def _body(fn: Callable[..., Any]) -> tuple[str, str]:
    """A function's docstring and what follows it, without what tells formatters to leave it."""
    text = body_text(fn)
    found = re.match(r'    """.*?"""\n', text, flags=re.S)
    return (found.group().rstrip(), text[found.end() :]) if found else ("", text)


def _declared(task: Task) -> dict[str, str]:
    """What the decorator is told beside the types of the operands."""
    found: dict[str, str] = {}
    if task.tasks:
        found["tasks"] = task.tasks.__name__
    if task.memory:
        found["memory"] = task.memory.__name__
    if task.writes != ("out",):
        found["writes"] = _names(task.writes)
    if task.plan:
        found |= {"plan": task.plan.__name__, "planned": _names(task.planned)}
    return found


def _names(names: Iterable[str]) -> str:
    """A tuple of names as Python spells it."""
    quoted = [f'"{name}"' for name in names]
    return f"({', '.join(quoted)}{',' * (len(quoted) == 1)})"
