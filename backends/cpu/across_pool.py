"""Pooling across images: tap after tap of a row of windows, every one a vector of images."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.across import (
    across_tasks,
    end_place,
    first_place,
    put_zeros,
    slope_of,
)
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import end_tap, first_tap
from netdsl.backends.cpu.pool_average import counted
from netdsl.backends.cpu.pool_max import better
from netdsl.backends.cpu.simd import vall, vload, vmost, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


def row_memory(o2):
    """A row of the gradient."""
    return o2 * LANES


@device
def share_of(count, k, k2, s2, p2, f2, e2):
    """One by what counts of a window: ``count`` on the other axes."""
    return vall(real(1)) / vall(real(count * counted(k * s2 - p2, k2, f2, e2)))


@routine
def scale_row(out, o, x, i, count, o2, k2, s2, p2, f2, e2):
    """A row of sums as averages."""
    whole = vall(real(1)) / vall(real(count * k2))
    for k in range(o2):
        share = whole
        if counted(k * s2 - p2, k2, f2, e2) != k2:
            share = share_of(count, k, k2, s2, p2, f2, e2)
        vstore(out, o + k * LANES, vload(x, i + k * LANES) * share)


@routine
def sum_row(out, o, x, i, i1, i2, a, a_end, b, b_end, o2, k2, s2, p2, d0, d1, d2):
    """The sums of a row of windows; ``i`` is where the row of the first of all taps begins."""
    put_zeros(out, o, o2)
    for u in range(a, a_end):
        for v in range(b, b_end):
            for w in range(k2):
                start = w * d2 - p2
                at = i + ((u * d0 * i1 + v * d1) * i2 + start) * LANES
                for k in range(first_place(start, s2), end_place(start, s2, i2, o2)):
                    value = vload(x, at + k * s2 * LANES)
                    vstore(out, o + k * LANES, vload(out, o + k * LANES) + value)


@routine
def maximum_row_across(
    out, o, index, x, i, i1, i2, a, a_end, b, b_end, o2, k1, k2, s2, p2, d0, d1, d2
):
    """The maxima of a row of windows, and the taps that they are found at."""
    none = vall(real(-np.inf))
    for k in range(o2):
        vstore(out, o + k * LANES, none)
        tap = (a * k1 + b) * k2 + first_tap(k * s2 - p2, d2)
        vstore(index, o + k * LANES, vall(real(tap)))
    for u in range(a, a_end):
        for v in range(b, b_end):
            for w in range(k2):
                start, here = w * d2 - p2, vall(real((u * k1 + v) * k2 + w))
                at = i + ((u * d0 * i1 + v * d1) * i2 + start) * LANES
                for k in range(first_place(start, s2), end_place(start, s2, i2, o2)):
                    best, where = vload(out, o + k * LANES), vload(index, o + k * LANES)
                    best, where = better(best, where, vload(x, at + k * s2 * LANES), here)
                    vstore(out, o + k * LANES, best)
                    vstore(index, o + k * LANES, where)


# fmt: off
@task(tasks=across_tasks, writes=("out", "index"))
def across_pool(
    first, last, scratch, out, index, x, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    f0: int, f1: int, f2: int, e0: int, e1: int, e2: int, maximum: int,
):
    """The maximum (``maximum`` 1) or the average (0) over windows.

    For the maximum padding counts as minus infinity, a NaN wins, and ``index``, of the size of the
    output, gets the place of the first of equal ones in its window. For the average ``f`` and ``e``
    say from where on and up to where places count on every axis.
    """
    for t in range(first * c * o0 * o1, last * c * o0 * o1):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        o, i = t * o2 * LANES, ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * LANES
        a, a_end = first_tap(start0, d0), end_tap(start0, d0, k0, i0)
        b, b_end = first_tap(start1, d1), end_tap(start1, d1, k1, i1)
        if maximum:
            maximum_row_across(
                out, o, index, x, i, i1, i2, a, a_end, b, b_end, o2, k1, k2, s2, p2, d0, d1, d2
            )
        else:
            sum_row(out, o, x, i, i1, i2, a, a_end, b, b_end, o2, k2, s2, p2, d0, d1, d2)
            count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
            scale_row(out, o, out, o, count, o2, k2, s2, p2, f2, e2)
# fmt: on


@device
def part_of(dy, g, index, e, here, maximum):
    """What a tap gets of a window's gradient."""
    part = vload(dy, g)
    if maximum:
        winner, zero = vload(index, e), vall(real(0))
        part = vmost(winner, here, vmost(here, winner, part, zero), zero)
    return part


