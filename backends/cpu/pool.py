"""What pooling kernels share: where a window lies, and how gradients are gathered from windows.

A window at place ``i`` of an axis covers ``i * s - p + a * d`` for its taps ``a``. Backward, every
input position gathers from the windows that cover it, so no two tasks write the same memory.
"""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import WIDE, pitch_of, spread_line
from netdsl.backends.cpu.simd import vall, vstore
from netdsl.kernel import device, real, routine

BAND = 8
"""So many rows of the input are a task of the backward pass."""


def window_tasks(n, o0, o1):
    """A task for every row of the output."""
    return n * o0 * o1


def band_tasks(n, i0, i1):
    """A task for every band of rows of the input."""
    return n * i0 * ((i1 + BAND - 1) // BAND)


def band_memory(c, i2, o0, o1, o2, k0, k1, s0, s1, d0, d1):
    """The windows over every column, and the part of the gradient that a band wants."""
    deep = min(o0, (k0 - 1) * d0 // s0 + 2)
    high = min(o1, ((k1 - 1) * d1 + BAND - 1) // s1 + 2)
    return 2 * i2 + deep * high * o2 * c


@device
def first_tap(start, dilation):
    """The first tap of a window that does not lie before the input."""
    return 0 if start >= 0 else (dilation - 1 - start) // dilation


@device
def end_tap(start, dilation, window, size):
    """One after the last tap of a window that does not lie behind the input."""
    if start + (window - 1) * dilation < size:
        return window
    return (size - 1 - start) // dilation + 1


@device
def first_window(place, window, stride, dilation):
    """The first window that reaches a place, counted from the padding's begin."""
    return max(0, -(((window - 1) * dilation - place) // stride))


@device
def end_window(place, stride, out):
    """One after the last window that reaches a place."""
    return min(out, place // stride + 1)


@device
def tap_of(offset, dilation):
    """Which tap lies so far from a window's begin; -1 if none does."""
    if dilation == 1:
        return offset
    return offset // dilation if offset % dilation == 0 else -1


@device
def column_windows(table, i2, o2, k2, s2, p2, d2):
    """For every column of the input the first window over it, and one after the last."""
    for r in range(i2):
        table[r] = real(first_window(r + p2, k2, s2, d2))
        table[i2 + r] = real(end_window(r + p2, s2, o2))


@routine
def fetch_band(
    scratch, at, image, i, i_end, j, j_end, c, o0, o1, o2,
    y, y_ref, y_coef, y_step, y_ref_step, y_lo, y_hi,
):  # fmt: skip
    """Make the rows ``i`` to ``i_end`` and ``j`` to ``j_end`` of the gradient of an image."""
    for u in range(i, i_end):
        for v in range(j, j_end):
            p = ((image * o0 + u) * o1 + v) * o2
            fetch(
                scratch, at + ((u - i) * (j_end - j) + v - j) * o2 * c, c, o2, c,
                y, p * y_step, y_step, y_ref, p * y_ref_step, y_ref_step, y_coef, 0, c, y_lo, y_hi,
            )  # fmt: skip


def factor_memory(c):
    """Factors and summands of all channels."""
    return 2 * ((max(c, WIDE) + LANES - 1) // LANES * LANES)


@device
def factors(table, coef, c, lo, hi):
    """Factors and summands of all channels, in two rows; returns the bounds."""
    spread_line(table, 0, pitch_of(c), c, coef, 0, c, c)
    if coef.size:
        return vall(real(lo)), vall(real(hi))
    return vall(real(-np.inf)), vall(real(np.inf))


@device
def put_four(out, o, v0, v1, v2, v3):
    """Write four vectors."""
    vstore(out, o, v0)
    vstore(out, o + LANES, v1)
    vstore(out, o + 2 * LANES, v2)
    vstore(out, o + 3 * LANES, v3)
