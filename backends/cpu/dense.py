"""Dense layers: ``out = x @ weight.T + bias`` and the gradient by ``x``; all matrices by rows.

The gradients by weights and biases are those of a convolution of one tap over a row of ``n``
positions: `conv_weight`, as `dense_weight_plan` has it.

Forward, one of both matrices has to be read down its columns, so `dense_pack` turns it: into panels
of two vectors of its rows. It turns the weights, and vectors go over the outputs; or the samples,
where that is less work, and vectors go over them. Where samples are few nothing is turned, and
vectors go along the sums. `dense_plan` chooses.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight_plan import Sizes, weight_plan
from netdsl.backends.cpu.lazy import fetch, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import copy_rows, product
from netdsl.backends.cpu.simd import vall, vfma, vload, vload_part, vmax, vmin, vsum
from netdsl.backends.cpu.tile import ROWS
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

FEW, WEIGHTS, SAMPLES = 0, 1, 2
"""What `dense_pack` turns: nothing, the weights, or the samples."""
PANEL = 2 * LANES
DEPTH = 256
"""So many products are added in registers before they are added to the rest."""
LINES = 56
"""So many lines are a task."""
PANELS = 2
"""So many panels are a task."""
STRIP = 64
"""So many columns of a matrix are turned by a task."""
LONG = 4096
"""Rows of weights from this length on are read in longer pieces."""


def dense_plan(n: int, ci: int, co: int) -> dict[str, int]:
    """Which matrix is turned, its rows and columns, and the size of ``packed``."""
    if n <= 3:
        return {"form": FEW, "rows": 0, "cols": 0, "packed": 0}
    form = WEIGHTS if ci * co <= n * (ci + co) else SAMPLES
    rows = co if form == WEIGHTS else n
    return {"form": form, "rows": rows, "cols": ci, "packed": packed_size(rows, ci)}


def packed_size(rows: int, cols: int, lanes: int = LANES) -> int:
    """How many numbers a matrix has in panels."""
    return -(-rows // (2 * lanes)) * 2 * lanes * cols


def dense_weight_plan(n: int, ci: int, co: int) -> dict[str, int]:
    """The operands with which `conv_weight` makes ``dweight = dy.T @ x``."""
    ones, places = (1, 1, 1), (1, 1, n)
    return weight_plan(Sizes(1, ci, co, 1, places, places, ones, ones, (0, 0, 0), ones))


def pack_tasks(rows, cols):
    """A task for some columns of every panel."""
    return ((rows + PANEL - 1) // PANEL) * ((cols + STRIP - 1) // STRIP)


# fmt: off
@task(tasks=pack_tasks)
def dense_pack(first, last, scratch, out, x, rows: int, cols: int, x_step: int):
    """Turn a matrix into panels: ``out[panel, k, row]`` of ``x[row, k]``."""
    # fmt: on
    strips = -(-cols // STRIP)
    for t in range(first, last):
        row, k0 = t // strips * PANEL, t % strips * STRIP
        k1, count = min(k0 + STRIP, cols), min(PANEL, rows - row)
        for r in range(count):
            put, get = row * cols + r, (row + r) * x_step
            for k in range(k0, k1):
                out[put + k * PANEL] = x[get + k]


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
@task(tasks=dense_tasks, memory=dense_memory)
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


def dense_input_plan(ci: int) -> dict[str, int]:
    """How many inputs and outputs of the weights `dense_input` takes at once."""
    return {"block": 512, "depth": 128} if ci >= LONG else {"block": 64, "depth": 256}


# fmt: off
@task(tasks=input_tasks, memory=input_memory)
def dense_input(
    first, last, scratch, out, y, ref, weight,
    n: int, ci: int, co: int, step: int, y_step: int, ref_step: int, block: int, depth: int,
    add: int, lo: float, hi: float,
):
    """``out[n, i]`` from a gradient ``y[n, o]``, which may be masked by ``ref``, and the weights."""
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
