"""Gradients by weights across images: vectors of products, whose lanes are added at the end.

Every block of images leaves a row of its own: the gradient by weights in their logical layout, and
behind it the gradient by the bias. A following kernel adds the rows in their order.
"""

from __future__ import annotations

from netdsl.backends.cpu.across import end_place, first_place, put_zeros
from netdsl.backends.cpu.across_conv import most_rows
from netdsl.backends.cpu.across_gradient import gradient_rows
from netdsl.backends.cpu.across_plan import CLOSE_BY
from netdsl.backends.cpu.across_tile import across_inner
from netdsl.backends.cpu.across_turn import lane_sums
from netdsl.backends.cpu.lazy import put_or_add, put_vector
from netdsl.backends.cpu.machine import LANES, REGISTERS
from netdsl.backends.cpu.rows import sum_of_rows
from netdsl.backends.cpu.simd import vall, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PORTION = 512
"""So many weights are a task of the sum."""


@device
def band_of(rows, wide):
    """How many rows of a gradient are made at a time."""
    return max(1, min(rows, CLOSE_BY // wide))


def piece_tasks(ci, co, k0, k1, k2):
    """A task for some weights, and one for the bias."""
    return (co * ci * k0 * k1 * k2 + PORTION - 1) // PORTION + 1


@device
def most_taps():
    """How many taps of a row a tile takes at once."""
    return 5 if REGISTERS >= 32 else 3


@routine
def tap_row(
    c, c_at, rows, step, taps, start, dy, a_at, ar, x, b_at, bt,
    n1, a1, b1, n2, a2, b2, n, ak, bk,
):  # fmt: skip
    """What a row of ``taps`` gets from some places of ``rows`` channels, added with ``start``."""
    tap = 0
    while tap < taps:
        wide = min(most_taps(), taps - tap)
        across_inner(
            c, c_at + tap * LANES, c, 0, dy, a_at, x, b_at + tap * bt,
            rows, wide, start, step, LANES, ar, bt,
            1, 0, 0, 1, 0, 0, n1, a1, b1, n2, a2, b2, n, ak, bk,
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
def weight_band(
    sums, s, rows, dy, i, wide, lines, left, top, bottom, x, b, width, ci, i0, i1, o0, o1, o2,
    k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
):  # fmt: skip
    """What a band of some channels out adds to the sums of their weights, then of their bias.

    Planes of the gradient have ``lines`` rows of ``wide`` vectors, the band's first row at ``i``;
    the first position is ``left`` from the begin of a row, and besides there are zeros.
    """
    taps, line, pitch = k0 * k1 * k2, width * LANES, wide * LANES
    for r in range(ci * k0):
        c, u = r // k0, r % k0
        start0 = u * d0 - p0
        f0 = first_place(start0, s0)
        count0 = max(0, end_place(start0, s0, i0, o0) - f0)
        for v in range(k1):
            start1 = v * d1 - p1
            f1 = max(top, first_place(start1, s1))
            count1 = max(0, min(bottom, end_place(start1, s1, i1, o1)) - f1)
            tap_row(
                sums, s + (r * k1 + v) * k2 * LANES, rows, ci * taps * LANES, k2, 1 if top else 0,
                dy, i + (f0 * lines + f1 - top) * pitch + left * LANES, o0 * lines * pitch,
                x, b + ((c * i0 + start0 + f0 * s0) * i1 + start1 + f1 * s1) * line,
                d2 * LANES, count0, lines * pitch, s0 * i1 * line,
                count1, pitch, s1 * line, o2, LANES, s2 * LANES,
            )  # fmt: skip
    for f0 in range(o0):  # the bias, while the gradient is near
        add_positions(
            sums, s + rows * ci * taps * LANES, dy, i + f0 * lines * pitch,
            o0 * lines * pitch, rows, (bottom - top) * wide, top == 0 and f0 == 0,
        )  # fmt: skip


@routine
def add_lanes(out, o, sums, s, count, lanes):
    """The sums of the first lanes of so many vectors."""
    for r in range(0, count, LANES):
        left = count - r
        put_vector(out, o + r, lane_sums(sums, s + r * LANES, min(left, LANES), lanes), left)


@routine
def weight_block(
    parts, o, lanes, x, b, width, own, y_at, wide, left, w, s, plane, dy, index, y, ci, co, i0, i1,
    o0, o1, o2, k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2, act, lo, hi, kind, pool,
):  # fmt: skip
    """The gradients of a block of images by weights and bias.

    That by the output is made band after band, so that a band meets all taps while it is near. All
    of it is left behind if its rows have a zero on the ``left`` and behind.
    """
    each, pitch = ci * k0 * k1 * k2, wide * LANES
    groups = -(-co // most_rows(min(most_taps(), k2), 5))
    for r in range(co * o0 * o1 if left else 0):
        put_zeros(own, y_at + r * pitch, left)
        put_zeros(own, y_at + r * pitch + (left + o2) * LANES, wide - left - o2)
    for g in range(groups):
        begin, end = g * co // groups, (g + 1) * co // groups
        band = band_of(o1, wide)
        lines, at = (o1, y_at + begin * o0 * o1 * pitch) if left else (band, y_at)
        for top in range(0, o1, band):
            bottom, place = min(o1, top + band), at + (top * pitch if left else 0)
            for c in range((end - begin) * o0):
                gradient_rows(
                    own, place + c * lines * pitch + left * LANES, pitch, own, w, dy, index, y,
                    plane + begin + c // o0, c % o0, top, bottom, o0, o1, o2, act, lo, hi,
                    kind, pool,
                )  # fmt: skip
            weight_band(
                own, s, end - begin, own, place, wide, lines, left, top, bottom, x, b, width,
                ci, i0, i1, o0, o1, o2, k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2,
            )  # fmt: skip
        count = (end - begin) * each
        add_lanes(parts, o + begin * each, own, s, count, lanes)
        add_lanes(parts, o + co * each + begin, own, s + count * LANES, end - begin, lanes)


@routine
def add_blocks(out, o, parts, i, step, rows, count, add):
    """The sums of so many numbers of all rows, in their order."""
    for k in range(0, count, LANES):
        total = sum_of_rows(parts, i + k, step, rows, count - k)
        put_or_add(out, o + k, total, add, count - k)


# fmt: off
@task(tasks=piece_tasks, writes=("out", "dbias"))
def across_weight_sum(
    first, last, scratch, out, dbias, parts,
    n: int, ci: int, co: int, k0: int, k1: int, k2: int, add: int,
):
    """The gradients by weights, and by the bias where ``dbias`` is given: sums of all blocks."""
    # fmt: on
    weights = co * ci * k0 * k1 * k2
    rows, pieces = (n + LANES - 1) // LANES, (weights + PORTION - 1) // PORTION
    for t in range(first, last):
        if t < pieces:
            count = min(PORTION, weights - t * PORTION)
            add_blocks(out, t * PORTION, parts, t * PORTION, weights + co, rows, count, add)
        elif dbias.size:
            add_blocks(dbias, 0, parts, weights, weights + co, rows, co, add)
