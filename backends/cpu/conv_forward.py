"""Convolution: ``y[n, o, p] = sum over c, t of w[o, c, t] * x[n, c, s * p + d * t - pad] + b[o]``."""

from __future__ import annotations

from netdsl.backends.cpu.conv_block import (
    DEEP,
    NARROW,
    PARTS,
    POSITIONS,
    blocks_of,
    convolve,
    finish,
    parts_of,
)
from netdsl.backends.cpu.conv_pack import panel_count, panel_wide
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import real

ENDLESS = 1e300
"""Bounds beyond are none."""


def conv_rows(n: int, o0: int, o1: int, o2: int) -> int:
    """How many rows the statistics of a convolution have: one for each block of positions."""
    return blocks_of(n * o0 * o1, o2)


def conv_tasks(n: int, co: int, groups: int, o0: int, o1: int, o2: int) -> int:
    """A task for each block of positions and each part of the channels."""
    rows = n * o0 * o1
    blocks = max(min(rows, -(-rows * o2 // POSITIONS)), 1)
    return blocks * max(min(PARTS // blocks, co // groups // (NARROW * LANES)), 1)


def conv_memory(
    ci: int, groups: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s1: int, s2: int, d1: int, d2: int,
) -> int:  # fmt: skip
    """What a block of positions sees: as rows with zeros around, or as a matrix."""
    rows = POSITIONS // o2 + 1
    lines = rows * s1 + (rows // o1 + 2) * ((k1 - 1) * d1 + 1)
    seen = lines * ((o2 - 1) * s2 + (k2 - 1) * d2 + 1) * (ci // groups)
    return max(seen, rows * o2 * min(DEEP, k0 * k1 * k2 * ci // groups))


# fmt: off
@task(tasks=conv_tasks, memory=conv_memory, writes=("out", "sums"))
def conv_forward(
    first, last, scratch, out, x, ref, coef, weight, bias, sums,
    n: int, ci: int, co: int, groups: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    step: int, x_step: int, ref_step: int, add: int,
    lo: float, hi: float, out_lo: float, out_hi: float,
):
    # With ``add`` the bounds are those of the sum: clamp(out + convolution + bias).
    inner, outer, rows = ci // groups, co // groups, n * o0 * o1
    blocks = blocks_of(rows, o2)
    parts = parts_of(blocks, outer)
    panels, columns = panel_count(outer), panel_wide(outer) * LANES
    bounded = out_lo > -ENDLESS or out_hi < ENDLESS
    biased = add == 1 and bias.size > 0
    for t in range(first, last):
        block, part = t // parts, t % parts
        begin, end = rows * block // blocks, rows * (block + 1) // blocks
        one, two = panels * part // parts, panels * (part + 1) // parts
        for g in range(groups):
            convolve(
                scratch, 0, out, step, g * outer, x, x_step, ref, ref_step, coef,
                g * inner, ci, lo, hi,
                weight, g * panels * columns * k0 * k1 * k2 * inner, bias, add,
                inner, outer, one, two, begin, end,
                (i0, i1, i2), (o0, o1, o2), (k0, k1, k2), (s0, s1, s2), (p0, p1, p2),
                (d0, d1, d2), (o0, o1, o2), (1, 1, 1), (0, 0, 0),
            )  # fmt: skip
            if bounded or biased or sums.size > 0:
                channel = g * outer + one * columns
                finish(
                    out, begin * o2 * step + channel, step, (end - begin) * o2,
                    min(two * columns, outer) - one * columns, bias, channel, biased, bounded,
                    out_lo, out_hi, sums, block * (2 * co + 1), co,
                )  # fmt: skip
        if sums.size > 0 and part == 0:
            sums[block * (2 * co + 1) + 2 * co] = real((end - begin) * o2)
# fmt: on
