"""The gradient of a depthwise convolution by its weights: vectors go over the channels.

Each channel has one output. A task goes over a chunk of the positions and has sums of its own in
``parts``; `depthwise_weight_sum` adds them.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight import part, weight_out
from netdsl.backends.cpu.conv_weight_sum import sum_chunks
from netdsl.backends.cpu.depthwise_plan import depthwise_numbers
from netdsl.backends.cpu.lazy import fetch, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import clear
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import real, routine

SLAB = 64
"""So many channels are added by a task."""


def depthwise_tasks(chunks):
    """A task for every chunk."""
    return chunks


def depthwise_memory(k1, k2, s1, s2, d1, d2, rows, cols):
    """A vector of channels of a piece, and room for taps that a block of them has too many."""
    high, wide = (rows - 1) * s1 + (k1 - 1) * d1 + 1, (cols - 1) * s2 + (k2 - 1) * d2 + 1
    room = 2 * d1 * wide + (k2 + 3) * d2 + 8
    return (high * wide + rows * cols + room + 18) * LANES


@routine
def nine_taps(scratch, at, x, x1, x2, e1, e2, y, rows, cols):
    """Nine taps, ``e1`` and ``e2`` apart, over the positions of a piece."""
    zero = vall(real(0))
    a, b, c, d, e, f, g, h, i = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for r in range(rows):
        for q in range(cols):
            dy = vload(scratch, y + (r * cols + q) * LANES)
            p = x + r * x1 + q * x2
            a = vfma(dy, vload(scratch, p), a)
            b = vfma(dy, vload(scratch, p + e2), b)
            c = vfma(dy, vload(scratch, p + 2 * e2), c)
            d = vfma(dy, vload(scratch, p + e1), d)
            e = vfma(dy, vload(scratch, p + e1 + e2), e)
            f = vfma(dy, vload(scratch, p + e1 + 2 * e2), f)
            g = vfma(dy, vload(scratch, p + 2 * e1), g)
            h = vfma(dy, vload(scratch, p + 2 * e1 + e2), h)
            i = vfma(dy, vload(scratch, p + 2 * e1 + 2 * e2), i)
    vstore(scratch, at, a)
    vstore(scratch, at + LANES, b)
    vstore(scratch, at + 2 * LANES, c)
    vstore(scratch, at + 3 * LANES, d)
    vstore(scratch, at + 4 * LANES, e)
    vstore(scratch, at + 5 * LANES, f)
    vstore(scratch, at + 6 * LANES, g)
    vstore(scratch, at + 7 * LANES, h)
    vstore(scratch, at + 8 * LANES, i)


@routine
def fetch_lanes(scratch, at, tensor, base, channel, count):
    """Some positions of a vector of channels."""
    x, x_step, ref, ref_step, coef, all, lo, hi = tensor
    fetch(
        scratch, at, LANES, count, min(LANES, all - channel), x, base * x_step + channel, x_step,
        ref, base * ref_step + channel, ref_step, coef, channel, all, lo, hi,
    )  # fmt: skip


@routine
def fetch_padded(scratch, at, wide, tensor, plane, channel, i1, i2, top, first, high):
    """Rows of a plane from ``top`` and ``first`` on, with zeros where it is not; -1: no plane."""
    left = min(wide, max(0, -first))
    cells = max(0, min(i2 - first, wide) - left)
    for j in range(high):
        line = at + j * wide * LANES
        if plane < 0 or top + j < 0 or top + j >= i1 or cells == 0:
            clear(scratch, line, LANES, 1, wide * LANES)
            continue
        clear(scratch, line, LANES, 1, left * LANES)
        base = (plane * i1 + top + j) * i2 + first + left
        fetch_lanes(scratch, line + left * LANES, tensor, base, channel, cells)
        rest = left + cells
        clear(scratch, line + rest * LANES, LANES, 1, (wide - rest) * LANES)


@routine
def add_vector(out, o, x, i, count):
    """Add a vector, or the part of it that is wanted."""
    put_vector(out, o, take_vector(out, o, count) + take_vector(x, i, count), count)


@routine
def depthwise_taps(scratch, at, ys, parts, put, channel, channels, k, s, d, rows, cols, wide):
    """All taps of a plane of the window, in blocks of three times three."""
    per_row = -(-k[2] // 3)
    sums = at - 9 * LANES
    flat = k[1] == 1  # then what is a row here are three taps of the only one
    for block in range(per_row if not flat else -(-per_row // 3)):
        for t1 in range(0, k[1], 3):
            first = 9 * block if flat else 3 * block
            e2 = d[2] * LANES
            e1 = 3 * e2 if flat else d[1] * wide * LANES
            x = at + t1 * d[1] * wide * LANES + first * e2
            nine_taps(scratch, sums, x, s[1] * wide * LANES, s[2] * LANES, e1, e2, ys, rows, cols)
            for j in range(9):
                r = 0 if flat else t1 + j // 3
                t = first + (j if flat else j % 3)
                if r < k[1] and t < k[2]:
                    add_vector(
                        parts, put + (r * k[2] + t) * channels + channel, scratch,
                        sums + j * LANES, min(LANES, channels - channel),
                    )  # fmt: skip


# fmt: off
@task(
    tasks=depthwise_tasks,
    memory=depthwise_memory,
    writes=("parts",),
    plan=depthwise_numbers,
    planned=("chunks", "rows", "cols"),
)
def depthwise_weight(
    first, last, scratch, parts, dbias, x, ref, coef, y, y_ref, y_coef,
    n: int, ci: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s0: int, s1: int, s2: int, p0: int, p1: int, p2: int,
    d0: int, d1: int, d2: int, x_step: int, ref_step: int, y_step: int, y_ref_step: int,
    chunks: int, rows: int, cols: int, lo: float, hi: float, y_lo: float, y_hi: float,
):
    """The sums of every chunk; those of ``dbias``, if it is given, follow behind them."""
    # fmt: on
    k, s, d = (k0, k1, k2), (s0, s1, s2), (d0, d1, d2)
    tensor_x = (x, x_step, ref, ref_step, coef, ci, lo, hi)
    tensor_y = (y, y_step, y_ref, y_ref_step, y_coef, ci, y_lo, y_hi)
    row_parts, col_parts = -(-o1 // rows), -(-o2 // cols)
    pieces = n * o0 * row_parts * col_parts
    whole = k0 * k1 * k2 * ci
    ys = 9 * LANES
    xs = ys + (rows * cols + 9) * LANES
    for chunk in range(first, last):
        clear(parts, chunk * whole, whole, 1, whole)
        bias = chunks * whole + chunk * ci
        if dbias.size:
            clear(parts, bias, ci, 1, ci)
        begin, end = part(chunk, chunks, pieces)
        for piece in range(begin, end):
            q = piece // (row_parts * col_parts)
            r0, r1 = part(piece // col_parts % row_parts, row_parts, o1)
            c0, c1 = part(piece % col_parts, col_parts, o2)
            high, wide = (r1 - r0 - 1) * s1 + (k1 - 1) * d1 + 1, (c1 - c0 - 1) * s2 + 1
            wide += (k2 - 1) * d2
            for channel in range(0, ci, LANES):
                for r in range(r1 - r0):
                    fetch_lanes(
                        scratch, ys + r * (c1 - c0) * LANES, tensor_y, (q * o1 + r0 + r) * o2 + c0,
                        channel, c1 - c0,
                    )  # fmt: skip
                if dbias.size:
                    total = vall(real(0))
                    for j in range((r1 - r0) * (c1 - c0)):
                        total = total + vload(scratch, ys + j * LANES)
                    vstore(scratch, 0, total)
                    add_vector(parts, bias + channel, scratch, 0, min(LANES, ci - channel))
                for t0 in range(k0):
                    z = q % o0 * s0 + t0 * d0 - p0
                    plane = q // o0 * i0 + z if 0 <= z < i0 else -1
                    fetch_padded(
                        scratch, xs, wide, tensor_x, plane, channel, i1, i2, r0 * s1 - p1,
                        c0 * s2 - p2, high,
                    )  # fmt: skip
                    depthwise_taps(
                        scratch, xs, ys, parts, chunk * whole + t0 * k1 * k2 * ci, channel, ci, k,
                        s, d, r1 - r0, c1 - c0, wide,
                    )  # fmt: skip


def slabs(ci):
    """A task for some channels."""
    return (ci + SLAB - 1) // SLAB


def slab_memory(k0, k1, k2):
    """The sums of some channels."""
    return k0 * k1 * k2 * SLAB


# fmt: off
@task(
    tasks=slabs,
    memory=slab_memory,
    writes=("out", "dbias"),
    plan=depthwise_numbers,
    planned=("chunks",),
)
def depthwise_weight_sum(
    first, last, scratch, out, dbias, parts, ci: int, k0: int, k1: int, k2: int, add: int,
    chunks: int,
):
    """Follows `depthwise_weight`: adds the chunks in their order, in the logical layout."""
    # fmt: on
    taps = k0 * k1 * k2
    for t in range(first, last):
        c, count = t * SLAB, min(SLAB, ci - t * SLAB)
        sum_chunks(scratch, 0, SLAB, parts, c, ci, taps, count, chunks, taps * ci, 0)
        weight_out(out, c * taps, taps, scratch, 0, count, 1, 1, SLAB, 1, 0, taps, SLAB, add)
        if dbias.size:
            sum_chunks(dbias, c, 1, parts, chunks * taps * ci + c, 1, 1, count, chunks, ci, add)
