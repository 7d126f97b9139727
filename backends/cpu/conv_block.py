"""A block of a convolution: some rows of output positions, some panels of output channels.

What the windows see comes into the thread's own memory, and the tiles go over it in one of four
ways. ``ROWED``: along the rows of positions, where these are long. ``PICTURED``: at each position
of small pictures, along the pictures, so that taps outside of them cost nothing. ``MATRIX``: over a
matrix of what each position sees, where there are few positions or one tap. ``FLAT``: the same
where ``x`` is such a matrix already; if it is not lazy, over ``x`` itself.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_gather import (
    gather_columns,
    gather_flat,
    gather_pictures,
    gather_rows,
)
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2
from netdsl.kernel import device, routine

POSITIONS = 256
"""About so many positions of the output are a block: enough that weights are read often."""
SMALL = 64
"""Of pictures of so few positions a block has only whole ones,"""
PICTURES = 14
"""at least so many, a number for each row of a tile,"""
STORE = 5 << 16
"""while this many numbers hold what they read."""
DEEP = 768
"""So many columns of a matrix are made at a time."""
LONG = 2304
"""So many columns of rows are taken at a time, at least one row of taps;"""
NEAR = 320
"""where tiles are of fewer rows, so many: their part of a panel then stays in the nearest cache."""
TALL = 12
"""Tiles of fewer rows read panels so often that it matters from where."""
SHORT = 7
"""Fewer positions do not fill a tile."""
PARTS = 10
"""Channels are parted where there are fewer blocks than this."""
NARROW = 4
"""A part has at least so many vectors of channels."""
FEW = 600
"""Numbers of so few columns stay near while a tile goes over several panels,"""
PANELS = 1 << 17
"""which hold so many numbers."""
FLAT, MATRIX, ROWED, PICTURED = 0, 1, 2, 3


@device
def blocks_of(planes, high, width, load):
    """Into how many blocks the positions of an output fall apart.

    ``load`` numbers hold the picture that is read.
    """
    if high * width <= SMALL:
        few = min(max(-(-POSITIONS // (high * width)), PICTURES), max(STORE // load, 1))
        return max(-(-planes // few), 1)
    return max(-(-planes * high // max(POSITIONS // width, 1)), 1)


@device
def parts_of(blocks, channels):
    """Into how many parts the output channels of a group fall apart."""
    return max(min(PARTS // blocks, channels // (NARROW * LANES)), 1)


@device
def place_of(row, made, lies, every, begin):
    """The position in the whole tensor where a row of an output begins."""
    plane = row // made[1]
    depth = plane % made[0] * every[0] + begin[0]
    high = row % made[1] * every[1] + begin[1]
    return ((plane // made[0] * lies[0] + depth) * lies[1] + high) * lies[2] + begin[2]


@device
def taps_inside(position, size, taps, stride, pad, apart):
    """The first tap that falls into an axis, and the one behind the last."""
    place = pad - position * stride
    a = min(max((place + apart - 1) // apart, 0), taps)
    return a, max(min((size - 1 + place) // apart + 1, taps), a)


@routine
def multiply(
    c, c0, ci, start, d, d0, cols, count, a, a0, ai, b, b0, columns, further,
    n1, a1, b1, n2, a2, n,
):  # fmt: skip
    """``count`` rows of a product with some panels, in tiles of about equally many rows."""
    most = ROWS[columns // LANES - 1]
    tiles = (count + most - 1) // most
    for t in range(tiles):
        r = count * t // tiles
        rows = count * (t + 1) // tiles - r
        for j in range(0, cols, columns):
            many = min(cols - j, columns)
            at = b0 + j // columns * further
            if many > LANES:
                packed_2(
                    c, c0 + r * ci + j, ci, start, d, d0 + j, many, rows, a, a0 + r * ai, ai, 1,
                    b, at, columns, n1, a1, b1, n2, a2, n * columns, n,
                )  # fmt: skip
            else:
                packed_1(
                    c, c0 + r * ci + j, ci, start, d, d0 + j, many, rows, a, a0 + r * ai, ai, 1,
                    b, at, columns, n1, a1, b1, n2, a2, n * columns, n,
                )  # fmt: skip


@routine
def scatter(out, step, o, add, scratch, s, width, channels, first, last, made, lies, every, begin):
    """Bring a matrix of positions to where they lie."""
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
def gather(
    mode, scratch, first, last, at, stop, tap0, gap, channels, sizes, made, taps, strides, pads,
    apart, x, x_step, ref, ref_step, coef, k, all, lo, hi,
):  # fmt: skip
    """What the windows of some rows see: as it is, as a matrix, as rows with zeros around."""
    if mode == MATRIX:
        gather_columns(
            scratch, first, last, at, stop, gap, channels, sizes, made, taps, strides, pads, apart,
            x, x_step, ref, ref_step, coef, k, all, lo, hi,
        )  # fmt: skip
    elif mode == ROWED:
        gather_rows(
            scratch, first, last, tap0, channels, sizes, made, taps, strides, pads, apart,
            x, x_step, ref, ref_step, coef, k, all, lo, hi,
        )  # fmt: skip
    elif mode == PICTURED:
        gather_pictures(
            scratch, first // made[1], last // made[1], sizes[1] * sizes[2], gap, channels,
            x, x_step, ref, ref_step, coef, k, all, lo, hi,
        )  # fmt: skip
    else:
        gather_flat(
            scratch, first * made[2], last * made[2], gap, stop - at,
            x, x_step, ref, ref_step, coef, k + at, all, lo, hi,
        )  # fmt: skip


@device
def mode_of(first, last, sizes, made, taps, strides, pads):
    """In which of the four ways some rows of a convolution are made."""
    level = sizes[0] == 1 and taps[0] == 1 and made[0] == 1
    whole = level and first % made[1] == 0 and last % made[1] == 0
    mode = MATRIX
    if taps[0] * taps[1] * taps[2] == 1:
        if sizes == made and pads == (0, 0, 0) and strides == (1, 1, 1):
            mode = FLAT
    elif whole and made[1] * made[2] <= SMALL and last - first >= SHORT * made[1]:
        mode = PICTURED
    elif made[2] >= SHORT:
        mode = ROWED
    return mode


@device
def pictured(item, sizes, made, taps, strides, pads, apart, channels):
    """What a position of small pictures sees: its first tap, where that reads, and how much."""
    h, v = item // made[2], item % made[2]
    low, high = taps_inside(h, sizes[1], taps[1], strides[1], pads[1], apart[1])
    left, right = taps_inside(v, sizes[2], taps[2], strides[2], pads[2], apart[2])
    a0 = (h * strides[1] - pads[1] + low * apart[1]) * sizes[2]
    a0 = (a0 + v * strides[2] - pads[2] + left * apart[2]) * channels
    many = right - left
    n2, n = (1, many * channels) if apart[2] == 1 else (many, channels)
    return low * taps[2] + left, max(a0, 0), high - low, n2, n


@routine
def convolve(
    scratch, far, out, step, o, x, x_step, ref, ref_step, coef, k, all, lo, hi,
    weight, w, columns, bias, add, channels, outer, first, last,
    sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Rows ``first`` to ``last`` of a convolution of one group."""
    line = taps[2] * channels
    deep = taps[0] * taps[1] * line
    mode = mode_of(first, last, sizes, made, taps, strides, pads)
    direct = mode == FLAT and coef.size == 0 and ref.size == 0
    pictures = (last - first) // made[1]
    away = mode < ROWED and every != (1, 1, 1)
    near = apart[2] == 1
    width = (made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1
    a, c = x if direct else scratch, scratch if away else out
    few = PANELS // (deep * columns) * columns if deep <= FEW else 0
    some = max(few, columns)
    # No constants: for these, functions would be compiled once more.
    tap0 = tap1 = along = at = min(deep, 0)
    fits = ROWS[columns // LANES - 1]
    most = LONG if made[2] >= TALL * ((made[2] - 1) // fits + 1) else NEAR
    while at < deep:
        rows, gap = taps[1], 0
        if mode == ROWED:
            rows = min(max(1, most // line), taps[1] - tap1)
            stop = at + rows * line
            if near and line > most:
                stop = at + min((line - 1) // ((line - 1) // most + 1) + 1, line - along)
        elif mode == PICTURED or direct:
            stop = deep
            gap = sizes[1] * sizes[2] * channels + LANES
        else:
            stop = min(at + DEEP, deep)
            gap = stop - at + LANES
        if not direct and (mode != ROWED or tap1 + along == 0):
            gather(
                mode, scratch, first, last, at, stop, tap0, gap, channels,
                sizes, made, taps, strides, pads, apart,
                x, x_step, ref, ref_step, coef, k, all, lo, hi,
            )  # fmt: skip
        start = 1 if at > 0 or (add and not away) else 2 if bias.size > 0 else 0
        for j in range(0, outer, some):
            cols = min(some, outer - j)
            b0 = w + j * deep + at * columns
            items, above, row, place = 1, tap1 * apart[1], first, first * made[2]
            if mode == ROWED:
                items = last - first
            elif mode == PICTURED:
                items = made[1] * made[2]
            h = min(first, 0)
            for item in range(items):
                count, n1, n2, n, b = made[2], 1, 1, stop - at, b0
                ai = x_step if direct else gap
                a0 = first * made[2] * x_step + k if direct else 0
                a1 = a2 = 0
                if mode == ROWED:
                    h = row % made[1] if item == 0 else h
                    low, high = 0, taps[1]
                    top = h * strides[1] - pads[1]
                    if top < 0 or top + (taps[1] - 1) * apart[1] >= sizes[1]:
                        low, high = taps_inside(h, sizes[1], taps[1], strides[1], pads[1], apart[1])
                    low = min(max(low, tap1), tap1 + rows)
                    n1 = max(min(high, tap1 + rows) - low, 0)
                    a0 = (above + (low - tap1) * apart[1]) * width * channels + along
                    b = b0 + (low - tap1) * line * columns
                    a1, a2 = apart[1] * width * channels, apart[2] * channels
                    ai = strides[2] * channels
                    n2, n = (1, min(line, n)) if near else (taps[2], channels)
                    place += every[1] * lies[2]
                    if item == 0 or h == 0:
                        place = place_of(row, made, lies, every, begin)
                    row, h, above = row + 1, h + 1, above + strides[1]
                    if h == made[1]:
                        h, above = 0, above + (taps[1] - 1) * apart[1] + 1 - strides[1]
                elif mode == PICTURED:
                    tap, a0, n1, n2, n = pictured(
                        item, sizes, made, taps, strides, pads, apart, channels
                    )
                    count, b = pictures, b0 + tap * channels * columns
                    a1, a2 = apart[1] * sizes[2] * channels, apart[2] * channels
                    place = place_of(first + item // made[2], made, lies, every, begin)
                    place += item % made[2] * every[2]
                else:
                    count = (last - first) * made[2]
                if mode == PICTURED:
                    ci = lies[0] * lies[1] * lies[2] * step
                elif away:
                    ci = outer
                else:
                    ci = every[2] * step
                multiply(
                    c, far + j if away else place * step + o + j, ci, start, bias, o + j, cols,
                    count, a, a0, ai, weight, b, columns, columns * deep,
                    n1, a1, line * columns, n2, a2, n,
                )  # fmt: skip
        if mode == ROWED:
            along += stop - at
            tap1, along = tap1 + along // line, along % line
            if tap1 == taps[1]:
                tap0, tap1 = tap0 + 1, 0
        at = stop
    if away:
        scatter(
            out, step, o, add, scratch, far, outer, outer, first, last, made, lies, every, begin
        )
