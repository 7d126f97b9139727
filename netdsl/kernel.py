"""The mathematics of an op: kernels in gather form, each written once for all targets.

A kernel is a function below the class of its op::

    @kernel(Dense)
    def y(n, j, /, x, weight, bias): ...

It computes **one element of one tensor**. Its name is the tensor it makes; the parameters before
``/`` are the element's index, those after it the tensors it reads, those after ``*`` numbers.
``dx`` is the gradient of the loss by ``x``. From the signatures the compiler derives the rest: what
must be kept for the backward pass, in which order kernels run, what they are called with.

Where the elements of a sample follow from one another, as in time, the unit is the **sample**::

    @sample(RNN)
    def states(n, /, states, entered, weight_hh): ...

The first parameter after ``/`` is the tensor itself, of which the kernel fills what belongs to
sample ``n``. Several threads may share a sample: they part the turns of a loop over `lanes`, and
`sync` makes them wait until all have written.
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


def lanes(count: int) -> range:
    """The turns of a loop that the threads of a sample part among them; in no order."""
    return range(count)


def sync() -> None:
    """Wait until all threads of a sample have come here; what they wrote may then be read.

    It stands outside of loops over `lanes`, where all threads come by equally often.
    """


When = Literal["always", "train", "eval"]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kernel:
    """One element of one tensor, as a function of tensors and numbers.

    ``index`` names the element's axes, ``reads`` the tensors, ``many`` the variadic ones (``*xs``),
    ``numbers`` what is neither. A ``scalar`` kernel has no index: it gets elements instead of
    tensors, all at the same place (it is elementwise, and may be fused). A kernel that ``fills``
    has one sample as its unit: it gets the tensor itself before the others, under that name.
    """

    fn: Callable[..., Any]
    makes: str
    index: tuple[str, ...]
    reads: tuple[str, ...]
    many: str | None
    numbers: tuple[str, ...]
    when: When
    scalar: bool
    fills: str | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all it reads, the variadic ones last."""
        return (*self.reads, self.many) if self.many else self.reads


class HasKernels(Protocol):
    """A class that kernels can be attached to: an op."""

    kernels: ClassVar[tuple[Kernel, ...]]


def device(fn: Function) -> Function:
    """Mark a function that kernels call: generated code carries it along, as a part of them."""
    fn.__dict__["device"] = "device"
    return fn


def routine(fn: Function) -> Function:
    """Mark a larger function that kernels call: generated code carries it along, once."""
    fn.__dict__["device"] = "routine"
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
    return _attach(op, makes, when)


def elementwise(
    op: type[HasKernels], makes: str | None = None, when: When = "always"
) -> Callable[[Function], Function]:
    """Attach a scalar function, applied to every element: ``def y(x): return max(x, real(0))``."""
    return _attach(op, makes, when, scalar=True)


def sample(
    op: type[HasKernels], makes: str | None = None, when: When = "always"
) -> Callable[[Function], Function]:
    """Attach a kernel that fills a sample of a tensor; of no gradient, since those are added up."""
    return _attach(op, makes, when, sample=True)


def _attach(
    op: type[HasKernels],
    makes: str | None,
    when: When,
    scalar: bool = False,
    sample: bool = False,
) -> Callable[[Function], Function]:
    def attach(fn: Function) -> Function:
        by_kind: dict[Any, list[str]] = {}
        for parameter in inspect.signature(fn).parameters.values():
            by_kind.setdefault(parameter.kind, []).append(parameter.name)
        many = by_kind.get(inspect.Parameter.VAR_POSITIONAL, [None])[0]
        reads = by_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, [])
        fills = reads.pop(0) if sample else None
        op.kernels = (
            *op.kernels,
            Kernel(
                fn=fn,
                makes=makes or fn.__name__,
                index=tuple(by_kind.get(inspect.Parameter.POSITIONAL_ONLY, ())),
                reads=tuple(reads),
                many=many,
                numbers=tuple(by_kind.get(inspect.Parameter.KEYWORD_ONLY, ())),
                when=when,
                scalar=scalar,
                fills=fills,
            ),
        )
        return fn

    return attach
