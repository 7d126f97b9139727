"""The backward pass of a convolution across images and of what follows it, block after block.

Every block of images leaves a row of parts: the gradient by the weights, and behind it that by the
bias. A following kernel adds the rows in their order.
"""

from __future__ import annotations

from netdsl.backends.cpu.across import across_tasks, copy_vectors, put_zeros
from netdsl.backends.cpu.across_conv import backward_row, pad_rows
from netdsl.backends.cpu.across_forms import back_row, error_row
from netdsl.backends.cpu.across_gradient import gradient_rows
from netdsl.backends.cpu.across_plan import backward_numbers
from netdsl.backends.cpu.across_six import six_backward, six_input, six_weight
from netdsl.backends.cpu.across_weight import (
    add_lanes,
    add_positions,
    band_of,
    weight_block,
)
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import routine


@routine
def six_errors(
    own, y_at, row_at, s, wide, tiles, m, co, plane, dy, index, y, o0, o1, o2, act, lo, hi,
    kind, pool,
):  # fmt: skip
    """A block of the gradient by the output at all points, and its sums for the bias."""
    line, band = tiles * LANES, band_of(o1, wide)
    w = row_at + band * wide * LANES
    put_zeros(own, row_at, band * wide)  # tiles may go on behind a row
    for c in range(co * o0):
        for top in range(0, o1, band):
            bottom = min(o1, top + band)
            gradient_rows(
                own, row_at, wide * LANES, own, w, dy, index, y, plane + c // o0, c % o0,
                top, bottom, o0, o1, o2, act, lo, hi, kind, pool,
            )  # fmt: skip
            rows, fresh = bottom - top, top == 0 and c % o0 == 0
            add_positions(own, s + c // o0 * LANES, own, row_at, 0, 1, rows * wide, fresh)
            at = y_at + (c * o1 + top) * line
            error_row(own, at, co * o0 * o1 * line, own, row_at, rows * tiles, m)


@routine
def six_back(dx, o, own, i, row_at, tiles, m, planes, rows, i2, p2):
    """A block of the gradient by the input from that at all points."""
    line, reach = tiles * LANES, tiles * m + 6 - m
    put_zeros(own, row_at + reach * LANES, max(0, p2 + i2 - reach))
    for r in range(planes * rows):
        back_row(own, row_at, own, i + r * line, planes * rows * line, tiles, m)
        copy_vectors(dx, o + r * i2 * LANES, own, row_at + p2 * LANES, i2)


def backward_memory(size):
    """What the plan says."""
    return size


# fmt: off
@task(
    tasks=across_tasks, memory=backward_memory, writes=("parts", "dx"), plan=backward_numbers,
    planned=(
        "tiles", "width", "high", "wide", "x_at", "y_at", "dx_at", "row_at", "sums_at", "size",
    ),
)
def across_backward(
    first, last, scratch, parts, dx, dy, index, y, x, weight, n: int, m: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    y_lo: float, y_hi: float, act: int, pooled: int, back: int,
    qo0: int, qo1: int, qo2: int, qk0: int, qk1: int, qk2: int, qs0: int, qs1: int, qs2: int,
    qp0: int, qp1: int, qp2: int, qd0: int, qd1: int, qd2: int,
    qf0: int, qf1: int, qf2: int, qe0: int, qe1: int, qe2: int,
    tiles: int, width: int, high: int, wide: int,
    x_at: int, y_at: int, dx_at: int, row_at: int, sums_at: int, size: int,
):
    """The gradients by weights and bias, in `across_parts`, and by the input if ``dx`` is given.

    ``dy`` is the gradient by what `across_forward` gave: the output of a pool (``pooled`` tells of
    which kind) or of an activation, which gave ``y``, or the convolution's own.
    """
    # fmt: on
    pool = (
        (qo0, qk0, qs0, qp0, qd0, qf0, qe0), (qo1, qk1, qs1, qp1, qd1, qf1, qe1),
        (qo2, qk2, qs2, qp2, qd2, qf2, qe2),
    )  # fmt: skip
    planes, each = ci * i0 * i1, co * (ci * k0 * k1 * (6 if m else k2) + 1)
    for t in range(first, last):
        source, i, o, lanes = x, t * planes * i2 * LANES, t * each, min(LANES, n - t * LANES)
        dx_o = i
        if width > i2:
            pad_rows(scratch, 0, x, i, planes, i2, p2, width)
            source, i = scratch, 0
        if m:
            six_errors(
                scratch, y_at, row_at, sums_at, wide, tiles, m, co, t * co, dy, index, y,
                o0, o1, o2, act, y_lo, y_hi, pooled, pool,
            )  # fmt: skip
            add_lanes(parts, o + 6 * co * ci * k0 * k1, scratch, sums_at, co, lanes)
            six_input(scratch, x_at, source, i, width, ci * i0, i1, p1, high, tiles, m)
            six_weight(
                parts, o, lanes, scratch, y_at, scratch, x_at, scratch, sums_at, ci, co,
                i0, high, o0, o1, tiles, k0, k1, s0, s1, p0, d0, d1,
            )  # fmt: skip
            if dx.size:
                six_backward(
                    scratch, dx_at, weight, scratch, y_at, ci, co, i0, i1, o0, o1, tiles,
                    k0, k1, s0, s1, p0, p1, d0, d1,
                )  # fmt: skip
                six_back(dx, dx_o, scratch, dx_at, row_at, tiles, m, ci * i0, i1, i2, p2)
        else:
            weight_block(
                parts, o, lanes, source, i, width, scratch, y_at, wide, back, row_at,
                sums_at, t * co, dy, index, y, ci, co, i0, i1, o0, o1, o2, k0, k1, k2, s0, s1, s2,
                p0, p1, d0, d1, d2, act, y_lo, y_hi, pooled, pool,
            )  # fmt: skip
            for r in range(i0 * i1 if dx.size else 0):
                backward_row(
                    dx, dx_o + r * i2 * LANES, i0 * i1 * i2 * LANES, scratch, y_at, wide, weight,
                    ci, co, i2, r // i1 + p0, r % i1 + p1, o0, o1, o2, k0, k1, k2,
                    s0, s1, s2, p2, d0, d1, d2,
                )  # fmt: skip
