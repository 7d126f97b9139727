"""Convolution across images: weights are spread, and meet the positions of a row as vectors."""

from __future__ import annotations

from netdsl.backends.cpu.across import (
    copy_vectors,
    put_zeros,
    quick_tanh,
)
from netdsl.backends.cpu.across_tile import across_spread
from netdsl.backends.cpu.machine import LANES, REGISTERS
from netdsl.backends.cpu.pool import end_tap, first_tap
from netdsl.backends.cpu.simd import vall, vload, vmax, vmin, vstore
from netdsl.backends.cpu.winograd_tiles import ONE
from netdsl.kernel import device, real, routine


@routine
def pad_rows(out, o, x, i, rows, size, left, width):
    """Rows of ``size`` positions as rows of ``width``, with zeros before and behind."""
    for _ in range(rows):
        put_zeros(out, o, left)
        copy_vectors(out, o + left * LANES, x, i, size)
        put_zeros(out, o + (left + size) * LANES, width - left - size)
        o, i = o + width * LANES, i + size * LANES


@device
def most_columns():
    """How many columns a tile has at most."""
    return 4 if REGISTERS >= 32 else 2


@device
def most_rows(wide, most):
    """How many rows a tile has at most that is so wide."""
    return min(most, (REGISTERS - 1 - wide) // wide)


@routine
def spread_row(
    c, c_at, cr, ct, rows, columns, d, d_at, start, a, a_at, ar, b, b_at, bt,
    n0, a0, b0, n1, a1, b1, n2, a2, b2, n, ak, bk,
):  # fmt: skip
    """Tiles of about equal sizes over ``rows`` and ``columns``."""
    times = -(-columns // most_columns())
    wide, rest = columns // times, columns % times
    groups = -(-rows // most_rows(wide + (rest > 0), 6))
    high, more = rows // groups, rows % groups
    row = 0
    for g in range(groups):
        count = high + (g < more)
        column = 0
        for w in range(2):  # the wider ones first
            m, size = (rest, wide + 1) if w == 0 else (times - rest, wide)
            across_spread(
                c, c_at + row * cr + column * ct, d, d_at + row if start else 0,
                a, a_at + row * ar, b, b_at + column * bt,
                count, size, start, cr, ct, ar, bt, m, size * ct, size * bt,
                n0, a0, b0, n1, a1, b1, n2, a2, b2, n, ak, bk,
            )  # fmt: skip
            column += m * size
        row += count


@routine
def activate(out, o, step, rows, columns, act, lo, hi):
    """The activation of rows of vectors, where they lie."""
    low, high = vall(real(lo)), vall(real(hi))
    for r in range(rows):
        begin = o + r * step
        if act == 1:
            for i in range(begin, begin + columns * LANES, LANES):
                vstore(out, i, quick_tanh(vload(out, i)))
        else:
            for i in range(begin, begin + columns * LANES, LANES):
                vstore(out, i, vmin(high, vmax(low, vload(out, i))))


@routine
def direct_rows(
    out, o, begin, end, x, i, width, weight, bias, ci, co, i0, i1, o0, o1, o2, k0, k1, k2,
    s0, s1, s2, p0, p1, d0, d1, d2, act, lo, hi,
):  # fmt: skip
    """Some rows of the outputs of all channels, from rows that are padded to a width."""
    line, taps, size = width * LANES, k0 * k1 * k2, o0 * o1 * o2 * LANES
    for p in range(begin, end):
        at, start0, start1 = o + p * o2 * LANES, p // o1 * s0 - p0, p % o1 * s1 - p1
        u, v = first_tap(start0, d0), first_tap(start1, d1)
        spread_row(
            out, at, size, ONE * LANES, co, o2, bias, ONE * 0, 1 if bias.size else 0,
            weight, (u * k1 + v) * k2, ci * taps,
            x, i + ((start0 + u * d0) * i1 + start1 + v * d1) * line, s2 * LANES,
            ci, taps, i0 * i1 * line,
            end_tap(start0, d0, k0, i0) - u, k1 * k2, d0 * i1 * line,
            end_tap(start1, d1, k1, i1) - v, k2, d1 * line,
            k2, ONE * 1, d2 * LANES,
        )  # fmt: skip
        activate(out, at, size, co, o2, act, lo, hi)


@device
def turn_taps(stride, dilation):
    """How far the taps of windows are apart that reach the same place."""
    step = 1
    while step * dilation % stride:
        step += 1
    return step


@device
def tap_at(place, window, stride, dilation):
    """The first tap of a window that reaches a place, counted from the padding; or ``window``."""
    tap = 0
    while tap < window and (place - tap * dilation) % stride:
        tap += 1
    return tap


@device
def inner_tap(place, tap, step, stride, dilation, out):
    """The first tap on from one, ``step`` apart, whose window is not behind the last."""
    over = (place - tap * dilation) // stride - (out - 1)
    apart = step * dilation // stride
    return tap + step * max(0, -(-over // apart))


@device
def inner_taps(place, tap, step, window, dilation):
    """How many taps on from one, ``step`` apart, have windows not before the first."""
    reach = min(window - 1, place // dilation)
    return max(0, (reach - tap) // step + 1) if reach >= tap else 0


@routine
def backward_row(
    out, o, size, b, b_at, width, weight, ci, co, i2, q0, q1, o0, o1, o2,
    k0, k1, k2, s0, s1, s2, p2, d0, d1, d2,
):  # fmt: skip
    """A row of the gradient: for every remainder of its columns by the stride a product.

    Columns that all taps reach go together; others by twos, with the taps that reach either: so a
    zero before and behind the rows is enough.
    """
    step0, step1, step2 = turn_taps(s0, d0), turn_taps(s1, d1), turn_taps(s2, d2)
    u = inner_tap(q0, tap_at(q0, k0, s0, d0), step0, s0, d0, o0)
    v = inner_tap(q1, tap_at(q1, k1, s1, d1), step1, s1, d1, o1)
    us, vs = inner_taps(q0, u, step0, k0, d0), inner_taps(q1, v, step1, k1, d1)
    line, taps, apart = width * LANES, k0 * k1 * k2, step2 * d2 // s2
    row = ((q0 - u * d0) // s0 * o1 + (q1 - v * d1) // s1) * width + 1
    for f in range(min(s2, i2)):
        w = tap_at(f + p2, k2, s2, d2)
        place, count = (f + p2 - w * d2) // s2, (k2 - w + step2 - 1) // step2
        columns = (i2 - f + s2 - 1) // s2
        begin, end = (count - 1) * apart - place, o2 - place
        k = 0
        while k < columns:
            some = min(end, columns) - k if k >= begin and k < end else 2
            some = min(some, columns - k if k >= begin else min(begin, columns) - k)
            j = max(0, -((o2 - 1 - place - k) // apart))
            j_end = min(count, (place + k + some - 1) // apart + 1)
            spread_row(
                out, o + (f + k * s2) * LANES, size, s2 * LANES, ci, some, weight, ONE * 0, ONE * 0,
                weight, (u * k1 + v) * k2 + w + j * step2, taps,
                b, b_at + (row + place + k - j * apart) * LANES, ONE * LANES,
                co, ci * taps, o0 * o1 * line,
                us, step0 * k1 * k2, -(step0 * d0 // s0) * o1 * line,
                vs, step1 * k2, -(step1 * d1 // s1) * line,
                j_end - j, step2, -apart * LANES,
            )  # fmt: skip
            k += some
