"""Average pooling on the CPU: vectors over the channels of a window."""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import (
    BAND,
    band_tasks,
    column_windows,
    end_tap,
    end_window,
    factor_memory,
    factors,
    fetch_band,
    first_tap,
    first_window,
    put_four,
    window_tasks,
)
from netdsl.backends.cpu.rows import pitch_of
from netdsl.backends.cpu.simd import vall, vload
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@device
def counted(start, window, first, end):
    """How many places of a window count along an axis."""
    return min(start + window, end) - max(start, first)


@device
def valued(x, i, table, pitch, k, low, high):
    """A vector of a tensor that is made while it is read."""
    return value_of(vload(x, i), vload(table, k), vload(table, pitch + k), low, high)


@routine
def average_of_four(
    out, o, x, i, k, share, a, a_end, b, b_end, d, d_end, x_a, x_b, x_d, table, pitch, low, high,
):  # fmt: skip
    """The sums of four vectors of channels over some taps, by what counts."""
    v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
    m0, m1, m2, m3 = k, k + LANES, k + 2 * LANES, k + 3 * LANES
    for u in range(a, a_end):
        for v in range(b, b_end):
            at = i + u * x_a + v * x_b + d * x_d
            for _ in range(d, d_end):
                v0 = v0 + valued(x, at + m0, table, pitch, m0, low, high)
                v1 = v1 + valued(x, at + m1, table, pitch, m1, low, high)
                v2 = v2 + valued(x, at + m2, table, pitch, m2, low, high)
                v3 = v3 + valued(x, at + m3, table, pitch, m3, low, high)
                at += x_d
    put_four(out, o + k, v0 * share, v1 * share, v2 * share, v3 * share)


@routine
def window_average(
    out, o, channels, x, i, k, share, a, a_end, b, b_end, d, d_end, x_a, x_b, x_d,
    table, pitch, low, high,
):  # fmt: skip
    """The sums of the channels from ``k`` on over some taps, by what counts."""
    for c in range(k, channels, LANES):
        left, scale, shift = channels - c, vload(table, c), vload(table, pitch + c)
        total = vall(real(0))
        for u in range(a, a_end):
            for v in range(b, b_end):
                at = i + c + u * x_a + v * x_b + d * x_d
                row = vall(real(0))
                for _ in range(d, d_end):
                    row = row + value_of(take_vector(x, at, left), scale, shift, low, high)
                    at += x_d
                total = total + row
        put_vector(out, o + c, total * share, left)


@routine
def average_row(
    out, o, step, channels, x, i, x_step, count, a, a_end, b, b_end,
    o2, i2, k2, s2, p2, f2, e2, x_a, x_b, table, pitch, low, high,
):  # fmt: skip
    """A row of the output. Taps are ``x_a`` and ``x_b`` apart in ``x``, the row begins at ``i``."""
    four = channels // (4 * LANES) * (4 * LANES)
    for k in range(o2):
        start = k * s2 - p2
        d, d_end, at = first_tap(start, 1), end_tap(start, 1, k2, i2), i + start * x_step
        share = vall(real(1)) / vall(real(count * counted(start, k2, f2, e2)))
        for c in range(0, four, 4 * LANES):
            average_of_four(
                out, o, x, at, c, share, a, a_end, b, b_end, d, d_end,
                x_a, x_b, x_step, table, pitch, low, high,
            )  # fmt: skip
        window_average(
            out, o, channels, x, at, four, share, a, a_end, b, b_end, d, d_end,
            x_a, x_b, x_step, table, pitch, low, high,
        )  # fmt: skip
        o += step


# fmt: off
@task(tasks=window_tasks, memory=factor_memory)
def average_pool(
    first, last, scratch, out, x, coef, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, f0: int, f1: int, f2: int, e0: int, e1: int, e2: int,
    step: int, x_step: int, lo: float, hi: float,
):
    """The averages over windows; on every axis places from ``f`` on and before ``e`` count."""
    low, high = factors(scratch, coef, c, lo, hi)
    for t in range(first, last):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        average_row(
            out, t * o2 * step, step, c,
            x, ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * x_step, x_step,
            counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1),
            first_tap(start0, 1), end_tap(start0, 1, k0, i0),
            first_tap(start1, 1), end_tap(start1, 1, k1, i1),
            o2, i2, k2, s2, p2, f2, e2, i1 * i2 * x_step, i2 * x_step,
            scratch, pitch_of(c), low, high,
        )
# fmt: on


