"""The text that all CPU modules begin with: vectors, tiles, kernels, and the threads that run them.

A module for a cache imports it from a file of its own, one for keeps carries it along.
"""

from __future__ import annotations

from importlib.resources import files

from netdsl.backends.cpu import machine
from netdsl.backends.task_text import plain_text

PARTS = (
    "simd", "part", "compiled", "tile", "across_quotient", "across_tile", "across_turn", "prelude",
    "team", "program", "arena",
)  # fmt: skip


def base_text(real: str) -> str:
    """The text for a precision, ``f4`` or ``f8``.

    The numbers of this machine are written into it, since the sizes of what kernels pack go by
    them. So a module works on another machine too, if with vectors that suit that one less.
    """
    wide = 4 if real == "f4" else 8
    folder = files("netdsl.backends.cpu")
    known = {
        "LANES": machine.machine_lanes() * 4 // wide,
        "REGISTERS": machine.REGISTERS,
        "CHECKED": machine.CHECKED,
    }
    head = "\n".join(f"{name} = {value}" for name, value in known.items())
    head = f"import numpy as np\n\nreal = np.float{8 * wide}\n{head}\n"
    return "\n\n".join([head, *(plain_text((folder / f"{part}.py").read_text()) for part in PARTS)])
