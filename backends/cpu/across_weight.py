"""Gradients by weights across images: vectors of products, whose lanes are added at the end.

Every block of images leaves a row of its own: the gradient by weights in their logical layout, and
behind it the gradient by the bias. A following kernel adds the rows in their order.
"""

from __future__ import annotations

from netdsl.backends.cpu.across import across_tasks, end_place, first_place
from netdsl.backends.cpu.across_conv import most_rows, pad_rows, width_of
from netdsl.backends.cpu.across_tile import across_inner
from netdsl.backends.cpu.across_turn import lane_sums
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES, REGISTERS
from netdsl.backends.cpu.simd import vall, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PORTION = 512
"""So many weights are a task of the sum."""


CLOSE_BY = 400
"""So many vectors of the gradient meet all taps before the next ones do: they stay near."""


def across_parts(n, ci, co, k0, k1, k2):
    """How many numbers `across_weight` leaves to `across_weight_sum`."""
    return (n + LANES - 1) // LANES * co * (ci * k0 * k1 * k2 + 1)


def part_memory(ci, co, i0, i1, i2, o2, k0, k1, k2, s2, p2, d2):
    """A block of images with padded rows, and sums of some channels."""
    width = max(p2 + i2, (o2 - 1) * s2 + (k2 - 1) * d2 + 1)
    return (ci * i0 * i1 * width + 6 * (ci * k0 * k1 * k2 + 1)) * LANES


def piece_tasks(ci, co, k0, k1, k2):
    """A task for some weights, and one for the bias."""
    return (co * ci * k0 * k1 * k2 + PORTION - 1) // PORTION + 1


@device
def most_taps():
    """How many taps of a row a tile takes at once."""
    return 5 if REGISTERS >= 32 else 3


@routine
def tap_row(
    c, c_at, rows, step, dy, a_at, o1, o2, x, b_at,
    size, places0, b1, places1, b2, k2, s2, d2, fresh,
):  # fmt: skip
    """What a row of ``k2`` taps gets from some places of ``rows`` channels of ``size`` numbers."""
    tap = 0
    while tap < k2:
        wide = min(most_taps(), k2 - tap)
        across_inner(
            c, c_at + tap * LANES, c, 0, dy, a_at, x, b_at + tap * d2 * LANES,
            rows, wide, 0 if fresh else 1, step, LANES, size, d2 * LANES,
            1, 0, 0, 1, 0, 0,
            places0, o1 * o2 * LANES, b1, places1, o2 * LANES, b2, o2, LANES, s2 * LANES,
        )  # fmt: skip
        tap += wide