@routine
def spread_windows(
    out, i, dy, g, index, e, y, i1, i2, a, a_end, b, b_end, o2, k1, k2, s2, p2, d0, d1, d2,
    maximum, alone, act, low, high,
):  # fmt: skip
    """A row of windows gives its gradients to its taps; where ``alone``, nobody else gives any."""
    for u in range(a, a_end):
        for v in range(b, b_end):
            for w in range(k2):
                start, here = w * d2 - p2, vall(real((u * k1 + v) * k2 + w))
                at = i + ((u * d0 * i1 + v * d1) * i2 + start) * LANES
                begin, end = first_place(start, s2), end_place(start, s2, i2, o2)
                if not alone:
                    for k in range(begin, end):
                        to = at + k * s2 * LANES
                        part = part_of(dy, g + k * LANES, index, e + k * LANES, here, maximum)
                        vstore(out, to, vload(out, to) + part)
                elif y.size:
                    for k in range(begin, end):
                        to = at + k * s2 * LANES
                        part = part_of(dy, g + k * LANES, index, e + k * LANES, here, maximum)
                        vstore(out, to, part * slope_of(vload(y, to), act, low, high))
                else:
                    for k in range(begin, end):
                        part = part_of(dy, g + k * LANES, index, e + k * LANES, here, maximum)
                        vstore(out, at + k * s2 * LANES, part)


@device
def apart(window, stride, dilation):
    """Whether windows have no place in common along an axis."""
    return (window - 1) * dilation < stride


@device
def gapless(size, out, window, stride, pad, dilation):
    """Whether windows that are apart leave no place out."""
    return pad == 0 and dilation == 1 and window == stride and out * stride >= size


# fmt: off
@task(tasks=across_tasks, memory=row_memory)
def across_pool_backward(
    first, last, scratch, out, index, dy, y, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    f0: int, f1: int, f2: int, e0: int, e1: int, e2: int, maximum: int,
    y_lo: float, y_hi: float, act: int,
):
    """The gradient by the input of `across_pool`; where ``y`` is given, the input was made by an
    activation, as ``y``, and the gradient is that by the activation's input.
    """
    alone = apart(k0, s0, d0) and apart(k1, s1, d1) and apart(k2, s2, d2)
    full = alone and gapless(i0, o0, k0, s0, p0, d0)
    full = full and gapless(i1, o1, k1, s1, p1, d1) and gapless(i2, o2, k2, s2, p2, d2)
    low, high, size = vall(real(y_lo)), vall(real(y_hi)), c * i0 * i1 * i2 * LANES
    for t in range(first, last):
        if not full:
            put_zeros(out, t * size, c * i0 * i1 * i2)
        for r in range(t * c * o0 * o1, (t + 1) * c * o0 * o1):
            start0, start1, g = r // o1 % o0 * s0 - p0, r % o1 * s1 - p1, r * o2 * LANES
            if not maximum:
                count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
                scale_row(scratch, 0, dy, g, count, o2, k2, s2, p2, f2, e2)
            spread_windows(
                out, ((r // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * LANES,
                dy if maximum else scratch, g if maximum else 0, index, g, y, i1, i2,
                first_tap(start0, d0), end_tap(start0, d0, k0, i0),
                first_tap(start1, d1), end_tap(start1, d1, k1, i1),
                o2, k1, k2, s2, p2, d0, d1, d2, maximum, alone, act, low, high,
            )
        if y.size and not alone:
            for i in range(t * size, (t + 1) * size, LANES):
                vstore(out, i, vload(out, i) * slope_of(vload(y, i), act, low, high))
# fmt: on
