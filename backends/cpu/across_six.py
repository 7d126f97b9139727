"""Convolutions across images by six products along rows: ``7 - k`` outputs of a window of ``k``.

For five taps these are 6 in the place of 10, for three and four in the place of 12. Each point has
a product of matrices: channels by channels and rows of taps, over all rows of tiles at once. In
memory lie points, channels, planes, rows and tiles, the last ones side by side.
"""

from __future__ import annotations

from netdsl.backends.cpu.across import end_place, first_place, put_zeros
from netdsl.backends.cpu.across_conv import (
    inner_tap,
    inner_taps,
    most_rows,
    spread_row,
    tap_at,
    turn_taps,
)
from netdsl.backends.cpu.across_forms import input_row
from netdsl.backends.cpu.across_weight import (
    add_blocks,
    add_lanes,
    most_taps,
    tap_row,
)
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import end_tap, first_tap
from netdsl.backends.cpu.rows import sum_of_rows
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.cpu.winograd_forms import P, Q
from netdsl.backends.cpu.winograd_tiles import ONE
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PIECE = 256
"""So many rows of taps are a task."""


def six_tasks(ci, co, k0, k1):
    """A task for some rows of taps."""
    return (co * ci * k0 * k1 + PIECE - 1) // PIECE


@task(tasks=six_tasks)
def across_six_pack(first, last, scratch, out, weight, ci: int, co: int, k0: int, k1: int, k2: int):
    """Weights at six points: ``out[point, o, i, u, v]`` of ``weight[o, i, u, v, w]``."""
    rows = co * ci * k0 * k1
    for r in range(first * PIECE, min(last * PIECE, rows)):
        a, b, c = weight[r * k2], weight[r * k2 + 1], weight[r * k2 + 2]
        d = weight[r * k2 + 3] if k2 > 3 else real(0)
        e = weight[r * k2 + 4] if k2 > 4 else real(0)
        even, odd = a + real(0.5) * c + real(0.25) * e, real(P) * (b + real(0.5) * d)
        wide_even, wide_odd = a + real(2) * c + real(4) * e, real(Q) * (b + real(2) * d)
        out[r] = a
        out[rows + r] = real(-2 / 3) * (even + odd)
        out[2 * rows + r] = real(-2 / 3) * (even - odd)
        out[3 * rows + r] = real(1 / 6) * (wide_even + wide_odd)
        out[4 * rows + r] = real(1 / 6) * (wide_even - wide_odd)
        out[5 * rows + r] = weight[r * k2 + k2 - 1]


