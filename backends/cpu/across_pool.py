"""Pooling across images: tap after tap of a row of windows, every one a vector of images."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.across import (
    across_tasks,
    end_place,
    first_place,
)
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import end_tap, first_tap, put_four
from netdsl.backends.cpu.pool_average import counted
from netdsl.backends.cpu.pool_max import better
from netdsl.backends.cpu.simd import vall, vload, vstore
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
    out, o, o_step, x, i, x_step, planes, a, a_end, b, b_end, i2, o2, k2, s2, p2, x_a, x_b,
    count, f2, e2,
):  # fmt: skip
    """A row of averages of some planes; ``i`` is where the row of the first of all taps begins."""
    begin, end = first_place(-p2, s2), end_place(k2 - 1 - p2, s2, i2, o2)
    whole, by = vall(real(1)) / vall(real(count * k2)), s2 * LANES
    for c in range(planes):
        k, to, from_ = 0, o + c * o_step, i + c * x_step - p2 * LANES
        while k < o2:
            v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
            if k >= begin and k + 4 <= end:
                for u in range(a, a_end):
                    for v in range(b, b_end):
                        at = from_ + u * x_a + v * x_b + k * by
                        for _ in range(k2):
                            v0, v1 = v0 + vload(x, at), v1 + vload(x, at + by)
                            v2, v3 = v2 + vload(x, at + 2 * by), v3 + vload(x, at + 3 * by)
                            at += LANES
                put_four(out, to + k * LANES, v0 * whole, v1 * whole, v2 * whole, v3 * whole)
                k += 4
            else:
                start, inner = k * s2 - p2, k >= begin and k < end
                first, last = (0, k2) if inner else (first_tap(start, 1), end_tap(start, 1, k2, i2))
                for u in range(a, a_end):
                    for v in range(b, b_end):
                        at = from_ + u * x_a + v * x_b + k * by
                        for w in range(first, last):
                            v0 = v0 + vload(x, at + w * LANES)
                share = whole if inner else share_of(count, k, k2, s2, p2, f2, e2)
                vstore(out, to + k * LANES, v0 * share)
                k += 1


@routine
def maximum_across(
    out, o, index, o_step, x, i, x_step, planes, a, a_end, b, b_end, i2, o2, k1, k2, s2, p2,
    x_a, x_b, d2,
):  # fmt: skip
    """Rows of maxima and the taps that they are found at; ``i`` as in `average_across`."""
    begin, end = first_place(-p2, s2), end_place((k2 - 1) * d2 - p2, s2, i2, o2)
    none, by = vall(real(-np.inf)), s2 * LANES
    for c in range(planes):
        k, to, from_ = 0, o + c * o_step, i + c * x_step - p2 * LANES
        while k < o2:
            inner, start = k >= begin and k < end, k * s2 - p2
            d, d_end = (0, k2) if inner else (first_tap(start, d2), end_tap(start, d2, k2, i2))
            first = vall(real((a * k1 + b) * k2 + d))
            v0, v1, v2, v3, w0, w1, w2, w3 = none, none, none, none, first, first, first, first
            if inner and k + 4 <= end:
                for u in range(a, a_end):
                    for v in range(b, b_end):
                        at = from_ + u * x_a + v * x_b + k * by
                        for w in range(k2):
                            here = vall(real((u * k1 + v) * k2 + w))
                            v0, w0 = better(v0, w0, vload(x, at), here)
                            v1, w1 = better(v1, w1, vload(x, at + by), here)
                            v2, w2 = better(v2, w2, vload(x, at + 2 * by), here)
                            v3, w3 = better(v3, w3, vload(x, at + 3 * by), here)
                            at += d2 * LANES
                put_four(out, to + k * LANES, v0, v1, v2, v3)
                put_four(index, to + k * LANES, w0, w1, w2, w3)
                k += 4
            else:
                for u in range(a, a_end):
                    for v in range(b, b_end):
                        at = from_ + u * x_a + v * x_b + k * by
                        for w in range(d, d_end):
                            here = vall(real((u * k1 + v) * k2 + w))
                            v0, w0 = better(v0, w0, vload(x, at + w * d2 * LANES), here)
                vstore(out, to + k * LANES, v0)
                vstore(index, to + k * LANES, w0)
                k += 1


@routine
def pool_rows(out, index, plane, planes, r0, r1, x, i0, i1, i2, maximum, pool):
    """A row of windows over some planes of ``x``, counted over all blocks and channels."""
    (o0, k0, s0, p0, d0, f0, e0), (o1, k1, s1, p1, d1, f1, e1), (o2, k2, s2, p2, d2, f2, e2) = pool
    start0, start1, x_a, x_b = r0 * s0 - p0, r1 * s1 - p1, d0 * i1 * i2 * LANES, d1 * i2 * LANES
    o, o_step = ((plane * o0 + r0) * o1 + r1) * o2 * LANES, o0 * o1 * o2 * LANES
    i, x_step = ((plane * i0 + start0) * i1 + start1) * i2 * LANES, i0 * i1 * i2 * LANES
    a, a_end = first_tap(start0, d0), end_tap(start0, d0, k0, i0)
    b, b_end = first_tap(start1, d1), end_tap(start1, d1, k1, i1)
    if maximum:
        maximum_across(
            out, o, index, o_step, x, i, x_step, planes, a, a_end, b, b_end, i2, o2, k1, k2, s2, p2,
            x_a, x_b, d2,
        )  # fmt: skip
    else:
        count = counted(start0, k0, f0, e0) * counted(start1, k1, f1, e1)
        average_across(
            out, o, o_step, x, i, x_step, planes, a, a_end, b, b_end, i2, o2, k2, s2, p2, x_a, x_b,
            count, f2, e2,
        )  # fmt: skip


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
    # fmt: on
    pool = (
        (o0, k0, s0, p0, d0, f0, e0), (o1, k1, s1, p1, d1, f1, e1), (o2, k2, s2, p2, d2, f2, e2)
    )  # fmt: skip
    for t in range(first, last):
        for r in range(o0 * o1):
            pool_rows(out, index, t * c, c, r // o1, r % o1, x, i0, i1, i2, maximum, pool)
