"""What the cores can do at most: multiply-adds of vectors that stay in registers."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from netdsl.backends.cpu.build import build
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vfma, vload, vstore
from netdsl.backends.override import task

CHAINS = 12
"""So many sums at once keep the units busy, and stay in registers on all machines."""
TURNS = 1 << 13
TASKS = 256
TIMES = 60


def registers_tasks(size: int) -> int:
    """One for each vector of ``out``."""
    return size // LANES


@task(tasks=registers_tasks)
def registers(first, last, scratch, out, x, size: int, turns: int):
    """Products added to twelve sums, again and again; the sums of them are written."""
    for t in range(first, last):
        p, q = vload(x, 0), vload(x, LANES)
        # All begin with other numbers, or the compiler would see that they stay equal.
        a, b, c = vload(x, 2 * LANES), vload(x, 3 * LANES), vload(x, 4 * LANES)
        d, e, f = vload(x, 5 * LANES), vload(x, 6 * LANES), vload(x, 7 * LANES)
        g, h, i = vload(x, 8 * LANES), vload(x, 9 * LANES), vload(x, 10 * LANES)
        j, k, l = vload(x, 11 * LANES), vload(x, 12 * LANES), vload(x, 13 * LANES)  # noqa: E741
        for _ in range(turns):
            a, b, c = vfma(a, p, q), vfma(b, p, q), vfma(c, p, q)
            d, e, f = vfma(d, p, q), vfma(e, p, q), vfma(f, p, q)
            g, h, i = vfma(g, p, q), vfma(h, p, q), vfma(i, p, q)
            j, k, l = vfma(j, p, q), vfma(k, p, q), vfma(l, p, q)  # noqa: E741
        vstore(out, LANES * t, a + b + c + d + e + f + g + h + i + j + k + l)


def peak(threads: int) -> float:
    """How many numbers so many threads multiply or add in a second, together."""
    run, size = build(registers), LANES * TASKS
    given = {
        "out": np.zeros(size, np.float32), "x": np.full((CHAINS + 2) * LANES, 0.5, np.float32),
        "size": size, "turns": TURNS,
    }  # fmt: skip
    best = float("inf")
    for _ in range(TIMES):
        begun = perf_counter()
        run(threads, **given)
        best = min(best, perf_counter() - begun)
    return 2.0 * CHAINS * TURNS * size / best
