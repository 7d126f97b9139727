"""Dense layers: ``out = x @ weight.T + bias`` and the gradient by ``x``; all matrices by rows.

The gradients by weights and biases are in `dense_weight`.

Forward, one of both matrices has to be read down its columns, so `dense_pack` turns it: into panels
of two vectors of its rows, or of as many as are left. It turns the weights, and vectors go over the
outputs; or the samples, where that is less work or weights are many, and vectors go over them.
Where samples are few nothing is turned, and vectors go along the sums. `dense_numbers` chooses.
"""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.dense_plan import FEW, LONG, SAMPLES, WEIGHTS, dense_numbers, input_numbers
from netdsl.backends.cpu.lazy import fetch, passed, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import copy_rows, product, turn_rows
from netdsl.backends.cpu.simd import vall, vfma, vload, vload_part, vmax, vmin, vspread, vsum
from netdsl.backends.cpu.tile import ROWS
from netdsl.backends.override import task
from netdsl.kernel import real, routine

PANEL = 2 * LANES
DEPTH = 256
"""So many products at least are added in registers before they are added to the rest."""
LINES = 64
"""So many lines are a task."""
PANELS = 4
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
        wide = min(PANEL, rows - row)
        turn_rows(
            out, row * ci + k0 * wide, wide, source, row * pitch + k0, pitch,
            wide, min(STRIP, ci - k0), wide,
        )  # fmt: skip


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


@routine
def clamp_rows(out, o, step, rows, count, lo, hi):
    """Bring rows between bounds; a NaN stays one."""
    low, high = vall(real(lo)), vall(real(hi))
    for r in range(rows):
        for j in range(0, count, LANES):
            at = o + r * step + j
            v = vmin(high, vmax(low, take_vector(out, at, count - j)))
            put_vector(out, at, v, count - j)


@routine
def add_to_rows(x, i, step, rows, count, bias, b):
    """Add a number to each of some rows."""
    for r in range(rows):
        v = vspread(bias, b + r)
        for j in range(0, count, LANES):
            at = i + r * step + j
            put_vector(x, at, v + take_vector(x, at, count - j), count - j)


@routine
def panels_product(c, c0, ci, start, bias, b0, lines, cols, a, a0, ai, packed, p0, depth):
    """Lines times some panels; of the result whole lines are written one after the other.

    Where columns are few, longer pieces of the panels stay near, and lines are read in such pieces.
    """
    groups = -(-lines // ROWS[1])
    piece = max(DEPTH, DEPTH * PANEL // cols)
    for k in range(0, depth, piece):
        for g in range(groups):
            i = g * lines // groups
            rows = (g + 1) * lines // groups - i
            for j in range(0, cols, PANEL):
                wide = min(PANEL, cols - j)
                product(
                    c, c0 + i * ci + j, ci, start, bias, b0 + j, rows, wide,
                    a, a0 + i * ai + k, ai, 1, packed, p0 + j * depth + k * wide, wide,
                    1, 0, 0, 1, 0, 0, min(piece, depth - k),
                )  # fmt: skip
        start = 1


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
        groups, runs = -(-cols // wide), -(-rows // LINES)
        begin, line = t % groups * wide, t // groups * rows // runs
        lines, end = (t // groups + 1) * rows // runs - line, min(begin + wide, cols)
        if form == WEIGHTS:
            panels_product(
                out, line * step + begin, step, 2 if bias.size else 0, bias, begin, lines,
                end - begin, x, line * x_step, x_step, packed, begin * ci, ci,
            )  # fmt: skip
        else:
            panels_product(
                scratch, 0, wide, 0, bias, 0, lines, end - begin, weight, line * ci, ci,
                packed, begin * ci, ci,
            )  # fmt: skip
            if bias.size:
                add_to_rows(scratch, 0, wide, lines, end - begin, bias, line)
            turn_rows(
                out, begin * step + line, step, scratch, 0, wide, lines, end - begin, lines
            )
            line, begin, lines, end = begin, line, end - begin, line + lines
        if out_lo > -np.inf or out_hi < np.inf:
            clamp_rows(out, line * step + begin, step, lines, end - begin, out_lo, out_hi)


def input_tasks(n, ci, block):
    """A task for some inputs of some samples."""
    return ((n + SAMPLE_LINES - 1) // SAMPLE_LINES) * ((ci + block - 1) // block)


def input_memory(block, depth):
    """Pieces of the weights and of the gradient."""
    return depth * (block + LANES + SAMPLE_LINES)


SAMPLE_LINES = 140
"""A task for the gradient by the input has so many samples at most."""


@routine
def mask_rows(out, o, step, rows, count, at, i, at_step, lo, hi):
    """Keep of rows what passed an activation, whose output is ``at``."""
    low, high = vall(real(lo)), vall(real(hi))
    for r in range(rows):
        for j in range(0, count, LANES):
            left = count - j
            v = take_vector(out, o + r * step + j, left)
            v = passed(v, take_vector(at, i + r * at_step + j, left), low, high)
            put_vector(out, o + r * step + j, v, left)


# fmt: off
@task(
    tasks=input_tasks, memory=input_memory, plan=input_numbers, planned=("block", "depth")
)
def dense_input(
    first, last, scratch, out, y, ref, weight, act,
    n: int, ci: int, co: int, step: int, y_step: int, ref_step: int, block: int, depth: int,
    add: int, lo: float, hi: float, act_lo: float, act_hi: float,
):
    """``out[n, i]`` from ``y[n, o]``, a gradient that ``ref`` may mask, and the weights.

    ``act`` may be the output of the activation before the layer: then only what passed it stays.
    """
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
        if act.size:
            mask_rows(out, m * step + i, step, lines, count, act, m * ci + i, ci, act_lo, act_hi)
