"""Faster kernels beside a target: an override computes what a generic kernel does, in another way.

It is a function over whole tensors: the output first, then the tensors that the generic kernel
reads, then ``add`` (whether to add to what is there), then the numbers that are compiled in. It
never adds meaning, and is tested against the generic kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from netdsl.kernel import Kernel
from netdsl.op import Op
from netdsl.schedule import Call

Body = TypeVar("Body", bound=Callable[..., Any])
Table = dict[tuple[Kernel, str], Callable[..., Any]]

TABLE: Table = {}

prange = range
"""A loop whose turns may run at the same time, as bodies spell it; here it is the plain one."""


def fast(op: type[Op], makes: str, real: str | None = None) -> Callable[[Body], Body]:
    """Attach a faster body to the kernel of an op that makes a tensor.

    ``real`` is the one precision that it is for, ``f4`` or ``f8``; both if not given.
    """
    (kernel,) = [kernel for kernel in op.kernels if kernel.makes == makes]

    def attach(fn: Body) -> Body:
        for precision in (real,) if real else ("f4", "f8"):
            TABLE[kernel, precision] = fn
        return fn

    return attach


def override(call: Call, real: str) -> Callable[..., Any] | None:
    """The faster body for a call, if there is one."""
    return TABLE.get((call.kernel, real))
