"""Gradient of a depthwise convolution by its input."""

from __future__ import annotations

from netdsl.backends.cpu.conv_backward import wipe_rows
from netdsl.backends.cpu.conv_forward import ENDLESS
from netdsl.backends.cpu.conv_pack import phase_of
from netdsl.backends.cpu.depthwise import PLACES, VECTORS, gather_channels, windows
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task


def depthwise_back_tasks(
    n: int, ci: int, i0: int, i1: int, i2: int, s0: int, s1: int, s2: int
) -> int:
    """A task for some rows of every phase of a plane and some channels."""
    few, high = max(PLACES // -(-i2 // s2), 1), -(-i1 // s1)
    return n * -(-i0 // s0) * -(-high // few) * -(-ci // (VECTORS * LANES))


def depthwise_back_memory(
    ci: int, co: int, i1: int, i2: int, k0: int, k1: int, k2: int,
    s1: int, s2: int, d1: int, d2: int,
) -> int:  # fmt: skip
    """What some rows see; a row that they make; and a row that is read."""
    width = -(-i2 // s2) + (k2 - 1) * d2
    lines = k0 * (min(max(PLACES // -(-i2 // s2), 1), -(-i1 // s1)) + (k1 - 1) * d1)
    return (lines * width + 16 + width + width * (co // ci)) * VECTORS * LANES


# fmt: off
@task(tasks=depthwise_back_tasks, memory=depthwise_back_memory)
def depthwise_backward(
    first, last, scratch, out, y, y_ref, y_coef, weight,
    n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    step: int, y_step: int, y_ref_step: int, add: int, y_lo: float, y_hi: float,
):
    many, all_taps = co // ci, k0 * k1 * k2 * LANES
    few = max(PLACES // ((i2 + s2 - 1) // s2), 1)
    planes, high = (i0 + s0 - 1) // s0, (i1 + s1 - 1) // s1
    blocks, parts = (high + few - 1) // few, (ci + VECTORS * LANES - 1) // (VECTORS * LANES)
    for t in range(first, last):
        plane, block, part = t // (blocks * parts), t // parts % blocks, t % parts
        channel = part * VECTORS * LANES
        wide = min(VECTORS * LANES, ci - channel)
        wall = (wide + LANES - 1) // LANES * LANES
        for r in range(s0 * s1 * s2):
            r0, r1, r2 = r // (s1 * s2), r // s2 % s1, r % s2
            f0, a0, n0, e0, q0 = phase_of(r0, k0, s0, p0, d0)
            f1, a1, n1, e1, q1 = phase_of(r1, k1, s1, p1, d1)
            f2, a2, n2, e2, q2 = phase_of(r2, k2, s2, p2, d2)
            made = ((i0 - r0 + s0 - 1) // s0, (i1 - r1 + s1 - 1) // s1, (i2 - r2 + s2 - 1) // s2)
            begin = made[1] * block // blocks
            count = made[1] * (block + 1) // blocks - begin
            if count <= 0 or made[2] <= 0 or plane % planes >= made[0]:
                continue
            row = (plane // planes * made[0] + plane % planes) * made[1] + begin
            lies, every, start = (i0, i1, i2), (s0, s1, s2), (r0, r1, r2)
            if n0 * n1 * n2 == 0:
                if add == 0:
                    wipe_rows(out, step, channel, wide, row, row + count, made, lies, every, start)
                continue
            last_tap = (f0 + (n0 - 1) * a0) * k1 + f1 + (n1 - 1) * a1
            last_tap = last_tap * k2 + f2 + (n2 - 1) * a2
            sizes, window, ones = (o0, o1, o2), (n0, n1, n2), (1, 1, 1)
            for j in range(many):
                gather_channels(
                    scratch, scratch.size - (made[2] + (n2 - 1) * e2) * many * VECTORS * LANES,
                    row, count, channel, wide, wall, many, 1, j,
                    sizes, made, window, ones, (q0, q1, q2), (e0, e1, e2),
                    y, y_step, y_ref, y_ref_step, y_coef, co, y_lo, y_hi,
                )
                place = j * ((ci + LANES - 1) // LANES) + channel // LANES
                windows(
                    out, step, channel, wide, scratch, weight, place * all_taps + last_tap * LANES,
                    (-a0 * k1 * k2 * LANES, -a1 * k2 * LANES, -a2 * LANES, all_taps),
                    weight[:0], 1 if j > 0 else add, -ENDLESS, ENDLESS,
                    row, count, made, window, ones, (e0, e1, e2), lies, every, start,
                )
# fmt: on
