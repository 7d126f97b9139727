"""Dense layers: ``out = x @ weight.T + bias`` and the gradient by ``x``; all matrices by rows.

The gradients by weights and biases are those of a convolution of one tap over a row of ``n``
positions: `conv_weight`, whose geometry is that of `dense_weight_sizes`.

Forward, one of both matrices has to be read down its columns, so `dense_pack` turns it: into panels
of two vectors of its rows. It turns the weights, and vectors go over the outputs; or the samples,
where that is less work, and vectors go over them. Where samples are few nothing is turned, and
vectors go along the sums. `dense_numbers` chooses.
"""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.dense_plan import FEW, LONG, SAMPLES, WEIGHTS, dense_numbers, input_numbers
from netdsl.backends.cpu.lazy import fetch, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import copy_rows, product
from netdsl.backends.cpu.simd import vall, vfma, vload, vload_part, vmax, vmin, vsum
from netdsl.backends.cpu.tile import ROWS
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PANEL = 2 * LANES
DEPTH = 256
"""So many products are added in registers before they are added to the rest."""
LINES = 56
"""So many lines are a task."""
PANELS = 2
"""So many panels are a task."""
STRIP = 64
"""So many columns of a matrix are turned by a task."""


def pack_tasks(n, ci, co, form):
    """A task for some columns of every panel."""
    rows = 0 if form == FEW else co if form == WEIGHTS else n
    return ((rows + PANEL - 1) // PANEL) * ((ci + STRIP - 1) // STRIP)


# fmt: off
@task(tasks=pack_tasks, plan=dense_numbers, planned=("form",))
def dense_pack(
    first, last, scratch, out, x, weight, n: int, ci: int, co: int, x_step: int, form: int
):
    """Turn a matrix into panels: ``out[panel, k, row]`` of ``x[row, k]`` or ``weight[row, k]``."""
    # fmt: on
    strips, rows = -(-ci // STRIP), co if form == WEIGHTS else n
    source, pitch = (weight, ci) if form == WEIGHTS else (x, x_step)
    for t in range(first, last):
        row, k0 = t // strips * PANEL, t % strips * STRIP
        k1 = min(k0 + STRIP, ci)
        for r in range(min(PANEL, rows - row)):
            put, get = row * ci + r, (row + r) * pitch
            for k in range(k0, k1):
                out[put + k * PANEL] = source[get + k]


def dense_tasks(n, co, form):
    """A task for some outputs, and where vectors go over them for some samples as well."""
    if form == FEW:
        return (co + 15) // 16
    if form == WEIGHTS:
        panels = (co + PANEL - 1) // PANEL
        return ((n + LINES - 1) // LINES) * ((panels + PANELS - 1) // PANELS)
    panels = (n + PANEL - 1) // PANEL
    return ((co + LINES - 1) // LINES) * ((panels + PANELS - 1) // PANELS)


def dense_memory(form):
    """The results of a task, where they have to be turned back."""
    return LINES * PANELS * PANEL if form == SAMPLES else 0


@device
def clamp_rows(out, o, step, rows, count, lo, hi):
    """Bring rows between bounds; a NaN stays one."""
    low, high = vall(real(lo)), vall(real(hi))
    for r in range(rows):
        for j in range(0, count, LANES):
            at = o + r * step + j
            v = vmin(high, vmax(low, take_vector(out, at, count - j)))
            put_vector(out, at, v, count - j)


@routine
def panel_product(c, c0, ci, start, bias, b0, lines, cols, a, a0, ai, packed, panel, depth):
    """Lines times a panel, over all of the depth; ``start`` is that of the tiles."""
    for k in range(0, depth, DEPTH):
        product(
            c, c0, ci, start if k == 0 else 1, bias, b0, lines, cols, a, a0 + k, ai, 1,
            packed, panel + k * PANEL, PANEL, 1, 0, 0, 1, 0, 0, min(DEPTH, depth - k),
        )  # fmt: skip


@routine
def dot_rows(out, o, step, x, i, x_step, weight, w, bias, b, n, ci, lo, hi):
    """One output of some samples, with vectors along the sum."""
    for m in range(n):
        a = vall(real(0))
        c = vall(real(0))
        at = i + m * x_step
        k = 0
        while k + 2 * LANES <= ci:
            a = vfma(vload(weight, w + k), vload(x, at + k), a)
            c = vfma(vload(weight, w + k + LANES), vload(x, at + k + LANES), c)
            k += 2 * LANES
        while k < ci:
            left = min(LANES, ci - k)
            a = vfma(vload_part(weight, w + k, left), vload_part(x, at + k, left), a)
            k += LANES
        total = vsum(a + c) + (bias[b] if bias.size else real(0))
        out[o + m * step] = min(max(total, real(lo)), real(hi))


# fmt: off
@task(tasks=dense_tasks, memory=dense_memory, plan=dense_numbers, planned=("form",))
def dense_forward(
    first, last, scratch, out, x, weight, packed, bias,
    n: int, ci: int, co: int, step: int, x_step: int, form: int, out_lo: float, out_hi: float,
):
    """``out[n, o]`` from ``x[n, i]`` and ``weight[o, i]``, between bounds."""
    # fmt: on
    wide = PANELS * PANEL
    for t in range(first, last):
        if form == FEW:
            for o in range(t * 16, min(t * 16 + 16, co)):
                dot_rows(
                    out, o, step, x, 0, x_step, weight, o * ci, bias, o, n, ci, out_lo, out_hi
                )
            continue
        rows, cols = (n, co) if form == WEIGHTS else (co, n)
        groups = -(-cols // wide)
        line, begin = t // groups * LINES, t % groups * wide
        lines, end = min(LINES, rows - line), min(begin + wide, cols)
        for j in range(begin, end, PANEL):
            count = min(PANEL, end - j)
            if form == WEIGHTS:
                panel_product(
                    out, line * step + j, step, 2 if bias.size else 0, bias, j, lines, count,
                    x, line * x_step, x_step, packed, j * ci, ci,
                )  # fmt: skip
            else:
                panel_product(
                    scratch, j - begin, wide, 0, bias, 0, lines, count,
                    weight, line * ci, ci, packed, j * ci, ci,
                )  # fmt: skip
        if form == WEIGHTS:
            if out_lo > -np.inf or out_hi < np.inf:
                clamp_rows(out, line * step + begin, step, lines, end - begin, out_lo, out_hi)
            continue
        for m in range(end - begin):
            for o in range(lines):
                total = scratch[o * wide + m]
                if bias.size:
                    total += bias[line + o]
                total = min(max(total, real(out_lo)), real(out_hi))
                out[(begin + m) * step + line + o] = total


def input_tasks(n, ci, block):
    """A task for some inputs of some samples."""
    return ((n + SAMPLE_LINES - 1) // SAMPLE_LINES) * ((ci + block - 1) // block)


def input_memory(block, depth):
    """Pieces of the weights and of the gradient."""
    return depth * (block + LANES + SAMPLE_LINES)


SAMPLE_LINES = 140
"""A task for the gradient by the input has so many samples at most."""


# fmt: off
@task(
    tasks=input_tasks, memory=input_memory, plan=input_numbers, planned=("block", "depth")
)
def dense_input(
    first, last, scratch, out, y, ref, weight,
    n: int, ci: int, co: int, step: int, y_step: int, ref_step: int, block: int, depth: int,
    add: int, lo: float, hi: float,
):
    """``out[n, i]`` from ``y[n, o]``, a gradient that ``ref`` may mask, and the weights."""
    # fmt: on
    blocks, row = -(-ci // block), block + LANES
    for t in range(first, last):
        i, m = t % blocks * block, t // blocks * SAMPLE_LINES
        count, lines = min(block, ci - i), min(SAMPLE_LINES, n - m)
        near = lines <= ROWS[1] and ci < LONG  # then what is copied would be read once
        for k in range(0, co, depth):
            deep = min(depth, co - k)
            b, b0, bk = weight, k * ci + i, ci
            if not near:
                copy_rows(scratch, 0, row, deep, count, weight, k * ci + i, ci)
                b, b0, bk = scratch, 0, row
            start = 1 if add or k > 0 else 0
            if ref.size:
                fetch(
                    scratch, depth * row, depth, lines, deep, y, m * y_step + k, y_step,
                    ref, m * ref_step + k, ref_step, ref[:0], 0, 0, lo, hi,
                )  # fmt: skip
                a, a0, ai = scratch, depth * row, depth
            else:
                a, a0, ai = y, m * y_step + k, y_step
            product(
                out, m * step + i, step, start, out, 0, lines, count, a, a0, ai, 1,
                b, b0, bk, 1, 0, 0, 1, 0, 0, deep,
            )  # fmt: skip
