"""A convolution across images with what follows it: bias, activation, pool, block after block."""

from __future__ import annotations

from netdsl.backends.cpu.across import across_tasks
from netdsl.backends.cpu.across_conv import activate, direct_rows, pad_rows
from netdsl.backends.cpu.across_forms import output_row
from netdsl.backends.cpu.across_plan import forward_numbers
from netdsl.backends.cpu.across_pool import pool_rows
from netdsl.backends.cpu.across_six import six_forward, six_input
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.winograd_tiles import ONE
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@routine
def six_rows(
    out, o, begin, end, x, i, tiles, m, o0, o1, o2, co, bias, act, lo, hi
):  # fmt: skip
    """Some rows of the outputs of all channels from the products at all points."""
    rows, line = o0 * o1, tiles * LANES
    for row in range(begin, end):
        at = o + row * o2 * LANES
        for c in range(co):
            shift = bias[c] if bias.size else real(0)
            output_row(
                out, at + c * rows * o2 * LANES, o2, x, i + (c * rows + row) * line,
                co * rows * line, tiles, m, shift,
            )  # fmt: skip
        activate(out, at, rows * o2 * LANES, co, o2, act, lo, hi)


@device
def last_place(place, size, axis):
    """The last place that a window reaches along an axis of a pool."""
    _, window, stride, pad, dilation, _, _ = axis
    return min(size - 1, place * stride - pad + (window - 1) * dilation)


@device
def rows_wanted(row, size0, size1, pool):
    """How many rows of planes a row of windows wants to be there, with all before them."""
    across = pool[1][0]
    last = last_place(row // across, size0, pool[0])
    return last * size1 + last_place(row % across, size1, pool[1]) + 1


def forward_memory(size):
    """What the plan says."""
    return size


# fmt: off
@task(
    tasks=across_tasks, memory=forward_memory, writes=("out", "pooled", "index"),
    plan=forward_numbers, planned=("tiles", "width", "high", "x_at", "y_at", "size"),
)
def across_forward(
    first, last, scratch, out, pooled, index, x, weight, bias, n: int, m: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    out_lo: float, out_hi: float, act: int, maximum: int,
    qo0: int, qo1: int, qo2: int, qk0: int, qk1: int, qk2: int, qs0: int, qs1: int, qs2: int,
    qp0: int, qp1: int, qp2: int, qd0: int, qd1: int, qd2: int,
    qf0: int, qf1: int, qf2: int, qe0: int, qe1: int, qe2: int,
    tiles: int, width: int, high: int, x_at: int, y_at: int, size: int,
):
    """Convolution, bias, a clamp to ``out_lo..out_hi`` (``act`` 0) or ``tanh`` for float32 (1).

    Where ``pooled`` is given, it gets what `across_pool` makes of ``out``; the numbers of the pool
    begin with ``q``. With ``m`` outputs at once weights are those of `across_six_pack`.
    """
    # fmt: on
    pool = (
        (qo0, qk0, qs0, qp0, qd0, qf0, qe0), (qo1, qk1, qs1, qp1, qd1, qf1, qe1),
        (qo2, qk2, qs2, qp2, qd2, qf2, qe2),
    )  # fmt: skip
    windows = qo0 * qo1 if pooled.size else 0
    for t in range(first, last):
        source, i, o = x, t * ci * i0 * i1 * i2 * LANES, t * co * o0 * o1 * o2 * LANES
        if width > i2:
            pad_rows(scratch, 0, x, i, ci * i0 * i1, i2, p2, width)
            source, i = scratch, 0
        if m:
            six_input(scratch, x_at, source, i, width, ci * i0, i1, p1, high, tiles, m)
            six_forward(
                scratch, y_at, weight, scratch, x_at, ci, co, i0, high, o0, o1, tiles,
                k0, k1, s0, s1, p0, d0, d1,
            )  # fmt: skip
        row = ONE * 0
        for w in range(windows + 1):
            wanted = max(row, rows_wanted(w, o0, o1, pool) if w < windows else o0 * o1)
            if m:
                six_rows(
                    out, o, row, wanted, scratch, y_at, tiles, m, o0, o1, o2, co, bias,
                    act, out_lo, out_hi,
                )  # fmt: skip
            else:
                direct_rows(
                    out, o, row, wanted, source, i, width, weight, bias, ci, co, i0, i1, o0, o1, o2,
                    k0, k1, k2, s0, s1, s2, p0, p1, d0, d1, d2, act, out_lo, out_hi,
                )  # fmt: skip
            row = wanted
            if w < windows:
                pool_rows(
                    pooled, index, t * co, co, w // qo1, w % qo1, out, o0, o1, o2, maximum, pool
                )
