"""Faster kernels beside a target: an override computes what generic kernels do, in another way.

It is a function of a range of tasks over flat arrays and numbers. It never adds meaning, and is
tested against the generic kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

Body = TypeVar("Body", bound=Callable[..., Any])
words = "words"
"""The annotation of an operand that is an array of 32-bit whole numbers."""


@dataclass(frozen=True)
class Task:
    """How the work of a body falls apart.

    ``tasks`` says into how many parts, ``memory`` how many numbers a thread wants for itself; both
    are functions of operands by their names, or None (one part, nothing). ``writes`` are the
    operands that it writes. ``plan`` is a function of operands that gives numbers by name when a
    call is recorded: ``planned`` ones, which nobody passes, and others in the place of those
    passed.
    """

    body: Callable[..., Any]
    tasks: Callable[..., int] | None
    memory: Callable[..., int] | None
    writes: tuple[str, ...]
    plan: Callable[..., dict[str, int]] | None = None
    planned: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the body is called."""
        return self.body.__name__

    @cached_property
    def operands(self) -> dict[str, str]:
        """The kinds of its operands by name: ``array``, ``words``, ``int`` or ``float``."""
        parameters = list(inspect.signature(self.body).parameters.values())[3:]
        return {p.name: _kind(p.annotation) for p in parameters}

    def numbers(self, baked: Container[str] = ()) -> tuple[str, ...]:
        """The numbers that a call passes, in order: also those that only the plan asks for."""
        kinds = {n: kind for n, kind in self.operands.items() if n not in baked}
        own = [n for n, kind in kinds.items() if kind in ("int", "float") and n not in self.planned]
        wanted = inspect.signature(self.plan).parameters if self.plan else ()
        return (*own, *(name for name in wanted if name not in kinds))


def _kind(annotation: Any) -> str:
    """How a parameter's annotation reads; arrays of real numbers have none."""
    if annotation is inspect.Parameter.empty:
        return "array"
    return annotation if isinstance(annotation, str) else annotation.__name__


def task(
    tasks: Callable[..., int] | None = None,
    memory: Callable[..., int] | None = None,
    writes: tuple[str, ...] = ("out",),
    plan: Callable[..., dict[str, int]] | None = None,
    planned: tuple[str, ...] = (),
) -> Callable[[Body], Body]:
    """Mark a function ``body(first, last, scratch, arrays ..., numbers ...)`` as a kernel.

    It does the tasks from ``first`` to ``last`` and may use ``scratch`` as it likes meanwhile.
    Parameters without annotation are flat arrays of real numbers, ``words`` flat ones of 32-bit
    whole numbers; ``int`` and ``float`` are numbers.
    """

    def attach(fn: Body) -> Body:
        fn.__dict__["task"] = Task(fn, tasks, memory, writes, plan, planned)
        return fn

    return attach


def task_of(body: Callable[..., Any]) -> Task | None:
    """What `task` has marked a function as; None if it has not."""
    return body.__dict__.get("task")
