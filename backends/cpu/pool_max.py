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
    fetch_band,
    first_tap,
    first_window,
    tap_of,
    window_tasks,
)
from netdsl.backends.cpu.simd import vall, vless, vmost
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@device
def greater(best, value, yes, no):
    """Where a value is greater than the best before, or a NaN: ``yes``."""
    return vless(best, value, yes, vmost(value, value, no, yes))


@routine
def window_maximum(
    out, o, index, e, channels, x, i, coef,
    a, a_end, b, b_end, d, d_end, k1, k2, x_a, x_b, x_d, lo, hi,
):  # fmt: skip
    """The maximum of every channel over the taps from ``a, b, d`` to ``a_end, b_end, d_end``.

    Taps are ``x_a``, ``x_b`` and ``x_d`` numbers apart in ``x``; the first of all is at ``i``.
    """
    limits = coef.size > 0
    low = vall(real(lo)) if limits else vall(real(-np.inf))
    high = vall(real(hi)) if limits else vall(real(np.inf))
    for k in range(0, channels, LANES):
        left = channels - k
        scale = take_vector(coef, k, left) if limits else vall(real(1))
        shift = take_vector(coef, channels + k, left) if limits else vall(real(-0.0))
        best = vall(real(-np.inf))
        where = vall(real((a * k1 + b) * k2 + d))
        for u in range(a, a_end):
            for v in range(b, b_end):
                at = i + k + u * x_a + v * x_b
                for w in range(d, d_end):
                    value = value_of(take_vector(x, at + w * x_d, left), scale, shift, low, high)
                    here = vall(real((u * k1 + v) * k2 + w))
                    where = greater(best, value, here, where)
                    best = greater(best, value, value, best)
        put_vector(out, o + k, best, left)
        if index.size:
            put_vector(index, e + k, where, left)


# fmt: off
@task(tasks=window_tasks, writes=("out", "index"))
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
    for t in range(first, last):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        corner = ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2
        for k in range(o2):
            start2 = k * s2 - p2
            window_maximum(
                out, (t * o2 + k) * step, index, (t * o2 + k) * c, c,
                x, (corner + start2) * x_step, coef,
                first_tap(start0, d0), end_tap(start0, d0, k0, i0),
                first_tap(start1, d1), end_tap(start1, d1, k1, i1),
                first_tap(start2, d2), end_tap(start2, d2, k2, i2),
                k1, k2, d0 * i1 * i2 * x_step, d1 * i2 * x_step, d2 * x_step, lo, hi,
            )
# fmt: on


@routine
def gather_maximum(
    out, o, channels, add, dy, at, deep, index, e, i, i_end, j, j_end, k, k_end, p, q, r,
    o1, o2, k1, k2, s0, s1, s2, d0, d1, d2,
):  # fmt: skip
    """What a position gets from the windows that it won; it is counted from the padding's begin.

    ``dy`` has the windows from ``i`` and ``j`` on, ``deep`` numbers apart along the first axis.
    """
    zero = vall(real(0))
    for ch in range(0, channels, LANES):
        left = channels - ch
        total = take_vector(out, o + ch, left) if add else zero
        for u in range(i, i_end):
            a = tap_of(p - u * s0, d0)
            for v in range(j, j_end):
                b = tap_of(q - v * s1, d1)
                for w in range(k, k_end):
                    d = tap_of(r - w * s2, d2)
                    if a >= 0 and b >= 0 and d >= 0:
                        here = vall(real((a * k1 + b) * k2 + d))
                        won = take_vector(index, e + ((u * o1 + v) * o2 + w) * channels + ch, left)
                        place = at + (u - i) * deep + ((v - j) * o2 + w) * channels + ch
                        part = take_vector(dy, place, left)
                        total = total + vmost(won, here, vmost(here, won, part, zero), zero)
        put_vector(out, o + ch, total, left)


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
            for r in range(i2):
                gather_maximum(
                    out, (((image * i0 + p) * i1 + q) * i2 + r) * step, c, add,
                    scratch, 2 * i2 + (v - j) * o2 * c, (j_end - j) * o2 * c,
                    index, image * o0 * o1 * o2 * c,
                    i, i_end, v, v_end, int(scratch[r]), int(scratch[i2 + r]), p + p0, q + p1, r + p2,
                    o1, o2, k1, k2, s0, s1, s2, d0, d1, d2,
                )
# fmt: on
