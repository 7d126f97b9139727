"""Sums of branches on the CPU, and tensors that are written after all: everything in one pass."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import passed, put_or_add, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.norm import (
    BLOCK,
    GROUP,
    clear_gradients,
    count_gradient,
    fold_gradients,
    sum_memory,
    sum_tasks,
    summed_of,
)
from netdsl.backends.cpu.rows import (
    fill,
    joined,
    piece_of,
    pieces,
    pitch_of,
    spread,
    spread_line,
    tables,
)
from netdsl.backends.cpu.simd import (
    vall,
    vfma,
    vload,
    vload_part,
    vmax,
    vmin,
    vstore,
    vstore_part,
)
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


@device
def combined(u, v, table, pitch, k, a_low, a_high, b_low, b_high, low, high):
    """The sum of two vectors, each made by the table and kept between bounds."""
    u = value_of(u, vload(table, k), vload(table, pitch + k), a_low, a_high)
    v = value_of(v, vload(table, 2 * pitch + k), vload(table, 3 * pitch + k), b_low, b_high)
    return vmin(high, vmax(low, u + v))


@routine
def combine_rows(
    out, o, step, a, i, a_step, b, j, b_step, table, pitch, wide, rows,
    a_lo, a_hi, b_lo, b_hi, lo, hi,
):  # fmt: skip
    """The sum of two tensors for some rows."""
    a_low, a_high, b_low = vall(real(a_lo)), vall(real(a_hi)), vall(real(b_lo))
    b_high, low, high = vall(real(b_hi)), vall(real(lo)), vall(real(hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            u, v = vload(a, i + k), vload(b, j + k)
            v = combined(u, v, table, pitch, k, a_low, a_high, b_low, b_high, low, high)
            vstore(out, o + k, v)
        if left:
            u, v = vload_part(a, i + full, left), vload_part(b, j + full, left)
            v = combined(u, v, table, pitch, full, a_low, a_high, b_low, b_high, low, high)
            vstore_part(out, o + full, v, left)
        o, i, j = o + step, i + a_step, j + b_step


# fmt: off
@task(tasks=pieces, memory=tables)
def combine(
    first, last, scratch, out, a, a_coef, b, b_coef, count: int, c: int,
    step: int, a_step: int, b_step: int,
    a_lo: float, a_hi: float, b_lo: float, b_hi: float, lo: float, hi: float,
):
    """``out = min(max(a + b, lo), hi)`` over ``count`` positions; it may be ``a`` or ``b``.

    With ``a_coef``, ``a`` is made while it is read, within ``a_lo`` and ``a_hi``; and so ``b``.
    """
    pitch, size = pitch_of(c), piece_of(c)
    join = joined(c, step == c and a_step == c and b_step == c)
    u_lo, u_hi = (a_lo, a_hi) if a_coef.size else (-np.inf, np.inf)
    v_lo, v_hi = (b_lo, b_hi) if b_coef.size else (-np.inf, np.inf)
    spread_line(scratch, 0, pitch, join * c, a_coef, 0, c, c)
    spread_line(scratch, 2 * pitch, pitch, join * c, b_coef, 0, c, c)
    for t in range(first, last):
        p, some = t * size, min(size, count - t * size)
        rows, rest = some // join, some % join
        combine_rows(
            out, p * step, join * step, a, p * a_step, join * a_step, b, p * b_step, join * b_step,
            scratch, pitch, join * c, rows, u_lo, u_hi, v_lo, v_hi, lo, hi,
        )
        p += rows * join
        combine_rows(
            out, p * step, 0, a, p * a_step, 0, b, p * b_step, 0,
            scratch, pitch, rest * c, 1, u_lo, u_hi, v_lo, v_hi, lo, hi,
        )
# fmt: on


@device
def backward_of(dy, v, table, pitch, k, low, high):
    """The gradient of a normalisation and the activation behind it, made by the table."""
    dy = passed(dy, vfma(vload(table, k), v, vload(table, pitch + k)), low, high)
    rest = vfma(vload(table, 3 * pitch + k), v, vload(table, 4 * pitch + k))
    return vfma(vload(table, 2 * pitch + k), dy, rest)


@routine
def forward_rows(out, o, step, x, i, x_step, table, pitch, wide, rows, lo, hi, add):
    """Rows of a tensor that goes forward."""
    low, high = vall(real(lo)), vall(real(hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            v = value_of(vload(x, i + k), vload(table, k), vload(table, pitch + k), low, high)
            vstore(out, o + k, vload(out, o + k) + v if add else v)
        if left:
            v = vload_part(x, i + full, left)
            v = value_of(v, vload(table, full), vload(table, pitch + full), low, high)
            put_or_add(out, o + full, v, add, left)
        o, i = o + step, i + x_step


@routine
def passing_rows(out, o, step, x, i, x_step, ref, j, ref_step, wide, rows, lo, hi, add):
    """Rows of a gradient of which only what passed an activation goes on."""
    low, high = vall(real(lo)), vall(real(hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            v = passed(vload(x, i + k), vload(ref, j + k), low, high)
            vstore(out, o + k, vload(out, o + k) + v if add else v)
        if left:
            v, at = vload_part(x, i + full, left), vload_part(ref, j + full, left)
            put_or_add(out, o + full, passed(v, at, low, high), add, left)
        o, i, j = o + step, i + x_step, j + ref_step


@routine
def backward_rows(
    out, o, step, x, i, x_step, ref, j, ref_step, table, pitch, wide, rows, lo, hi, add
):
    """Rows of the gradient of a normalisation and the activation behind it."""
    low, high = vall(real(lo)), vall(real(hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            v = backward_of(vload(x, i + k), vload(ref, j + k), table, pitch, k, low, high)
            vstore(out, o + k, vload(out, o + k) + v if add else v)
        if left:
            v, at = vload_part(x, i + full, left), vload_part(ref, j + full, left)
            v = backward_of(v, at, table, pitch, full, low, high)
            put_or_add(out, o + full, v, add, left)
        o, i, j = o + step, i + x_step, j + ref_step


@device
def made_rows(
    out, o, step, x, i, x_step, ref, j, ref_step, coef, table, pitch, wide, rows, lo, hi, add
):
    """Rows of a tensor, whatever it is made of."""
    if ref.size == 0:
        forward_rows(out, o, step, x, i, x_step, table, pitch, wide, rows, lo, hi, add)
    elif coef.size == 0:
        passing_rows(out, o, step, x, i, x_step, ref, j, ref_step, wide, rows, lo, hi, add)
    else:
        backward_rows(
            out, o, step, x, i, x_step, ref, j, ref_step, table, pitch, wide, rows, lo, hi, add
        )


# fmt: off
@task(tasks=pieces, memory=tables)
def materialise(
    first, last, scratch, out, x, ref, coef, count: int, c: int,
    step: int, x_step: int, ref_step: int, lo: float, hi: float, add: int,
):
    """Write a tensor that is made while it is read; ``out`` may be ``x`` or ``ref``."""
    pitch, size = pitch_of(c), piece_of(c)
    join = joined(c, step == c and x_step == c and (ref.size == 0 or ref_step == c))
    spread_line(scratch, 0, pitch, join * c, coef, 0, c, c)
    if coef.size and ref.size:
        for line in range(2, 5):
            spread(scratch, line * pitch, join * c, coef, line * c, c)
    low, high = (lo, hi) if coef.size or ref.size else (-np.inf, np.inf)
    for t in range(first, last):
        p, some = t * size, min(size, count - t * size)
        rows, rest = some // join, some % join
        made_rows(
            out, p * step, join * step, x, p * x_step, join * x_step,
            ref, p * ref_step, join * ref_step,
            coef, scratch, pitch, join * c, rows, low, high, add,
        )
        p += rows * join
        made_rows(
            out, p * step, 0, x, p * x_step, 0, ref, p * ref_step, 0,
            coef, scratch, pitch, rest * c, 1, low, high, add,
        )
# fmt: on


@routine
def part_gradients(
    out, o, step, dy, i, y_step, ref, r, ref_step, x, j, x_step,
    table, pitch, wide, rows, lo, hi, x_lo, x_hi,
):  # fmt: skip
    """Write rows of the gradient before a sum; add them up as a branch's normalisation wants."""
    low, high, x_low, x_high = vall(real(lo)), vall(real(hi)), vall(real(x_lo)), vall(real(x_hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            g = vload(dy, i + k)
            if ref.size:
                g = passed(g, vload(ref, r + k), low, high)
            vstore(out, o + k, g)
            count_gradient(g, vload(x, j + k), table, pitch, k, x_low, x_high)
        if left:
            g = vload_part(dy, i + full, left)
            if ref.size:
                g = passed(g, vload_part(ref, r + full, left), low, high)
            vstore_part(out, o + full, g, left)
            count_gradient(g, vload_part(x, j + full, left), table, pitch, full, x_low, x_high)
        o, i, r, j = o + step, i + y_step, r + ref_step, j + x_step


# fmt: off
@task(tasks=sum_tasks, memory=sum_memory, writes=("out", "sums"))
def join_backward(
    first, last, scratch, out, sums, dy, ref, x, coef, mean, count: int, c: int,
    step: int, y_step: int, ref_step: int, x_step: int,
    lo: float, hi: float, x_lo: float, x_hi: float,
):
    """``out = dy`` where ``lo < ref < hi``, else 0; and `norm_backward_sums` of it for one branch.

    ``x``, ``coef`` and ``mean`` are the branch's, ``x_lo`` and ``x_hi`` its activation. ``out`` may
    be ``dy``; without ``ref`` all of ``dy`` passes.
    """
    blocks, size = (c + BLOCK - 1) // BLOCK, summed_of(c)
    pitch = pitch_of(min(c, BLOCK))
    dense = step == c and y_step == c and x_step == c and (ref.size == 0 or ref_step == c)
    for t in range(first, last):
        k, p, at = t % blocks * BLOCK, t // blocks * size, t // blocks * 2 * c
        channels, some = min(BLOCK, c - k), min(size, count - p)
        join = joined(channels, dense and channels == c)
        wide, rows = join * channels, some // join
        spread(scratch, 2 * pitch, wide, mean, k, channels)
        spread_line(scratch, 3 * pitch, pitch, wide, coef, k, channels, c)
        clear_gradients(sums, at + k, c, channels)
        fill(scratch, 0, 2 * pitch, 0.0)
        done = 0
        while done < some:
            turn = min(GROUP, rows - done // join) if done < rows * join else 0
            here, run = p + done, wide if turn else (some - done) * channels
            part_gradients(
                out, here * step + k, join * step, dy, here * y_step + k, join * y_step,
                ref, here * ref_step + k, join * ref_step, x, here * x_step + k, join * x_step,
                scratch, pitch, run, max(turn, 1), lo, hi, x_lo, x_hi,
            )
            fold_gradients(sums, at + k, c, scratch, pitch, run, channels)
            done += turn * join if turn else some - done
# fmt: on