@routine
def share_row(scratch, at, o2, channels, count, k2, s2, p2, f2, e2):
    """Divide a row of the gradient by what counts in its windows."""
    for w in range(o2):
        share = vall(real(1)) / vall(real(count * counted(w * s2 - p2, k2, f2, e2)))
        for ch in range(0, channels, LANES):
            left, place = channels - ch, at + w * channels + ch
            put_vector(scratch, place, take_vector(scratch, place, left) * share, left)


@routine
def gather_vector(out, o, step, channels, left, add, dy, at, deep, i, j, o2, i2, table):
    """As `gather_row`, for one vector of channels: one row of windows after the other."""
    zero, written = vall(real(0)), add
    for u in range(i):
        for v in range(j):
            g = at + u * deep + v * o2 * channels
            for r in range(i2):
                total = take_vector(out, o + r * step, left) if written else zero
                for w in range(int(table[r]), int(table[i2 + r])):
                    total = total + take_vector(dy, g + w * channels, left)
                put_vector(out, o + r * step, total, left)
            written = 1
    if not written:
        for r in range(i2):
            put_vector(out, o + r * step, zero, left)


@routine
def gather_row(out, o, step, channels, add, dy, at, deep, i, j, o2, i2, table):
    """What the positions of a row get from ``i`` times ``j`` rows of windows that lie over it.

    They begin at ``at``, those of the first axis ``deep`` numbers apart; ``table`` tells which
    windows reach a column.
    """
    four = channels // (4 * LANES) * (4 * LANES)
    for r in range(i2):
        k, k_end = int(table[r]), int(table[i2 + r])
        for ch in range(0, four, 4 * LANES):
            v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
            if add:
                v0, v1 = vload(out, o + ch), vload(out, o + ch + LANES)
                v2, v3 = vload(out, o + ch + 2 * LANES), vload(out, o + ch + 3 * LANES)
            for u in range(i):
                for v in range(j):
                    g = at + u * deep + (v * o2 + k) * channels + ch
                    for _ in range(k, k_end):
                        v0, v1 = v0 + vload(dy, g), v1 + vload(dy, g + LANES)
                        v2, v3 = v2 + vload(dy, g + 2 * LANES), v3 + vload(dy, g + 3 * LANES)
                        g += channels
            put_four(out, o + ch, v0, v1, v2, v3)
        o += step
    o -= i2 * step
    for ch in range(four, channels, LANES):
        gather_vector(
            out, o + ch, step, channels, channels - ch, add, dy, at + ch, deep, i, j, o2, i2, table
        )


def average_memory(c, i2, o0, o1, o2, k0, k1, s0, s1):
    """The windows over every column, and the part of the gradient that a band wants."""
    deep = min(o0, (k0 - 1) // s0 + 2)
    high = min(o1, (k1 + BAND - 2) // s1 + 2)
    return 2 * i2 + deep * high * o2 * c


# fmt: off
@task(tasks=band_tasks, memory=average_memory)
def average_pool_backward(
    first, last, scratch, out, y, y_ref, y_coef, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, f0: int, f1: int, f2: int, e0: int, e1: int, e2: int,
    step: int, y_step: int, y_ref_step: int, y_lo: float, y_hi: float, add: int,
):
    """The gradient by the input of `average_pool`: all places of a window share alike."""
    bands = (i1 + BAND - 1) // BAND
    column_windows(scratch, i2, o2, k2, s2, p2, 1)
    for t in range(first, last):
        p, image, top = t // bands % i0, t // (bands * i0), t % bands * BAND
        bottom = min(i1, top + BAND)
        i, i_end = first_window(p + p0, k0, s0, 1), end_window(p + p0, s0, o0)
        j, j_end = first_window(top + p1, k1, s1, 1), end_window(bottom - 1 + p1, s1, o1)
        fetch_band(
            scratch, 2 * i2, image, i, i_end, j, j_end, c, o0, o1, o2,
            y, y_ref, y_coef, y_step, y_ref_step, y_lo, y_hi,
        )
        deep = (j_end - j) * o2 * c
        for u in range(i, i_end):
            for v in range(j, j_end):
                count = counted(u * s0 - p0, k0, f0, e0) * counted(v * s1 - p1, k1, f1, e1)
                at = 2 * i2 + (u - i) * deep + (v - j) * o2 * c
                share_row(scratch, at, o2, c, count, k2, s2, p2, f2, e2)
        for q in range(top, bottom):
            v, v_end = first_window(q + p1, k1, s1, 1), end_window(q + p1, s1, o1)
            gather_row(
                out, ((image * i0 + p) * i1 + q) * i2 * step, step, c, add,
                scratch, 2 * i2 + (v - j) * o2 * c, deep, i_end - i, v_end - v, o2, i2, scratch,
            )
# fmt: on
