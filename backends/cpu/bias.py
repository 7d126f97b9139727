"""The gradient by a bias: ``dbias[c] = sum over images and positions of dy[c]``."""

from __future__ import annotations

from netdsl.backends.cpu.lazy import fetch, put_or_add, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.norm import total_of
from netdsl.backends.cpu.simd import vall, vload
from netdsl.backends.override import task
from netdsl.kernel import real

SHARE = 1 << 15
"""About so many numbers are summed by a task."""
TURN = 64
"""So many positions are added up in sequence."""


def bias_rows(count: int, c: int) -> int:
    """How many rows of sums there are: one for each task."""
    size = max(SHARE // c, TURN)
    return (count + size - 1) // size


def bias_memory(c: int) -> int:
    """The positions that are made at once."""
    return TURN * (c + LANES) + LANES


# fmt: off
@task(tasks=bias_rows, memory=bias_memory, writes=("sums",))
def bias_sums(
    first, last, scratch, sums, y, y_ref, y_coef, count: int, c: int,
    y_step: int, y_ref_step: int, y_lo: float, y_hi: float,
):
    """Every task's sums over its positions: `bias_rows` rows of ``c``."""
    # fmt: on
    size, pitch = max(SHARE // c, TURN), (c + LANES - 1) // LANES * LANES
    for t in range(first, last):
        end = min(count, (t + 1) * size)
        sums[t * c : (t + 1) * c] = real(0)
        for p in range(t * size, end, TURN):
            some = min(TURN, end - p)
            fetch(
                scratch, 0, pitch, some, c, y, p * y_step, y_step,
                y_ref, p * y_ref_step, y_ref_step, y_coef, 0, c, y_lo, y_hi,
            )  # fmt: skip
            for k in range(0, c, LANES):
                total = vall(real(0))
                for q in range(some):
                    total = total + vload(scratch, q * pitch + k)
                at = t * c + k
                put_vector(sums, at, take_vector(sums, at, c - k) + total, c - k)


@task()
def bias_total(first, last, scratch, out, sums, rows: int, c: int, add: int):
    """The sums of all tasks, in their order."""
    for k in range(0, c, LANES):
        total = total_of(sums, k, c, rows, c - k)
        put_or_add(out, k, total, add, c - k)


@task(tasks=bias_rows)
def spread_bias(first, last, scratch, out, bias, count: int, c: int, step: int):
    """The bias at every position, for kernels that add to what is there."""
    size = max(SHARE // c, TURN)
    for p in range(first * size, min(count, last * size)):
        for k in range(0, c, LANES):
            put_vector(out, p * step + k, take_vector(bias, k, c - k), c - k)
