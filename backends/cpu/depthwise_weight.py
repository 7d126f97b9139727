"""The gradient of a depthwise convolution by its weights: vectors go over the channels.

Each channel has one output. A task goes over a chunk of the positions, a band of channels after the
other, and has sums of its own in ``parts``; `depthwise_weight_sum` adds them.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight import weight_out
from netdsl.backends.cpu.conv_weight_piece import part
from netdsl.backends.cpu.conv_weight_sum import sum_chunks
from netdsl.backends.cpu.depthwise_plan import depthwise_numbers
from netdsl.backends.cpu.lazy import fetch, put_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import clear
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

BAND = 64
"""So many channels are looked at together: positions are read in runs of so many numbers."""
BANDS = 4
"""So many bands are a task."""
RUN = 56
"""About so many positions, if a row is no more, are added before they go to the sums."""
SLAB = 64
"""So many channels are added by a task."""


def depthwise_tasks(ci, chunks):
    """A task for every chunk and some bands of the channels."""
    return chunks * (-(-ci // (BANDS * BAND)))


def depthwise_memory(k0, k1, k2, s1, s2, d1, d2, rows, cols):
    """Sums, and a band of channels of a piece; room for taps that a block of them has too many."""
    high, wide = (rows - 1) * s1 + (k1 - 1) * d1 + 1, (cols - 1) * s2 + (k2 - 1) * d2 + 1
    room = 2 * d1 * wide + (k2 + 8) * d2 + 8
    sums = (k0 * (k1 + 2) * (k2 + 8) + 1) * BANDS
    return (sums + rows * cols + high * wide + room) * BAND


@routine
def add_nine(scratch, at, down, wall, a, b, c, d, e, f, g, h, i):
    """Add to the sums of three times three taps."""
    vstore(scratch, at, vload(scratch, at) + a)
    vstore(scratch, at + wall, vload(scratch, at + wall) + b)
    vstore(scratch, at + 2 * wall, vload(scratch, at + 2 * wall) + c)
    at += down
    vstore(scratch, at, vload(scratch, at) + d)
    vstore(scratch, at + wall, vload(scratch, at + wall) + e)
    vstore(scratch, at + 2 * wall, vload(scratch, at + 2 * wall) + f)
    at += down
    vstore(scratch, at, vload(scratch, at) + g)
    vstore(scratch, at + wall, vload(scratch, at + wall) + h)
    vstore(scratch, at + 2 * wall, vload(scratch, at + 2 * wall) + i)


@routine
def nine_taps(scratch, at, down, wall, x, x1, x2, e1, e2, y, y1, rows, cols):
    """Nine taps, ``e1`` and ``e2`` apart, over some rows of positions."""
    zero = vall(real(0))
    a, b, c, d, e, f, g, h, i = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for r in range(rows):
        p, q = x + r * x1, y + r * y1
        for _ in range(cols):
            dy = vload(scratch, q)
            a = vfma(dy, vload(scratch, p), a)
            b = vfma(dy, vload(scratch, p + e2), b)
            c = vfma(dy, vload(scratch, p + 2 * e2), c)
            d = vfma(dy, vload(scratch, p + e1), d)
            e = vfma(dy, vload(scratch, p + e1 + e2), e)
            f = vfma(dy, vload(scratch, p + e1 + 2 * e2), f)
            g = vfma(dy, vload(scratch, p + 2 * e1), g)
            h = vfma(dy, vload(scratch, p + 2 * e1 + e2), h)
            i = vfma(dy, vload(scratch, p + 2 * e1 + 2 * e2), i)
            p, q = p + x2, q + wall
    add_nine(scratch, at, down, wall, a, b, c, d, e, f, g, h, i)


@routine
def fetch_band(scratch, at, wall, tensor, base, channel, channels, count):
    """A band of channels of some positions."""
    x, x_step, ref, ref_step, coef, all, lo, hi = tensor
    fetch(
        scratch, at, wall, count, channels, x, base * x_step + channel, x_step,
        ref, base * ref_step + channel, ref_step, coef, channel, all, lo, hi,
    )  # fmt: skip


@routine
def fetch_padded(
    scratch, at, wall, wide, tensor, plane, channel, channels, i1, i2, top, first, high
):
    """Rows of a plane from ``top`` and ``first`` on, with zeros where it is not; -1: no plane."""
    left = min(wide, max(0, -first))
    cells = max(0, min(i2 - first, wide) - left)
    rest = wide - left - cells
    for j in range(high):
        line = at + j * wide * wall
        if plane < 0 or top + j < 0 or top + j >= i1 or cells == 0:
            clear(scratch, line, wall, 1, wide * wall)
            continue
        clear(scratch, line, wall, 1, left * wall)
        base = (plane * i1 + top + j) * i2 + first + left
        fetch_band(scratch, line + left * wall, wall, tensor, base, channel, channels, cells)
        clear(scratch, line + (left + cells) * wall, wall, 1, rest * wall)


@device
def taps_of(k):
    """How many rows and columns of taps the sums have: whole blocks of three times three."""
    if k[1] == 1:  # then what is a row of a block are three taps of the only one
        return 1, (k[2] + 8) // 9 * 9
    return (k[1] + 2) // 3 * 3, (k[2] + 2) // 3 * 3


@routine
def depthwise_taps(scratch, at, ys, xs, wall, k, s, d, rows, cols, wide):
    """All taps of a plane of the window, of some rows at a time."""
    high, far = taps_of(k)
    some, flat = max(RUN // cols, 1), k[1] == 1
    for row in range(0, rows, some):
        for t1 in range(0, high, 3):
            for t2 in range(0, far, 9 if flat else 3):
                x = xs + ((row * s[1] + t1 * d[1]) * wide + t2 * d[2]) * wall
                e1 = 3 * d[2] * wall if flat else d[1] * wide * wall
                down = (3 if flat else far) * wall
                for v in range(0, wall, LANES):
                    nine_taps(
                        scratch, at + (t1 * far + t2) * wall + v, down, wall,
                        x + v, s[1] * wide * wall, s[2] * wall, e1, d[2] * wall,
                        ys + row * cols * wall + v, cols * wall, min(some, rows - row), cols,
                    )  # fmt: skip


@routine
def add_positions(scratch, at, ys, wall, count):
    """Add a band of channels of some positions."""
    for v in range(0, wall, LANES):
        total = vall(real(0))
        for j in range(count):
            total = total + vload(scratch, ys + j * wall + v)
        vstore(scratch, at + v, vload(scratch, at + v) + total)


@routine
def depthwise_piece(
    scratch, at, ys, xs, x, y, channel, channels, biased, image, z0, planes, r0, r1, c0, c1,
    i, o1, o2, k, s, p, d,
):  # fmt: skip
    """Add what a piece of a plane of ``dy`` gives to the sums of a band of channels."""
    rows, cols, wall = r1 - r0, c1 - c0, (channels + LANES - 1) // LANES * LANES
    high, wide = (rows - 1) * s[1] + (k[1] - 1) * d[1] + 1, (cols - 1) * s[2] + 1
    wide += (k[2] - 1) * d[2]
    sums = taps_of(k)[0] * taps_of(k)[1] * wall
    for r in range(rows):
        base = ((image * planes + z0) * o1 + r0 + r) * o2 + c0
        fetch_band(scratch, ys + r * cols * wall, wall, y, base, channel, channels, cols)
    if biased:
        add_positions(scratch, at + k[0] * sums, ys, wall, rows * cols)
    for t0 in range(k[0]):
        z = z0 * s[0] + t0 * d[0] - p[0]
        plane = image * i[0] + z if 0 <= z < i[0] else -1
        fetch_padded(
            scratch, xs, wall, wide, x, plane, channel, channels, i[1], i[2], r0 * s[1] - p[1],
            c0 * s[2] - p[2], high,
        )  # fmt: skip
        depthwise_taps(scratch, at + t0 * sums, ys, xs, wall, k, s, d, rows, cols, wide)


@routine
def put_sums(parts, at, bias, biased, scratch, begun, channels, all, k):
    """Write the sums of a band: tap by tap, without those that a block has too many."""
    (high, far), wall = taps_of(k), (channels + LANES - 1) // LANES * LANES
    for v in range(0, channels, LANES):
        for tap in range(k[0] * k[1] * k[2]):
            t0, t1, t2 = tap // (k[1] * k[2]), tap // k[2] % k[1], tap % k[2]
            total = vload(scratch, begun + ((t0 * high + t1) * far + t2) * wall + v)
            put_vector(parts, at + tap * all + v, total, channels - v)
        if biased:
            total = vload(scratch, begun + k[0] * high * far * wall + v)
            put_vector(parts, bias + v, total, channels - v)


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
    i, k, s, p, d = (i0, i1, i2), (k0, k1, k2), (s0, s1, s2), (p0, p1, p2), (d0, d1, d2)
    tensor_x = (x, x_step, ref, ref_step, coef, ci, lo, hi)
    tensor_y = (y, y_step, y_ref, y_ref_step, y_coef, ci, y_lo, y_hi)
    row_parts, col_parts, biased = -(-o1 // rows), -(-o2 // cols), dbias.size > 0
    whole, taps = k0 * k1 * k2 * ci, k0 * taps_of(k)[0] * taps_of(k)[1]
    groups, every = (ci + BANDS * BAND - 1) // (BANDS * BAND), (taps + 1) * BAND
    for t in range(first, last):
        chunk, channel = t // groups, t % groups * BANDS * BAND
        wide = min(BANDS * BAND, ci - channel)
        ys = -(-wide // BAND) * every
        begin, end = part(chunk, chunks, n * o0 * row_parts * col_parts)
        clear(scratch, 0, ys, 1, ys)
        for piece in range(begin, end):
            q = piece // (row_parts * col_parts)
            r0, r1 = part(piece // col_parts % row_parts, row_parts, o1)
            c0, c1 = part(piece % col_parts, col_parts, o2)
            for c in range(0, wide, BAND):
                depthwise_piece(
                    scratch, c // BAND * every, ys, ys + rows * cols * BAND, tensor_x, tensor_y,
                    channel + c, min(BAND, wide - c), biased, q // o0, q % o0, o0, r0, r1, c0, c1,
                    i, o1, o2, k, s, p, d,
                )
        for c in range(0, wide, BAND):
            at, bias = chunk * whole + channel + c, chunks * whole + chunk * ci + channel + c
            put_sums(
                parts, at, bias, biased, scratch, c // BAND * every, min(BAND, wide - c), ci, k
            )


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