@routine
def add_positions(sums, s, x, i, step, rows, count, fresh):
    """A vector for every row, ``step`` apart: the sum of its vectors, or what they add to it."""
    for r in range(rows):
        v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
        at = i + r * step
        for p in range(0, count - 3, 4):
            k = at + p * LANES
            v0, v1 = v0 + vload(x, k), v1 + vload(x, k + LANES)
            v2, v3 = v2 + vload(x, k + 2 * LANES), v3 + vload(x, k + 3 * LANES)
        for p in range(count // 4 * 4, count):
            v0 = v0 + vload(x, at + p * LANES)
        v0 = (v0 + v1) + (v2 + v3)
        vstore(sums, s + r * LANES, v0 if fresh else vload(sums, s + r * LANES) + v0)


@routine
def weight_rows(
    sums, s, rows, dy, i, x, b, width, ci, i0, i1, o0, o1, o2, k0, k1, k2, s0, s1, s2,
    p0, p1, d0, d1, d2,
):  # fmt: skip
    """The sums of some channels out, vectors still: of all their weights, then of their bias.

    They are made band after band of the gradient.
    """
    taps, line = k0 * k1 * k2, width * LANES
    band = max(1, min(o1, CLOSE_BY // (rows * o2)))
    for top in range(0, o1, band):
        for r in range(ci * k0):
            c, u = r // k0, r % k0
            start0 = u * d0 - p0
            f0 = first_place(start0, s0)
            count0 = max(0, end_place(start0, s0, i0, o0) - f0)
            for v in range(k1):
                start1 = v * d1 - p1
                f1 = max(top, first_place(start1, s1))
                count1 = max(0, min(top + band, end_place(start1, s1, i1, o1)) - f1)
                tap_row(
                    sums, s + (r * k1 + v) * k2 * LANES, rows, ci * taps * LANES,
                    dy, i + (f0 * o1 + f1) * o2 * LANES, o1, o2,
                    x, b + ((c * i0 + start0 + f0 * s0) * i1 + start1 + f1 * s1) * line,
                    o0 * o1 * o2 * LANES, count0, s0 * i1 * line, count1, s1 * line, k2, s2, d2,
                    top == 0,
                )  # fmt: skip
        for f0 in range(o0):  # the bias, while the gradient is near
            add_positions(
                sums, s + rows * ci * taps * LANES, dy, i + (f0 * o1 + top) * o2 * LANES,
                o0 * o1 * o2 * LANES, rows, min(band, o1 - top) * o2, top == 0 and f0 == 0,
            )  # fmt: skip


@routine
def add_lanes(out, o, sums, s, count, lanes):
    """The sums of the first lanes of so many vectors."""
    for r in range(0, count, LANES):
        left = count - r
        put_vector(out, o + r, lane_sums(sums, s + r * LANES, min(left, LANES), lanes), left)


@routine
def weight_block(
    parts, o, lanes, dy, i, x, b, width, sums, s, ci, co, i0, i1, o0, o1, o2,
    k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
):  # fmt: skip
    """A row of `across_weight`."""
    each, size = ci * k0 * k1 * k2, o0 * o1 * o2
    groups = -(-co // most_rows(min(most_taps(), k2), 5))
    high, more, row = co // groups, co % groups, 0
    for g in range(groups):
        count = high + (g < more)
        at = i + row * size * LANES
        weight_rows(
            sums, s, count, dy, at, x, b, width, ci, i0, i1, o0, o1, o2,
            k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
        )  # fmt: skip
        add_lanes(parts, o + row * each, sums, s, count * each, lanes)
        add_lanes(parts, o + co * each + row, sums, s + count * each * LANES, count, lanes)
        row += count


# fmt: off
@task(tasks=across_tasks, memory=part_memory, writes=("parts",))
def across_weight(
    first, last, scratch, parts, x, dy, n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
):
    """The gradients by weights and bias of every block of images; `across_weight_sum` follows.

    ``parts`` has `across_parts` numbers.
    """
    width = width_of(i2, o2, k2, s2, p2, d2)
    sums = ci * i0 * i1 * width * LANES
    for t in range(first, last):
        o, lanes = t * co * (ci * k0 * k1 * k2 + 1), min(LANES, n - t * LANES)
        i, b = t * co * o0 * o1 * o2 * LANES, t * ci * i0 * i1 * i2 * LANES
        if width > i2:
            pad_rows(scratch, 0, x, b, ci * i0 * i1, i2, p2, width)
            weight_block(
                parts, o, lanes, dy, i, scratch, 0, width, scratch, sums, ci, co, i0, i1,
                o0, o1, o2, k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
            )
        else:
            weight_block(
                parts, o, lanes, dy, i, x, b, width, scratch, sums, ci, co, i0, i1,
                o0, o1, o2, k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
            )
# fmt: on


@routine
def add_blocks(out, o, parts, i, step, rows, count, add):
    """The sums of so many numbers of all rows, in their order."""
    for k in range(0, count, LANES):
        left = count - k
        total = take_vector(parts, i + k, left)
        for r in range(1, rows):
            total = total + take_vector(parts, i + r * step + k, left)
        if add:
            total = take_vector(out, o + k, left) + total
        put_vector(out, o + k, total, left)


@task(tasks=piece_tasks, writes=("out", "dbias"))
def across_weight_sum(
    first,
    last,
    scratch,
    out,
    dbias,
    parts,
    n: int,
    ci: int,
    co: int,
    k0: int,
    k1: int,
    k2: int,
    add: int,
):
    """The gradients by weights, and by the bias where ``dbias`` is given: sums of all blocks."""
    weights = co * ci * k0 * k1 * k2
    rows, pieces = (n + LANES - 1) // LANES, (weights + PORTION - 1) // PORTION
    for t in range(first, last):
        if t < pieces:
            count = min(PORTION, weights - t * PORTION)
            add_blocks(out, t * PORTION, parts, t * PORTION, weights + co, rows, count, add)
        elif dbias.size:
            add_blocks(dbias, 0, parts, weights, weights + co, rows, co, add)
