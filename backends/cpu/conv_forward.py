"""Convolution: ``y[n, o, p] = b[o] + sum over c, t of w[o, c, t] x[n, c, s p + d t - pad]``."""

from __future__ import annotations

from netdsl.backends.cpu.conv_block import (
    DEEP,
    NARROW,
    PARTS,
    PICTURES,
    POSITIONS,
    SMALL,
    STORE,
    blocks_of,
    convolve,
    parts_of,
)
from netdsl.backends.cpu.conv_finish import finish
from netdsl.backends.cpu.conv_pack import panel_count, panel_wide
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import real

ENDLESS = 1e300
"""Bounds beyond are none."""


def conv_rows(n: int, ci: int, groups: int, i1: int, i2: int, o0: int, o1: int, o2: int) -> int:
    """How many rows the statistics of a convolution have: one for each block of positions."""
    return blocks_of(n * o0, o1, o2, ci // groups * i1 * i2)


def conv_tasks(
    n: int, ci: int, co: int, groups: int, i1: int, i2: int, o0: int, o1: int, o2: int
) -> int:
    """A task for each block of positions and each part of the channels."""
    few, rows = max(POSITIONS // o2, 1), n * o0 * o1
    if o1 * o2 <= SMALL:
        few, rows = max(-(-POSITIONS // (o1 * o2)), PICTURES), n * o0
        few = min(few, max(STORE // (ci // groups * i1 * i2), 1))
    blocks = max(-(-rows // few), 1)
    return blocks * max(min(PARTS // blocks, co // groups // (NARROW * LANES)), 1)


def conv_memory(
    ci: int, groups: int, i1: int, i2: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s1: int, s2: int, d1: int, d2: int,
) -> int:  # fmt: skip
    """What a block of positions sees: as rows with zeros around, as a matrix, as it is."""
    inner, rows, pictures = ci // groups, max(POSITIONS // o2, 1) + 1, 0
    if o1 * o2 <= SMALL:
        pictures = max(-(-POSITIONS // (o1 * o2)), PICTURES) + 1
        rows = o1 * pictures
    lines = rows * s1 + (rows // o1 + 2) * ((k1 - 1) * d1 + 1)
    seen = lines * ((o2 - 1) * s2 + (k2 - 1) * d2 + 1) * inner
    matrix = rows * o2 * (min(DEEP, k0 * k1 * k2 * inner) + LANES)
    return max(seen, matrix, pictures * (i1 * i2 * inner + LANES))


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
    inner, outer = ci // groups, co // groups
    columns, panels, deep = panel_wide(outer) * LANES, panel_count(outer), k0 * k1 * k2 * inner
    blocks = blocks_of(n * o0, o1, o2, inner * i1 * i2)
    parts = parts_of(blocks, outer)
    tall = o1 if o1 * o2 <= SMALL else 1
    units = n * o0 * o1 // tall
    bounded = out_lo > -ENDLESS or out_hi < ENDLESS
    bounds = real(out_lo), real(out_hi)
    for t in range(first, last):
        block, part = t // parts, t % parts
        begin, end = units * block // blocks * tall, units * (block + 1) // blocks * tall
        one, two = panels * part // parts, panels * (part + 1) // parts
        many = min(two * columns, outer) - one * columns
        for g in range(groups):
            channel = g * outer + one * columns
            convolve(
                scratch, 0, out, step, channel, x, x_step, ref, ref_step, coef, g * inner, ci,
                lo, hi, weight, (g * panels + one) * deep * columns, columns, bias, add,
                bounded, bounds, inner, many, begin, end,
                (i0, i1, i2), (o0, o1, o2), (k0, k1, k2), (s0, s1, s2), (p0, p1, p2),
                (d0, d1, d2), (o0, o1, o2), (1, 1, 1), (0, 0, 0),
            )
            if sums.size > 0:
                finish(
                    out, begin * o2 * step + channel, step, (end - begin) * o2, many,
                    bias, channel, False, False, out_lo, out_hi,
                    sums, block * (2 * co + 1), co,
                )
        if sums.size > 0 and part == 0:
            sums[block * (2 * co + 1) + 2 * co] = real((end - begin) * o2)
# fmt: on
