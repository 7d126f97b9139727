"""Gradient of a depthwise convolution by its input."""

from __future__ import annotations

from netdsl.backends.cpu.conv_backward import wipe_rows
from netdsl.backends.cpu.conv_forward import ENDLESS
from netdsl.backends.cpu.conv_pack import phase_of
from netdsl.backends.cpu.depthwise import PLACES, VECTORS, gather_channels, windows
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import device, routine


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


@device
def ceil_of(count, each):
    """How many times ``each`` is needed for so many."""
    return (count + each - 1) // each


@routine
def one_phase(
    out, step, scratch, y, y_step, y_ref, y_ref_step, y_coef, y_lo, y_hi, weight,
    r, plane, block, blocks, channel, wide, ci, co, lies, sizes, taps, strides, pads, apart, add,
):  # fmt: skip
    """The positions of a phase, ``r`` places from the first, in some rows of a plane."""
    f0, a0, n0, e0, q0 = phase_of(r[0], taps[0], strides[0], pads[0], apart[0])
    f1, a1, n1, e1, q1 = phase_of(r[1], taps[1], strides[1], pads[1], apart[1])
    f2, a2, n2, e2, q2 = phase_of(r[2], taps[2], strides[2], pads[2], apart[2])
    high, long = ceil_of(lies[1] - r[1], strides[1]), ceil_of(lies[2] - r[2], strides[2])
    made, planes = (ceil_of(lies[0] - r[0], strides[0]), high, long), ceil_of(lies[0], strides[0])
    begin = made[1] * block // blocks
    count = made[1] * (block + 1) // blocks - begin
    if count <= 0 or made[2] <= 0 or plane % planes >= made[0]:
        return
    row = (plane // planes * made[0] + plane % planes) * made[1] + begin
    if n0 * n1 * n2 == 0:
        if add == 0:
            wipe_rows(out, step, channel, wide, row, row + count, made, lies, strides, r)
        return
    last = ((f0 + (n0 - 1) * a0) * taps[1] + f1 + (n1 - 1) * a1) * taps[2] + f2 + (n2 - 1) * a2
    window, ones, near = (n0, n1, n2), (1, 1, 1), (e0, e1, e2)
    many, wall = co // ci, (wide + LANES - 1) // LANES * LANES
    for j in range(many):
        gather_channels(
            scratch, scratch.size - (made[2] + (n2 - 1) * e2) * many * VECTORS * LANES,
            row, count, channel, wide, wall, many, 1, j, sizes, made, window, ones, (q0, q1, q2),
            near, y, y_step, y_ref, y_ref_step, y_coef, co, y_lo, y_hi,
        )  # fmt: skip
        every = taps[0] * taps[1] * taps[2] * LANES
        place = j * ceil_of(ci, LANES) + channel // LANES
        windows(
            out, step, channel, wide, scratch, weight, place * every + last * LANES,
            (-a0 * taps[1] * taps[2] * LANES, -a1 * taps[2] * LANES, -a2 * LANES, every),
            weight[:0], 1 if j > 0 else add, -ENDLESS, ENDLESS,
            row, count, made, window, ones, near, lies, strides, r,
        )  # fmt: skip


# fmt: off
@task(tasks=depthwise_back_tasks, memory=depthwise_back_memory)
def depthwise_backward(
    first, last, scratch, out, y, y_ref, y_coef, weight,
    n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    step: int, y_step: int, y_ref_step: int, add: int, y_lo: float, y_hi: float,
):
    few = max(PLACES // ceil_of(i2, s2), 1)
    blocks, parts = ceil_of(ceil_of(i1, s1), few), ceil_of(ci, VECTORS * LANES)
    for t in range(first, last):
        plane, block, part = t // (blocks * parts), t // parts % blocks, t % parts
        channel = part * VECTORS * LANES
        for r in range(s0 * s1 * s2):
            one_phase(
                out, step, scratch, y, y_step, y_ref, y_ref_step, y_coef, y_lo, y_hi, weight,
                (r // (s1 * s2), r // s2 % s1, r % s2), plane, block, blocks,
                channel, min(VECTORS * LANES, ci - channel), ci, co, (i0, i1, i2), (o0, o1, o2),
                (k0, k1, k2), (s0, s1, s2), (p0, p1, p2), (d0, d1, d2), add,
            )
# fmt: on
