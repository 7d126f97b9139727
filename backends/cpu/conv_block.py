"""A block of a convolution: some rows of output positions, some panels of output channels.

What the windows see comes into the thread's own memory, some taps or channels at a time, and the tiles
go over it: along the rows where rows are long; over a matrix that holds what each position sees where
they are short or where a window is one position; and over ``x`` itself where it is such a matrix.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_gather import gather_columns, gather_rows
from netdsl.backends.cpu.conv_pack import panel_count, panel_wide
from netdsl.backends.cpu.lazy import fetch, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vmax, vmin
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2, packed_3
from netdsl.kernel import device, real, routine

POSITIONS = 256
"""About so many positions of the output are a block: enough that weights are read often."""
DEEP = 768
"""So many columns of a matrix are made at a time."""
SHORT = 7
"""Rows of fewer positions do not fill a tile."""
PARTS = 16
"""Channels are parted where there are fewer blocks than this."""
NARROW = 4
"""A part has at least so many vectors of channels."""
LONG = 2304
"""So many columns of rows are taken at a time, at least one row of taps."""


@device
def blocks_of(rows, width):
    """Into how many blocks the positions of an output fall apart."""
    return max(min(rows, (rows * width + POSITIONS - 1) // POSITIONS), 1)


@device
def parts_of(blocks, channels):
    """Into how many parts the output channels of a group fall apart."""
    return max(min(PARTS // blocks, channels // (NARROW * LANES)), 1)


@routine
def multiply(
    c, c0, ci, start, d, d0, cols, count, a, a0, ai, b, b0, bk, n1, a1, b1, n2, a2, b2, n
):  # fmt: skip
    """``count`` rows of a product, in tiles of about equally many."""
    wide = (cols + LANES - 1) // LANES
    tiles = (count + ROWS[wide - 1] - 1) // ROWS[wide - 1]
    for t in range(tiles):
        r = count * t // tiles
        rows = count * (t + 1) // tiles - r
        if wide == 1:
            packed_1(
                c, c0 + r * ci, ci, start, d, d0, cols, rows, a, a0 + r * ai, ai, 1, b, b0, bk,
                n1, a1, b1, n2, a2, b2, n,
            )  # fmt: skip
        elif wide == 2:
            packed_2(
                c, c0 + r * ci, ci, start, d, d0, cols, rows, a, a0 + r * ai, ai, 1, b, b0, bk,
                n1, a1, b1, n2, a2, b2, n,
            )  # fmt: skip
        else:
            packed_3(
                c, c0 + r * ci, ci, start, d, d0, cols, rows, a, a0 + r * ai, ai, 1, b, b0, bk,
                n1, a1, b1, n2, a2, b2, n,
            )  # fmt: skip


@device
def place_of(row, made, lies, every, begin):
    """The position in the whole tensor where a row of an output begins."""
    plane = row // made[1]
    depth = plane % made[0] * every[0] + begin[0]
    high = row % made[1] * every[1] + begin[1]
    return ((plane // made[0] * lies[0] + depth) * lies[1] + high) * lies[2] + begin[2]


@routine
def rows_times_panel(
    out, step, o, start, bias, cols, scratch, weight, w, columns, channels,
    first, last, tap1, until, made, taps, strides, apart, lies, every, begin,
):  # fmt: skip
    """A panel of channels for some rows, of which `gather_rows` has brought what they see."""
    width = (made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1
    near = apart[2] == 1
    line, row = tap1 * apart[1], first
    while row < last:
        count = min(made[1] - row % made[1], last - row)
        for h in range(count):
            multiply(
                out, place_of(row + h, made, lies, every, begin) * step + o, every[2] * step,
                start, bias, o, cols, made[2],
                scratch, (line + h * strides[1]) * width * channels, strides[2] * channels,
                weight, w, columns,
                until - tap1, apart[1] * width * channels, taps[2] * channels * columns,
                1 if near else taps[2], apart[2] * channels, channels * columns,
                taps[2] * channels if near else channels,
            )  # fmt: skip
        line += (count - 1) * strides[1] + (taps[1] - 1) * apart[1] + 1
        row += count


@routine
def scatter(out, step, o, add, scratch, s, width, channels, first, last, made, lies, every, begin):
    """Bring a matrix of positions to where they lie."""
    one = vall(real(add))
    for row in range(first, last):
        place = place_of(row, made, lies, every, begin)
        for p in range(made[2]):
            i = (place + p * every[2]) * step + o
            for c in range(0, channels, LANES):
                v = take_vector(scratch, s + c, channels - c)
                if add:
                    v = v + take_vector(out, i + c, channels - c)
                put_vector(out, i + c, v, channels - c)
            s += width


@routine
def convolve(
    scratch, far, out, step, o, x, x_step, ref, ref_step, coef, k, all, lo, hi,
    weight, w, bias, add, channels, outer, part, until, first, last,
    sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Rows ``first`` to ``last`` and panels ``part`` to ``until`` of a convolution of one group."""
    columns = panel_wide(outer) * LANES
    deep = taps[0] * taps[1] * taps[2] * channels
    single = taps[0] * taps[1] * taps[2] == 1
    whole = single and sizes == made and pads == (0, 0, 0) and strides == (1, 1, 1)
    direct = whole and coef.size == 0 and ref.size == 0
    matrix = single or made[2] < SHORT
    away = matrix and every != (1, 1, 1)
    rows = max(1, min(taps[1], LONG // (taps[2] * channels)))
    tap0 = tap1 = at = many = 0
    while at < deep:
        if direct:
            stop = deep
        elif matrix:
            stop = min(at + DEEP, deep)
            if whole:
                fetch(
                    scratch, 0, stop - at, (last - first) * made[2], stop - at,
                    x, first * made[2] * x_step + k + at, x_step,
                    ref, first * made[2] * ref_step + k + at, ref_step, coef, k + at, all, lo, hi,
                )  # fmt: skip
            else:
                gather_columns(
                    scratch, first, last, at, stop, channels,
                    sizes, made, taps, strides, pads, apart,
                    x, x_step, ref, ref_step, coef, k, all, lo, hi,
                )  # fmt: skip
        else:
            many = min(rows, taps[1] - tap1)
            stop = at + many * taps[2] * channels
            if tap1 == 0:
                gather_rows(
                    scratch, first, last, tap0, channels,
                    sizes, made, taps, strides, pads, apart,
                    x, x_step, ref, ref_step, coef, k, all, lo, hi,
                )  # fmt: skip
        for panel in range(part, until):
            cols = min(columns, outer - panel * columns)
            begins = w + (panel * deep + at) * columns
            place = o + panel * columns
            start = 1 if at > 0 or (add and not away) else 2 if bias.size > 0 else 0
            if matrix:
                multiply(
                    scratch if away else out,
                    far + (panel - part) * columns if away else first * made[2] * step + place,
                    (until - part) * columns if away else step, start, bias, place, cols,
                    (last - first) * made[2],
                    x if direct else scratch, first * made[2] * x_step + k if direct else 0,
                    x_step if direct else stop - at,
                    weight, begins, columns, 1, 0, 0, 1, 0, 0, stop - at,
                )  # fmt: skip
            else:
                rows_times_panel(
                    out, step, place, start, bias, cols, scratch, weight, begins, columns,
                    channels, first, last, tap1, tap1 + many, made, taps, strides, apart,
                    lies, every, begin,
                )  # fmt: skip
        if not matrix:
            tap1 += many
            if tap1 == taps[1]:
                tap0, tap1 = tap0 + 1, 0
        at = stop
    if away:
        scatter(
            out, step, o + part * columns, add, scratch, far, (until - part) * columns,
            min((until - part) * columns, outer - part * columns),
            first, last, made, lies, every, begin,
        )  # fmt: skip


@device
def sum_of(x, i, step, count, channels):
    """The sum over positions, a vector of channels."""
    a = b = c = d = vall(real(0))
    for p in range(0, count - 3, 4):
        a = a + take_vector(x, i + p * step, channels)
        b = b + take_vector(x, i + (p + 1) * step, channels)
        c = c + take_vector(x, i + (p + 2) * step, channels)
        d = d + take_vector(x, i + (p + 3) * step, channels)
    for p in range(count - count % 4, count):
        a = a + take_vector(x, i + p * step, channels)
    return (a + b) + (c + d)


@device
def spread_of(x, i, step, count, channels, mean):
    """The sum of squared deviations over positions, a vector of channels."""
    a = b = c = d = vall(real(0))
    for p in range(0, count - 3, 4):
        e = take_vector(x, i + p * step, channels) - mean
        f = take_vector(x, i + (p + 1) * step, channels) - mean
        g = take_vector(x, i + (p + 2) * step, channels) - mean
        h = take_vector(x, i + (p + 3) * step, channels) - mean
        a, b, c, d = vfma(e, e, a), vfma(f, f, b), vfma(g, g, c), vfma(h, h, d)
    for p in range(count - count % 4, count):
        e = take_vector(x, i + p * step, channels) - mean
        a = vfma(e, e, a)
    return (a + b) + (c + d)


@routine
def finish(out, i, step, count, channels, bias, k, biased, bounded, lo, hi, sums, s, all):
    """Bias and bounds for ``channels`` channels of ``count`` positions, and what statistics want."""
    low, high = vall(real(lo)), vall(real(hi))
    for c in range(0, channels, LANES):
        left = channels - c
        if biased or bounded:
            more = take_vector(bias, k + c, left) if biased else vall(real(0))
            for p in range(count):
                v = take_vector(out, i + p * step + c, left) + more
                put_vector(out, i + p * step + c, vmin(high, vmax(low, v)), left)
        if sums.size > 0:
            total = sum_of(out, i + c, step, count, left)
            put_vector(sums, s + k + c, total, left)
            mean = total * vall(real(1 / count))
            spread = spread_of(out, i + c, step, count, left, mean)
            put_vector(sums, s + all + k + c, spread, left)
