"""Average pooling on the CPU: vectors over the channels of a window."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import put_vector, take_vector, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import (
    BAND,
    band_tasks,
    column_windows,
    end_tap,
    end_window,
    fetch_band,
    first_tap,
    first_window,
    window_tasks,
)
from netdsl.backends.cpu.simd import vall
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@device
def counted(start, window, first, end):
    """How many places of a window count along an axis."""
    return min(start + window, end) - max(start, first)


@routine
def window_average(
    out, o, channels, x, i, coef, count, a, a_end, b, b_end, d, d_end, x_a, x_b, x_d, lo, hi,
):  # fmt: skip
    """The sum of every channel over some taps, by what counts.

    Taps are ``x_a``, ``x_b`` and ``x_d`` numbers apart in ``x``; the first of all is at ``i``.
    """
    limits = coef.size > 0
    low = vall(real(lo)) if limits else vall(real(-np.inf))
    high = vall(real(hi)) if limits else vall(real(np.inf))
    for k in range(0, channels, LANES):
        left = channels - k
        scale = take_vector(coef, k, left) if limits else vall(real(1))
        shift = take_vector(coef, channels + k, left) if limits else vall(real(-0.0))
        total = vall(real(0))
        for u in range(a, a_end):
            for v in range(b, b_end):
                at = i + k + u * x_a + v * x_b
                row = vall(real(0))
                for w in range(d, d_end):
                    value = take_vector(x, at + w * x_d, left)
                    row = row + value_of(value, scale, shift, low, high)
                total = total + row
        put_vector(out, o + k, total / vall(real(count)), left)


# fmt: off
@task(tasks=window_tasks)
def average_pool(
    first, last, scratch, out, x, coef, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, f0: int, f1: int, f2: int, e0: int, e1: int, e2: int,
    step: int, x_step: int, lo: float, hi: float,
):
    """The averages over windows; of every axis the places from ``f*`` on and before ``e*`` count."""
    for t in range(first, last):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        corner = ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2
        count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
        for k in range(o2):
            start2 = k * s2 - p2
            window_average(
                out, (t * o2 + k) * step, c, x, (corner + start2) * x_step, coef,
                count * counted(start2, k2, f2, e2),
                first_tap(start0, 1), end_tap(start0, 1, k0, i0),
                first_tap(start1, 1), end_tap(start1, 1, k1, i1),
                first_tap(start2, 1), end_tap(start2, 1, k2, i2),
                i1 * i2 * x_step, i2 * x_step, x_step, lo, hi,
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
def gather_average(out, o, channels, add, dy, at, deep, i, j, k, k_end, o2):
    """What a position gets from ``i`` times ``j`` rows of windows that lie over it."""
    for ch in range(0, channels, LANES):
        left = channels - ch
        total = take_vector(out, o + ch, left) if add else vall(real(0))
        for u in range(i):
            for v in range(j):
                for w in range(k, k_end):
                    place = at + u * deep + (v * o2 + w) * channels + ch
                    total = total + take_vector(dy, place, left)
        put_vector(out, o + ch, total, left)


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
            for r in range(i2):
                gather_average(
                    out, (((image * i0 + p) * i1 + q) * i2 + r) * step, c, add,
                    scratch, 2 * i2 + (v - j) * o2 * c, deep,
                    i_end - i, v_end - v, int(scratch[r]), int(scratch[i2 + r]), o2,
                )
# fmt: on
