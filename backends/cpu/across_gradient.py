"""Gradients through pools and activations across images, row by row where they are wanted."""

from __future__ import annotations

from netdsl.backends.cpu.across import (
    across_tasks,
    copy_vectors,
    end_place,
    first_place,
    put_zeros,
    slope_of,
)
from netdsl.backends.cpu.across_pool import share_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import end_window, first_window, tap_of
from netdsl.backends.cpu.pool_average import counted
from netdsl.backends.cpu.simd import vall, vload, vmost, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

AVERAGE, MAXIMUM = 1, 2
"""The kinds of pools; 0 is none."""


@device
def scale_row(out, o, x, i, count, o2, k2, s2, p2, f2, e2):
    """The shares of a row of gradients of averages."""
    whole = vall(real(1)) / vall(real(count * k2))
    begin = max(0, -((-f2 - p2) // s2))
    end = min(o2, (e2 - k2 + p2) // s2 + 1)
    for k in range(min(begin, o2)):
        share = share_of(count, k, k2, s2, p2, f2, e2)
        vstore(out, o + k * LANES, vload(x, i + k * LANES) * share)
    for k in range(begin, end):
        vstore(out, o + k * LANES, vload(x, i + k * LANES) * whole)
    for k in range(max(begin, end), o2):
        share = share_of(count, k, k2, s2, p2, f2, e2)
        vstore(out, o + k * LANES, vload(x, i + k * LANES) * share)


@routine
def slope_row(out, o, x, i, y, g, count, act, lo, hi):
    """So many vectors times the derivative of the activation that gave ``y``."""
    low, high = vall(real(lo)), vall(real(hi))
    for k in range(0, count * LANES, LANES):
        vstore(out, o + k, vload(x, i + k) * slope_of(vload(y, g + k), act, low, high))


@device
def won(dy, g, index, e, here):
    """What a window gives to one of its taps: all, if that was the largest."""
    zero, winner = vall(real(0)), vload(index, e)
    return vmost(winner, here, vmost(here, winner, vload(dy, g), zero), zero)


@device
def add_tap(out, o, by, dy, g, index, e, tap, count):
    """What windows give to one of their taps: shares, or where there is ``index`` to winners."""
    here = vall(real(tap))
    for k in range(count):
        to, at = o + k * by, k * LANES
        part = won(dy, g + at, index, e + at, here) if index.size else vload(dy, g + at)
        vstore(out, to, vload(out, to) + part)


@device
def put_tap(out, o, by, dy, g, index, e, tap, count, y, i, act, lo, hi):
    """The same, where nobody else gives any: times the derivative of an activation."""
    here, low, high = vall(real(tap)), vall(real(lo)), vall(real(hi))
    for k in range(count):
        at = k * LANES
        part = won(dy, g + at, index, e + at, here) if index.size else vload(dy, g + at)
        if y.size:
            part = part * slope_of(vload(y, i + k * by), act, low, high)
        vstore(out, o + k * by, part)


@device
def is_apart(axis):
    """Whether windows have no place in common along an axis."""
    _, window, stride, _, dilation, _, _ = axis
    return (window - 1) * dilation < stride


@device
def is_gapless(size, axis):
    """Whether windows have every place of an axis once."""
    out, window, stride, pad, dilation, _, _ = axis
    return pad == 0 and dilation == 1 and window == stride and out * stride >= size


@device
def give_row(
    out, o, y, i, dy, g, index, e, tap, size, alone, o2, k2, s2, p2, d2, act, lo, hi
):  # fmt: skip
    """A row of windows gives to a row of its taps, the first of which is number ``tap``."""
    for w in range(k2):
        start, by = w * d2 - p2, s2 * LANES
        k = first_place(start, s2)
        to, at, count = (start + k * s2) * LANES, k * LANES, end_place(start, s2, size, o2) - k
        if alone:
            put_tap(
                out, o + to, by, dy, g + at, index, e + at, tap + w, count, y, i + to, act, lo, hi
            )
        else:
            add_tap(out, o + to, by, dy, g + at, index, e + at, tap + w, count)


@routine
def give_rows(
    out, o, pitch, own, w, dy, index, y, plane, f0, top, bottom, i0, i1, i2, act, lo, hi,
    kind, alone, pool,
):  # fmt: skip
    """All windows that reach some rows of a plane give to them."""
    (o0, k0, s0, p0, d0, f_0, e0), (o1, k1, s1, p1, d1, f1, e1), (o2, k2, s2, p2, d2, f2, e2) = pool
    for a in range(first_window(f0 + p0, k0, s0, d0), end_window(f0 + p0, s0, o0)):
        u = tap_of(f0 + p0 - a * s0, d0)
        if u < 0:
            continue
        count0 = counted(a * s0 - p0, k0, f_0, e0)
        for b in range(first_window(top + p1, k1, s1, d1), end_window(bottom - 1 + p1, s1, o1)):
            start, g = b * s1 - p1, ((plane * o0 + a) * o1 + b) * o2 * LANES
            source, at = dy, g
            if kind == AVERAGE:
                count = count0 * counted(start, k1, f1, e1)
                scale_row(own, w, dy, g, count, o2, k2, s2, p2, f2, e2)
                source, at = own, w
            for v in range(k1):
                row = start + v * d1
                if top <= row < bottom:
                    give_row(
                        out, o + (row - top) * pitch,
                        y, (((plane * i0) + f0) * i1 + row) * i2 * LANES, source, at, index, g,
                        (u * k1 + v) * k2, i2, alone, o2, k2, s2, p2, d2, act, lo, hi,
                    )  # fmt: skip


@device
def is_alone(pool):
    """Whether windows have no place in common."""
    one, two, three = pool
    return is_apart(one) and is_apart(two) and is_apart(three)


@routine
def gradient_rows(
    out, o, pitch, own, w, dy, index, y, plane, f0, top, bottom, i0, i1, i2, act, lo, hi,
    kind, pool,
):  # fmt: skip
    """Rows of the gradient by what went into an activation, which gave ``y``, and then a pool.

    Without ``y`` there is no activation; if its ``kind`` is 0, there is no pool. Planes are counted
    over all blocks and channels, each of ``i0`` by ``i1`` rows of ``i2`` positions, ``pitch`` apart
    in ``out``; ``own`` has room for a row of the pool.
    """
    if kind:
        alone = is_alone(pool)
        full = is_gapless(i0, pool[0]) and is_gapless(i1, pool[1]) and is_gapless(i2, pool[2])
        for r in range(0 if full else bottom - top):
            put_zeros(out, o + r * pitch, i2)
        give_rows(
            out, o, pitch, own, w, dy, index, y, plane, f0, top, bottom, i0, i1, i2, act, lo, hi,
            kind, alone, pool,
        )  # fmt: skip
        if alone:
            return
    at = ((plane * i0 + f0) * i1 + top) * i2 * LANES
    for r in range(bottom - top):
        to, i = o + r * pitch, at + r * i2 * LANES
        if y.size and kind:
            slope_row(out, to, out, to, y, i, i2, act, lo, hi)
        elif y.size:
            slope_row(out, to, dy, i, y, i, i2, act, lo, hi)
        elif kind == 0:
            copy_vectors(out, to, dy, i, i2)


def row_memory(o2):
    """A row of the gradient by the output."""
    return o2 * LANES


# fmt: off
@task(tasks=across_tasks, memory=row_memory)
def across_pool_backward(
    first, last, scratch, out, index, dy, n: int, c: int, i0: int, i1: int, i2: int,
    o0: int, o1: int, o2: int, k0: int, k1: int, k2: int, s0: int, s1: int, s2: int,
    p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    f0: int, f1: int, f2: int, e0: int, e1: int, e2: int, maximum: int,
):
    """The gradient by the input of `across_pool`."""
    # fmt: on
    pool = (
        (o0, k0, s0, p0, d0, f0, e0), (o1, k1, s1, p1, d1, f1, e1), (o2, k2, s2, p2, d2, f2, e2)
    )  # fmt: skip
    none = scratch[:0]
    for r in range(first * c * i0, last * c * i0):
        gradient_rows(
            out, r * i1 * i2 * LANES, i2 * LANES, scratch, 0, dy, index, none, r // i0, r % i0,
            0, i1, i0, i1, i2, 0, real(0), real(0), MAXIMUM if maximum else AVERAGE, pool,
        )  # fmt: skip
