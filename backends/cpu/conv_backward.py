"""Gradient of a convolution by its input: each position gathers from the windows that saw it.

Where the stride is not 1, positions of equal remainder are a phase: all of them are seen by the
same taps, and the gradient is a convolution of stride 1 over ``dy`` with these taps.
"""

from __future__ import annotations

import numpy as np

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
    place_of,
)
from netdsl.backends.cpu.conv_gather import wipe
from netdsl.backends.cpu.conv_pack import panel_count, panel_wide, phase_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import real, routine


def conv_back_tasks(
    n: int, ci: int, co: int, groups: int, i0: int, i1: int, i2: int, o1: int, o2: int,
    s0: int, s1: int, s2: int,
) -> int:  # fmt: skip
    """A task for each block of positions of a phase and each part of the channels."""
    high, width = -(-i1 // s1), -(-i2 // s2)
    planes = n * -(-i0 // s0)
    few, rows = max(POSITIONS // width, 1), planes * high
    if high * width <= SMALL:
        few, rows = max(-(-POSITIONS // (high * width)), PICTURES), planes
        few = min(few, max(STORE // (co // groups * o1 * o2), 1))
    blocks = max(-(-rows // few), 1)
    return blocks * max(min(PARTS // blocks, ci // groups // (NARROW * LANES)), 1)


def conv_back_memory(
    ci: int, co: int, groups: int, i1: int, i2: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s1: int, s2: int, d1: int, d2: int,
) -> int:  # fmt: skip
    """What a block of positions sees, in each of three forms; and, with a stride, what it makes."""
    inner, outer, high, width = ci // groups, co // groups, -(-i1 // s1), -(-i2 // s2)
    rows, pictures = max(POSITIONS // width, 1) + 1, 0
    if high * width <= SMALL:
        pictures = max(-(-POSITIONS // (high * width)), PICTURES) + 1
        rows = high * pictures
    lines = rows + (rows // max(i1 // s1, 1) + 2) * ((k1 - 1) * d1 + 1)
    seen = lines * (width + (k2 - 1) * d2) * outer
    matrix = rows * width * (min(DEEP, k0 * k1 * k2 * outer) + LANES)
    made = rows * width * inner
    return max(seen, matrix, pictures * (o1 * o2 * outer + LANES)) + made


@routine
def wipe_rows(out, step, o, channels, first, last, made, lies, every, begin):
    """Zeros where no window looks."""
    for row in range(first, last):
        place = place_of(row, made, lies, every, begin)
        wipe(out, place * step + o, every[2] * step, made[2], channels)


# fmt: off
@task(tasks=conv_back_tasks, memory=conv_back_memory)
def conv_backward(
    first, last, scratch, out, y, y_ref, y_coef, weight,
    n: int, ci: int, co: int, groups: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    step: int, y_step: int, y_ref_step: int, add: int, y_lo: float, y_hi: float,
):
    inner, outer = ci // groups, co // groups
    columns, panels = panel_wide(inner) * LANES, panel_count(inner)
    high, width = (i1 + s1 - 1) // s1, (i2 + s2 - 1) // s2
    blocks = blocks_of(n * ((i0 + s0 - 1) // s0), high, width, outer * o1 * o2)
    parts = parts_of(blocks, inner)
    endless = real(-np.inf), real(np.inf)
    for t in range(first, last):
        block, part = t // parts, t % parts
        one, two = panels * part // parts, panels * (part + 1) // parts
        many = min(two * columns, inner) - one * columns
        done = 0
        for r in range(s0 * s1 * s2):
            r0, r1, r2 = r // (s1 * s2), r // s2 % s1, r % s2
            _, _, n0, e0, q0 = phase_of(r0, k0, s0, p0, d0)
            _, _, n1, e1, q1 = phase_of(r1, k1, s1, p1, d1)
            _, _, n2, e2, q2 = phase_of(r2, k2, s2, p2, d2)
            made = ((i0 - r0 + s0 - 1) // s0, (i1 - r1 + s1 - 1) // s1, (i2 - r2 + s2 - 1) // s2)
            tall = made[1] if high * width <= SMALL else 1
            units = n * made[0] * made[1] // tall if min(made) > 0 else 0
            begin, end = units * block // blocks * tall, units * (block + 1) // blocks * tall
            taps = n0 * n1 * n2
            for g in range(groups):
                channel = g * inner + one * columns
                if taps > 0 and begin < end:
                    place = (done * groups + g * taps) * panels + one * taps
                    convolve(
                        scratch, scratch.size - (end - begin) * made[2] * many, out, step, channel,
                        y, y_step, y_ref, y_ref_step, y_coef, g * outer, co, y_lo, y_hi,
                        weight, place * outer * columns, columns, weight[:0], add,
                        False, endless, outer, many, begin, end,
                        (o0, o1, o2), made, (n0, n1, n2), (1, 1, 1), (q0, q1, q2), (e0, e1, e2),
                        (i0, i1, i2), (s0, s1, s2), (r0, r1, r2),
                    )
                elif add == 0:
                    wipe_rows(
                        out, step, channel, many,
                        begin, end, made, (i0, i1, i2), (s0, s1, s2), (r0, r1, r2),
                    )
            done += taps
# fmt: on
