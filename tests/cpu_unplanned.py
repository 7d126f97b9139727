"""Kernels of the CPU whose plans tests pass themselves: also plans that no rule would choose."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from netdsl.backends.cpu.build import build
from netdsl.backends.override import task_of


@cache
def unplanned(kernel: Any) -> Any:
    """A kernel whose plan is passed like any other number."""
    body = FunctionType(kernel.__code__, kernel.__globals__, kernel.__name__)
    declared = task_of(kernel)
    assert declared is not None
    body.__dict__["task"] = replace(declared, plan=None, planned=())
    return build(body)


def run_unplanned(kernel: Any, threads: int = 1, **operands: Any) -> None:
    """Run a kernel; arrays are written where they lie, whatever their shape."""
    flat = {n: v.reshape(-1) if isinstance(v, np.ndarray) else v for n, v in operands.items()}
    unplanned(kernel)(threads=threads, **flat)
