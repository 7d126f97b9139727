"""What a target is: the few strings in which its generated code differs, and its overrides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netdsl.schedule import Call

Override = Callable[[Call, str], Callable[..., Any] | None]
"""The body of a faster kernel for a call in a precision (f4, f8), or None."""


@dataclass(frozen=True)
class Target:
    """A machine that kernels are generated for.

    ``prelude`` is the text that begins every generated file: it defines ``kernel`` and ``device``.
    ``loops`` writes a kernel that visits every element of its output. ``override`` is asked first
    whether there is a faster one.
    """

    name: str
    prelude: str
    loops: Callable[[KernelPlan], str]
    override: Override = lambda call, real: None


@dataclass(frozen=True)
class KernelPlan:
    """A kernel to be written: its index, its parameters, and how one element is computed.

    ``element`` is the expression of the element at ``index`` (or, for elementwise kernels, of the
    elements at that place); ``assign`` is ``=`` or ``+=``; ``small`` ones are not worth a thread.
    Where it ``fills``, ``element`` is a call that fills the sample at ``index``.
    """

    index: tuple[str, ...]
    parameters: tuple[str, ...]
    arrays: tuple[str, ...]
    types: tuple[str, ...]
    element: str
    assign: str
    small: bool
    scalar: bool
    fills: bool = False