@routine
def six_input(out, o, x, i, width, planes, i1, p1, high, tiles, m):
    """A block of the input at all points, in planes of ``high`` rows: those of padding are zero."""
    line = tiles * LANES
    apart = planes * high * line
    for r in range(planes * high):
        row, at = r % high - p1, o + r * line
        if row >= 0 and row < i1:
            input_row(out, at, apart, x, i + (r // high * i1 + row) * width * LANES, tiles, m)
        else:
            for e in range(6):
                put_zeros(out, at + e * apart, tiles)


@routine
def six_forward(
    out, o, weight, x, i, ci, co, i0, high, o0, o1, tiles, k0, k1, s0, s1, p0, d0, d1,
):  # fmt: skip
    """The products that outputs are made of: all rows go together where they lie one by one."""
    line, taps, rows = tiles * LANES, k0 * k1, o1 if s1 == 1 else 1
    none, once, vector = ONE * 0, ONE * 1, ONE * LANES
    for p in range(6 * o0):
        e, start0 = p // o0, p % o0 * s0 - p0
        u = first_tap(start0, d0)
        for q in range(0, o1, rows):
            spread_row(
                out, o + ((e * co * o0 + p % o0) * o1 + q) * line, o0 * o1 * line, vector,
                co, rows * tiles, weight, none, none,
                weight, e * co * ci * taps + u * k1, ci * taps,
                x, i + ((e * ci * i0 + start0 + u * d0) * high + q * s1) * line, vector,
                once, none, none,
                end_tap(start0, d0, k0, i0) - u, k1, d0 * high * line,
                ci, taps, i0 * high * line,
                k1, once, d1 * line,
            )  # fmt: skip


@routine
def six_backward(
    out, o, weight, dy, i, ci, co, i0, i1, o0, o1, tiles, k0, k1, s0, s1, p0, p1, d0, d1,
):  # fmt: skip
    """The gradient by the input at all points; rows that all taps reach go together."""
    step0, step1, line, taps = turn_taps(s0, d0), turn_taps(s1, d1), tiles * LANES, k0 * k1
    none, once, vector = ONE * 0, ONE * 1, ONE * LANES
    for p in range(6 * i0):
        e, q0, row = p // i0, p % i0 + p0, 0
        u = inner_tap(q0, tap_at(q0, k0, s0, d0), step0, s0, d0, o0)
        us = inner_taps(q0, u, step0, k0, d0)
        while row < i1:
            q1, rows = row + p1, 1
            v = inner_tap(q1, tap_at(q1, k1, s1, d1), step1, s1, d1, o1)
            vs = inner_taps(q1, v, step1, k1, d1)
            if s1 == 1 and vs == k1:
                rows = min(i1 - row, o1 - q1)
            spread_row(
                out, o + ((e * ci * i0 + p % i0) * i1 + row) * line, i0 * i1 * line, vector,
                ci, rows * tiles, weight, none, none,
                weight, e * co * ci * taps + u * k1 + v, taps,
                dy, i + ((e * co * o0 + (q0 - u * d0) // s0) * o1 + (q1 - v * d1) // s1) * line,
                vector, once, none, none,
                us, step0 * k1, -(step0 * d0 // s0) * o1 * line,
                vs, step1, -(step1 * d1 // s1) * line,
                co, ci * taps, o0 * o1 * line,
            )  # fmt: skip
            row += rows


@routine
def six_weight(
    parts, o, lanes, dy, i, x, b, sums, s, ci, co, i0, high, o0, o1, tiles,
    k0, k1, s0, s1, p0, d0, d1,
):  # fmt: skip
    """The gradient by the weights at all points: ``parts[point, o, i, u, v]`` from ``o`` on."""
    line, taps, planes = tiles * LANES, k0 * k1, o0 * o1 * tiles * LANES
    groups = -(-co // most_rows(min(most_taps(), k1), 5))
    rows, run = (1, o1 * tiles) if s1 == 1 else (o1, tiles)
    for g in range(6 * groups):
        e, begin, end = g // groups, g % groups * co // groups, (g % groups + 1) * co // groups
        for r in range(ci * k0):
            c, start0 = r // k0, r % k0 * d0 - p0
            f0 = first_place(start0, s0)
            tap_row(
                sums, s + r * k1 * LANES, end - begin, ci * taps * LANES, k1, ONE * 0,
                dy, i + (e * co + begin) * planes + f0 * o1 * line, planes,
                x, b + ((e * ci + c) * i0 + start0 + f0 * s0) * high * line, d1 * line,
                max(0, end_place(start0, s0, i0, o0) - f0), o1 * line, s0 * high * line,
                rows, line, s1 * line, run, LANES, ONE * LANES,
            )  # fmt: skip
        at = o + (e * co + begin) * ci * taps
        add_lanes(parts, at, sums, s, (end - begin) * ci * taps, lanes)


@device
def sums_at_points(parts, i, step, rows, apart, left):
    """The sums at all six points."""
    return (
        sum_of_rows(parts, i, step, rows, left),
        sum_of_rows(parts, i + apart, step, rows, left),
        sum_of_rows(parts, i + 2 * apart, step, rows, left),
        sum_of_rows(parts, i + 3 * apart, step, rows, left),
        sum_of_rows(parts, i + 4 * apart, step, rows, left),
        sum_of_rows(parts, i + 5 * apart, step, rows, left),
    )


@routine
def six_taps(out, o, parts, i, step, rows, apart, left, k2):
    """``GT`` times the sums at all points: ``k2`` taps of a vector of rows of taps."""
    a, b, c, d, e, f = sums_at_points(parts, i, step, rows, apart, left)
    even, odd, wide_even, wide_odd = b + c, b - c, d + e, d - e
    thirds, third = vall(real(-1 / 3)), vall(real(1 / 3))
    sixths, sixth = vall(real(-1 / 6)), vall(real(1 / 6))
    odd, wide_odd = vall(real(P)) * odd, vall(real(Q)) * wide_odd
    vstore(out, o, vfma(vall(real(-2 / 3)), even, vfma(sixth, wide_even, a)))
    vstore(out, o + LANES, vfma(vall(real(-2 / 3)), odd, sixth * wide_odd))
    vstore(out, o + 2 * LANES, third * wide_even + thirds * even)
    vstore(out, o + 3 * LANES, third * wide_odd + thirds * odd)
    vstore(out, o + 4 * LANES, vfma(vall(real(2 / 3)), wide_even, sixths * even))
    at = o + (k2 - 1) * LANES
    vstore(out, at, vload(out, at) + f)


def six_sum_tasks(ci, co, k0, k1):
    """A task for some rows of taps, and one for the bias."""
    return (co * ci * k0 * k1 + PIECE - 1) // PIECE + 1


def taps_memory():
    """The taps of a vector of rows."""
    return 5 * LANES


# fmt: off
@task(tasks=six_sum_tasks, memory=taps_memory, writes=("out", "dbias"))
def across_six_sum(
    first, last, scratch, out, dbias, parts,
    n: int, ci: int, co: int, k0: int, k1: int, k2: int, add: int,
):
    """The gradients by weights, and by the bias where ``dbias`` is given: sums of all blocks."""
    # fmt: on
    rows = co * ci * k0 * k1
    blocks, pieces, step = (n + LANES - 1) // LANES, (rows + PIECE - 1) // PIECE, 6 * rows + co
    for t in range(first, last):
        if t == pieces and dbias.size:
            add_blocks(dbias, 0, parts, 6 * rows, step, blocks, co, add)
        for r in range(t * PIECE, min((t + 1) * PIECE, rows), LANES):
            left = min(LANES, rows - r)
            six_taps(scratch, 0, parts, r, step, blocks, rows, left, k2)
            for k in range(left):
                for w in range(k2):
                    at = (r + k) * k2 + w
                    out[at] = scratch[w * LANES + k] + (out[at] if add else real(0))
