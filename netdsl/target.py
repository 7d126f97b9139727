"""What a target is: the few strings in which its generated code differs, and its overrides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.schedule import Call

Override = Callable[[Call, str], str | None]
"""Gives the body of a faster kernel for a call and a type (f4, f8), or None to leave it to the generic one."""


@dataclass(frozen=True)
class Target:
    """A machine that kernels are generated for.

    ``prelude`` is the text that begins every generated file: it defines ``kernel``, ``device`` and
    ``real``. ``loops`` writes a kernel that visits every element of its output. ``overrides`` are
    asked in their order before the generic kernel is taken.
    """

    name: str
    prelude: str
    loops: Callable[[KernelPlan], str]
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True)
class KernelPlan:
    """A kernel to be written: its name, its output's rank, and how one element is computed.

    ``element`` is the expression of the element at ``index`` (or, for elementwise kernels, of the
    elements at that place); ``assign`` is ``=`` or ``+=``; ``small`` kernels are not worth a thread.
    """

    name: str
    index: tuple[str, ...]
    parameters: tuple[str, ...]
    arrays: tuple[str, ...]
    types: tuple[str, ...]
    element: str
    assign: str
    small: bool
    scalar: bool
