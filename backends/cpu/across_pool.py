"""Pooling across images: tap after tap of a row of windows, every one a vector of images."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.across import (
    across_tasks,
    end_place,
    first_place,
    put_zeros,
    slope_block,
    slope_of,
)
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import end_tap, first_tap, put_four
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
def average_across(
    out, o, x, i, a, a_end, b, b_end, i2, o2, k2, s2, p2, x_a, x_b, count, f2, e2
):  # fmt: skip
    """A row of averages; ``i`` is where the row of the first of all taps begins."""
    begin, end = first_place(-p2, s2), end_place(k2 - 1 - p2, s2, i2, o2)
    whole, k = vall(real(1)) / vall(real(count * k2)), 0
    while k < o2:
        start, by = k * s2 - p2, s2 * LANES
        v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
        if k >= begin and k + 4 <= end:
            for u in range(a, a_end):
                for v in range(b, b_end):
                    at = i + u * x_a + v * x_b + start * LANES
                    for _ in range(k2):
                        v0, v1 = v0 + vload(x, at), v1 + vload(x, at + by)
                        v2, v3 = v2 + vload(x, at + 2 * by), v3 + vload(x, at + 3 * by)
                        at += LANES
            put_four(out, o + k * LANES, v0 * whole, v1 * whole, v2 * whole, v3 * whole)
            k += 4
        else:
            for u in range(a, a_end):
                for v in range(b, b_end):
                    at = i + u * x_a + v * x_b + start * LANES
                    for w in range(first_tap(start, 1), end_tap(start, 1, k2, i2)):
                        v0 = v0 + vload(x, at + w * LANES)
            vstore(out, o + k * LANES, v0 * share_of(count, k, k2, s2, p2, f2, e2))
            k += 1


@routine
def maximum_across(
    out, o, index, x, i, a, a_end, b, b_end, i2, o2, k1, k2, s2, p2, x_a, x_b, d2
):  # fmt: skip
    """A row of maxima and the taps that they are found at; ``i`` as in `average_across`."""
    begin, end = first_place(-p2, s2), end_place((k2 - 1) * d2 - p2, s2, i2, o2)
    none, k = vall(real(-np.inf)), 0
    while k < o2:
        start, by = k * s2 - p2, s2 * LANES
        d, d_end = first_tap(start, d2), end_tap(start, d2, k2, i2)
        first = vall(real((a * k1 + b) * k2 + d))
        v0, v1, v2, v3, w0, w1, w2, w3 = none, none, none, none, first, first, first, first
        if k >= begin and k + 4 <= end:
            for u in range(a, a_end):
                for v in range(b, b_end):
                    at = i + u * x_a + v * x_b + start * LANES
                    for w in range(k2):
                        here = vall(real((u * k1 + v) * k2 + w))
                        v0, w0 = better(v0, w0, vload(x, at), here)
                        v1, w1 = better(v1, w1, vload(x, at + by), here)
                        v2, w2 = better(v2, w2, vload(x, at + 2 * by), here)
                        v3, w3 = better(v3, w3, vload(x, at + 3 * by), here)
                        at += d2 * LANES
            put_four(out, o + k * LANES, v0, v1, v2, v3)
            put_four(index, o + k * LANES, w0, w1, w2, w3)
            k += 4
        else:
            for u in range(a, a_end):
                for v in range(b, b_end):
                    at = i + u * x_a + v * x_b + start * LANES
                    for w in range(d, d_end):
                        here = vall(real((u * k1 + v) * k2 + w))
                        v0, w0 = better(v0, w0, vload(x, at + w * d2 * LANES), here)
            vstore(out, o + k * LANES, v0)
            vstore(index, o + k * LANES, w0)
            k += 1


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
    x_a, x_b = d0 * i1 * i2 * LANES, d1 * i2 * LANES
    for t in range(first * c * o0 * o1, last * c * o0 * o1):
        start0, start1 = t // o1 % o0 * s0 - p0, t % o1 * s1 - p1
        o, i = t * o2 * LANES, ((t // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * LANES
        a, a_end = first_tap(start0, d0), end_tap(start0, d0, k0, i0)
        b, b_end = first_tap(start1, d1), end_tap(start1, d1, k1, i1)
        if maximum:
            maximum_across(
                out, o, index, x, i, a, a_end, b, b_end, i2, o2, k1, k2, s2, p2, x_a, x_b, d2
            )
        else:
            count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
            average_across(
                out, o, x, i, a, a_end, b, b_end, i2, o2, k2, s2, p2, x_a, x_b, count, f2, e2
            )
# fmt: on


@routine
def scale_row(out, o, x, i, count, o2, k2, s2, p2, f2, e2):
    """The shares of a row of gradients of averages."""
    whole = vall(real(1)) / vall(real(count * k2))
    for k in range(o2):
        share = whole
        if counted(k * s2 - p2, k2, f2, e2) != k2:
            share = share_of(count, k, k2, s2, p2, f2, e2)
        vstore(out, o + k * LANES, vload(x, i + k * LANES) * share)


@routine
def give_back(
    out, i, dy, g, index, e, y, i2, a, a_end, b, b_end, o2, k1, k2, s2, p2, x_a, x_b, d2,
    maximum, alone, act, low, high,
):  # fmt: skip
    """A row of windows gives its gradients to its taps; where ``alone``, nobody else gives any."""
    begin, end = first_place(-p2, s2), end_place((k2 - 1) * d2 - p2, s2, i2, o2)
    zero = vall(real(0))
    for u in range(a, a_end):
        for v in range(b, b_end):
            at, tap = i + u * x_a + v * x_b, (u * k1 + v) * k2
            for k in range(o2):
                d, d_end, start = 0, k2, k * s2 - p2
                if k < begin or k >= end:
                    d, d_end = first_tap(start, d2), end_tap(start, d2, k2, i2)
                part = vload(dy, g + k * LANES)
                winner = vload(index, e + k * LANES) if maximum else zero
                for w in range(d, d_end):
                    to, won = at + (start + w * d2) * LANES, part
                    if maximum:
                        here = vall(real(tap + w))
                        won = vmost(winner, here, vmost(here, winner, part, zero), zero)
                    if not alone:
                        won = vload(out, to) + won
                    elif y.size:
                        won = won * slope_of(vload(y, to), act, low, high)
                    vstore(out, to, won)


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
    """The gradient by the input of `across_pool`; where an activation gave that, as ``y``, by what
    the activation was given.
    """
    alone = apart(k0, s0, d0) and apart(k1, s1, d1) and apart(k2, s2, d2)
    full = alone and gapless(i0, o0, k0, s0, p0, d0)
    full = full and gapless(i1, o1, k1, s1, p1, d1) and gapless(i2, o2, k2, s2, p2, d2)
    low, high, size = vall(real(y_lo)), vall(real(y_hi)), c * i0 * i1 * i2 * LANES
    x_a, x_b = d0 * i1 * i2 * LANES, d1 * i2 * LANES
    for t in range(first, last):
        if not full:
            put_zeros(out, t * size, c * i0 * i1 * i2)
        for r in range(t * c * o0 * o1, (t + 1) * c * o0 * o1):
            start0, start1, g = r // o1 % o0 * s0 - p0, r % o1 * s1 - p1, r * o2 * LANES
            if not maximum:
                count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
                scale_row(scratch, 0, dy, g, count, o2, k2, s2, p2, f2, e2)
            give_back(
                out, ((r // (o0 * o1) * i0 + start0) * i1 + start1) * i2 * LANES,
                dy if maximum else scratch, g if maximum else 0, index, g, y, i2,
                first_tap(start0, d0), end_tap(start0, d0, k0, i0),
                first_tap(start1, d1), end_tap(start1, d1, k1, i1),
                o2, k1, k2, s2, p2, x_a, x_b, d2, maximum, alone, act, low, high,
            )
        if y.size and not alone:
            slope_block(out, t * size, y, size, act, y_lo, y_hi)
# fmt: on
