"""The mathematics of an op: kernels in gather form, each written once for all targets.

A kernel is a function below the class of its op::

    @kernel(Dense)
    def y(n, j, /, x, weight, bias): ...

It computes **one element of one tensor**. Its name is the tensor it makes; the parameters before
``/`` are the element's index, those after it the tensors it reads, those after ``*`` numbers.
``dx`` is the gradient of the loss by ``x``. From the signatures the compiler derives the rest: what
must be kept for the backward pass, in which order kernels run, what they are called with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np

real = np.float64
"""The network's precision, as kernels spell it: ``acc = real(0)``. Generated code binds it to the
target's type; here, where the interpreter runs kernels as plain Python, it is double."""

When = Literal["always", "train", "eval"]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kernel:
    """One element of one tensor, as a function of tensors and numbers.

    ``index`` names the element's axes, ``reads`` the tensors, ``many`` the variadic ones (``*xs``),
    ``numbers`` what is neither. A ``scalar`` kernel has no index: it gets elements instead of
    tensors, all at the same place (it is elementwise, and may be fused).
    """

    fn: Callable[..., Any]
    makes: str
    index: tuple[str, ...]
    reads: tuple[str, ...]
    many: str | None
    numbers: tuple[str, ...]
    when: When
    scalar: bool

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all it reads, the variadic ones last."""
        return (*self.reads, self.many) if self.many else self.reads


class HasKernels(Protocol):
    """A class that kernels can be attached to: an op."""

    kernels: ClassVar[tuple[Kernel, ...]]


def device(fn: Function) -> Function:
    """Mark a function that kernels call: generated code carries it along."""
    fn.__dict__["device"] = True
    return fn


@cache
def backward_kernels(kernels: tuple[Kernel, ...]) -> tuple[Kernel, ...]:
    """The kernels that read ``dy``, if only through others: they wait for the backward pass."""
    late = {"dy"}
    found: list[Kernel] = []
    for kernel in kernels:
        if late & set(kernel.tensors):
            late.add(kernel.makes)
            found.append(kernel)
    return tuple(found)


def kernel(
    op: type[HasKernels], makes: str | None = None, when: When = "always"
) -> Callable[[Function], Function]:
    """Attach the body of a kernel to an op; ``makes`` is the function's name if not given.

    ``when`` says whether only training or only evaluation needs the tensor.
    """
    return _attach(op, makes, when, scalar=False)


def elementwise(
    op: type[HasKernels], makes: str | None = None, when: When = "always"
) -> Callable[[Function], Function]:
    """Attach a scalar function, applied to every element: ``def y(x): return max(x, real(0))``."""
    return _attach(op, makes, when, scalar=True)


def _attach(
    op: type[HasKernels], makes: str | None, when: When, scalar: bool
) -> Callable[[Function], Function]:
    def attach(fn: Function) -> Function:
        by_kind: dict[Any, list[str]] = {}
        for parameter in inspect.signature(fn).parameters.values():
            by_kind.setdefault(parameter.kind, []).append(parameter.name)
        many = by_kind.get(inspect.Parameter.VAR_POSITIONAL, [None])[0]
        op.kernels = (
            *op.kernels,
            Kernel(
                fn=fn,
                makes=makes or fn.__name__,
                index=tuple(by_kind.get(inspect.Parameter.POSITIONAL_ONLY, ())),
                reads=tuple(by_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, ())),
                many=many,
                numbers=tuple(by_kind.get(inspect.Parameter.KEYWORD_ONLY, ())),
                when=when,
                scalar=scalar,
            ),
        )
        return fn

    return attach
