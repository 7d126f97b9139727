"""Maximum pooling on the CPU: vectors over the channels of a window."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import put_vector, take_vector, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import (
    BAND,
    band_memory,
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
    tap_of,
    window_tasks,
)
from netdsl.backends.cpu.rows import pitch_of
from netdsl.backends.cpu.simd import vall, vless, vload, vmost
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@device
def greater(best, value, yes, no):
    """Where a value is greater than the best before, or a NaN: ``yes``."""
    return vless(best, value, yes, vmost(value, value, no, yes))


@device
def better(best, where, value, here):
    """The best of what was seen before and a value, and where it is."""
    return greater(best, value, value, best), greater(best, value, here, where)


@routine
def maximum_of_four(
    out, o, index, e, x, i, k, a, a_end, b, b_end, d, d_end, k1, k2, x_a, x_b, x_d,
    table, pitch, low, high,
):  # fmt: skip
    """The maxima of four vectors of channels over some taps."""
    best0 = best1 = best2 = best3 = vall(real(-np.inf))
    where0 = where1 = where2 = where3 = vall(real((a * k1 + b) * k2 + d))
    k1_, k2_, k3_ = k + LANES, k + 2 * LANES, k + 3 * LANES
    scale0, scale1 = vload(table, k), vload(table, k1_)
    scale2, scale3 = vload(table, k2_), vload(table, k3_)
    shift0, shift1 = vload(table, pitch + k), vload(table, pitch + k1_)
    shift2, shift3 = vload(table, pitch + k2_), vload(table, pitch + k3_)
    for u in range(a, a_end):
        for v in range(b, b_end):
            at = i + k + u * x_a + v * x_b + d * x_d
            for w in range(d, d_end):
                here = vall(real((u * k1 + v) * k2 + w))
                value = value_of(vload(x, at), scale0, shift0, low, high)
                best0, where0 = better(best0, where0, value, here)
                value = value_of(vload(x, at + LANES), scale1, shift1, low, high)
                best1, where1 = better(best1, where1, value, here)
                value = value_of(vload(x, at + 2 * LANES), scale2, shift2, low, high)
                best2, where2 = better(best2, where2, value, here)
                value = value_of(vload(x, at + 3 * LANES), scale3, shift3, low, high)
                best3, where3 = better(best3, where3, value, here)
                at += x_d
    put_four(out, o + k, best0, best1, best2, best3)
    if index.size:
        put_four(index, e + k, where0, where1, where2, where3)


@routine
def window_maximum(
    out, o, index, e, channels, x, i, k, a, a_end, b, b_end, d, d_end, k1, k2, x_a, x_b, x_d,
    table, pitch, low, high,
):  # fmt: skip
    """The maxima of the channels from ``k`` on over some taps, a vector at a time."""
    for c in range(k, channels, LANES):
        left, scale, shift = channels - c, vload(table, c), vload(table, pitch + c)
        best, where = vall(real(-np.inf)), vall(real((a * k1 + b) * k2 + d))
        for u in range(a, a_end):
            for v in range(b, b_end):
                at = i + c + u * x_a + v * x_b + d * x_d
                for w in range(d, d_end):
                    value = value_of(take_vector(x, at, left), scale, shift, low, high)
                    best, where = better(best, where, value, vall(real((u * k1 + v) * k2 + w)))
                    at += x_d
        put_vector(out, o + c, best, left)
        if index.size:
            put_vector(index, e + c, where, left)


@routine
def maximum_row(
    out, o, step, index, e, channels, x, i, x_step, a, a_end, b, b_end,
    o2, i2, k1, k2, s2, p2, d2, x_a, x_b, table, pitch, low, high,
):  # fmt: skip
    """A row of the output. Taps are ``x_a`` and ``x_b`` apart in ``x``, the row begins at ``i``."""
    for k in range(o2):
        start, four = k * s2 - p2, channels // (4 * LANES) * (4 * LANES)
        d, d_end, at = first_tap(start, d2), end_tap(start, d2, k2, i2), i + start * x_step
        for c in range(0, four, 4 * LANES):
            maximum_of_four(
                out, o, index, e, x, at, c, a, a_end, b, b_end, d, d_end, k1, k2,
                x_a, x_b, d2 * x_step, table, pitch, low, high,
            )  # fmt: skip
        window_maximum(
            out, o, index, e, channels, x, at, four, a, a_end, b, b_end, d, d_end, k1, k2,
            x_a, x_b, d2 * x_step, table, pitch, low, high,
        )  # fmt: skip
        o, e = o + step, e + channels


# fmt: off
@task(tasks=window_tasks, memory=factor_memory, writes=("out", "index"))
def max_pool(
    first, last, scratch, out, index, x, coef, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, d0: int, d1: int, d2: int, step: int, x_step: int,
    lo: float, hi: float,
):
    """The maximum over windows; padding counts as minus infinity, a NaN wins.

    ``index``, where it is given, gets the place of the first of equal ones in its window, row by
    row, for every number of the output; it has no gaps.
    """
    low, high = factors(scratch, coef, c, lo, hi)
    for t in range(first, last):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        maximum_row(
            out, t * o2 * step, step, index, t * o2 * c, c,
            x, ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * x_step, x_step,
            first_tap(start0, d0), end_tap(start0, d0, k0, i0),
            first_tap(start1, d1), end_tap(start1, d1, k1, i1),
            o2, i2, k1, k2, s2, p2, d2, d0 * i1 * i2 * x_step, d1 * i2 * x_step,
            scratch, pitch_of(c), low, high,
        )
# fmt: on


@device
def won(total, index, e, dy, i, here):
    """Add what windows give to those who won them."""
    winner, zero = vload(index, e), vall(real(0))
    return total + vmost(winner, here, vmost(here, winner, vload(dy, i), zero), zero)


@routine
def gather_vector(
    out, o, step, channels, left, add, dy, at, deep, index, e, i, i_end, j, j_end, p, q,
    o1, o2, i2, k1, k2, s0, s1, s2, p2, d0, d1, d2, table,
):  # fmt: skip
    """As `gather_row`, for one vector of channels: one row of windows after the other."""
    zero, written = vall(real(0)), add
    for u in range(i, i_end):
        a = tap_of(p - u * s0, d0)
        for v in range(j, j_end):
            b = tap_of(q - v * s1, d1)
            if a < 0 or b < 0:
                continue
            f = e + (u * o1 + v) * o2 * channels
            g = at + (u - i) * deep + (v - j) * o2 * channels
            for r in range(i2):
                total = take_vector(out, o + r * step, left) if written else zero
                for w in range(int(table[r]), int(table[i2 + r])):
                    d = tap_of(r + p2 - w * s2, d2)
                    if d >= 0:
                        here = vall(real((a * k1 + b) * k2 + d))
                        winner = take_vector(index, f + w * channels, left)
                        part = take_vector(dy, g + w * channels, left)
                        part = vmost(winner, here, vmost(here, winner, part, zero), zero)
                        total = total + part
                put_vector(out, o + r * step, total, left)
            written = 1
    if not written:
        for r in range(i2):
            put_vector(out, o + r * step, zero, left)


@routine
def gather_row(
    out, o, step, channels, add, dy, at, deep, index, e, i, i_end, j, j_end, p, q,
    o1, o2, i2, k1, k2, s0, s1, s2, p2, d0, d1, d2, table,
):  # fmt: skip
    """What the positions of a row get from the windows that they won.

    ``p`` and ``q`` say where the row is, from the padding's begin; ``i`` to ``i_end`` and ``j`` to
    ``j_end`` which windows reach it. ``dy`` has them from ``at`` on, those of the first axis
    ``deep`` numbers apart. ``table`` tells which windows reach a column.
    """
    four = channels // (4 * LANES) * (4 * LANES)
    for r in range(i2):
        k, k_end = int(table[r]), int(table[i2 + r])
        for ch in range(0, four, 4 * LANES):
            v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
            if add:
                v0, v1 = vload(out, o + ch), vload(out, o + ch + LANES)
                v2, v3 = vload(out, o + ch + 2 * LANES), vload(out, o + ch + 3 * LANES)
            for u in range(i, i_end):
                a = tap_of(p - u * s0, d0)
                for v in range(j, j_end):
                    b = tap_of(q - v * s1, d1)
                    f = e + (u * o1 + v) * o2 * channels + ch
                    g = at + (u - i) * deep + (v - j) * o2 * channels + ch
                    for w in range(k, k_end if a >= 0 and b >= 0 else k):
                        d, f1, g1 = tap_of(r + p2 - w * s2, d2), f + w * channels, g + w * channels
                        if d >= 0:
                            here = vall(real((a * k1 + b) * k2 + d))
                            v0 = won(v0, index, f1, dy, g1, here)
                            v1 = won(v1, index, f1 + LANES, dy, g1 + LANES, here)
                            v2 = won(v2, index, f1 + 2 * LANES, dy, g1 + 2 * LANES, here)
                            v3 = won(v3, index, f1 + 3 * LANES, dy, g1 + 3 * LANES, here)
            put_four(out, o + ch, v0, v1, v2, v3)
        o += step
    o -= i2 * step
    for ch in range(four, channels, LANES):
        gather_vector(
            out, o + ch, step, channels, channels - ch, add, dy, at + ch, deep, index, e + ch,
            i, i_end, j, j_end, p, q, o1, o2, i2, k1, k2, s0, s1, s2, p2, d0, d1, d2, table,
        )  # fmt: skip


# fmt: off
@task(tasks=band_tasks, memory=band_memory)
def max_pool_backward(
    first, last, scratch, out, index, y, y_ref, y_coef,
    n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, d0: int, d1: int, d2: int, step: int, y_step: int,
    y_ref_step: int, y_lo: float, y_hi: float, add: int,
):
    """The gradient by the input of `max_pool`: each number of ``y`` goes to who won its window."""
    bands = (i1 + BAND - 1) // BAND
    column_windows(scratch, i2, o2, k2, s2, p2, d2)
    for t in range(first, last):
        p, image, top = t // bands % i0, t // (bands * i0), t % bands * BAND
        bottom = min(i1, top + BAND)
        i, i_end = first_window(p + p0, k0, s0, d0), end_window(p + p0, s0, o0)
        j, j_end = first_window(top + p1, k1, s1, d1), end_window(bottom - 1 + p1, s1, o1)
        fetch_band(
            scratch, 2 * i2, image, i, i_end, j, j_end, c, o0, o1, o2,
            y, y_ref, y_coef, y_step, y_ref_step, y_lo, y_hi,
        )
        for q in range(top, bottom):
            v, v_end = first_window(q + p1, k1, s1, d1), end_window(q + p1, s1, o1)
            gather_row(
                out, ((image * i0 + p) * i1 + q) * i2 * step, step, c, add,
                scratch, 2 * i2 + (v - j) * o2 * c, (j_end - j) * o2 * c,
                index, image * o0 * o1 * o2 * c, i, i_end, v, v_end, p + p0, q + p1,
                o1, o2, i2, k1, k2, s0, s1, s2, p2, d0, d1, d2, scratch,
            )
# fmt: on
