"""Build one kernel by itself, as the modules of networks have it: for tests and measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.backends.cpu.base import base_text
from netdsl.backends.emit import Emitted, File, kernel_file
from netdsl.backends.loader import import_from, write
from netdsl.backends.override import task_of
from netdsl.backends.task_text import task_text


def build(body: Callable[..., Any], real: str = "f4", **baked: Any) -> Callable[..., None]:
    """A function that runs a task over its operands, given by name, on ``threads`` threads."""
    declared = task_of(body)
    assert declared is not None, f"{body.__name__} is no task"
    base = File("base_cpu", base_text(real))
    file = kernel_file(task_text(declared, real, tuple(baked.items())), body.__name__, base)
    directory, stem = write(Emitted(file.text, {}, base))
    compiled = getattr(import_from(directory, stem), f"k_{body.__name__}")
    program = import_from(directory, base.stem).Program

    def run(threads: int = 1, **operands: Any) -> None:
        recorded = program(threads)
        recorded.add(compiled, operands | compiled.plan(operands))
        recorded.run({})

    return run
