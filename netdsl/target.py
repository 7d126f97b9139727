"""What a target is: the few strings in which its generated code differs, and its own passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netdsl.schedule import Schedule


@dataclass(frozen=True)
class Target:
    """A machine that kernels are generated for.

    ``base`` is the text that begins every generated module in a precision (f4, f8): it defines
    ``kernel`` and ``device``. ``loops`` writes a kernel that visits every element of its output.
    ``lower`` puts faster kernels in the place of those that it knows, and does not change what is
    computed.
    """

    name: str
    base: Callable[[str], str]
    loops: Callable[[KernelPlan], str]
    lower: Callable[[Schedule, str], Schedule] = lambda schedule, real: schedule


@dataclass(frozen=True)
class KernelPlan:
    """A kernel to be written: its index, its operands, and how one element is computed.

    ``operands`` are the types of what it is given, by name: ``out``, the tensors it reads, numbers.
    ``element`` is the expression of the element at ``index`` (or, for elementwise kernels, of the
    elements at that place); ``assign`` is ``=`` or ``+=``; ``small`` ones are not worth a thread.
    Where it ``fills``, ``element`` is a call that fills the sample at ``index``.
    """

    index: tuple[str, ...]
    operands: Mapping[str, str]
    element: str
    assign: str
    small: bool
    scalar: bool
    fills: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        """The operands that are arrays."""
        return tuple(name for name, kind in self.operands.items() if "[" in kind)
