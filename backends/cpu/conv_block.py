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
from netdsl.backends.cpu.tile import BOUNDED, READ, ROW, ROWS, ended_1, ended_2
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
"""Fewer pictures, and rows of no more positions, do not fill a tile."""
PARTS = 10
"""Channels are parted where there are fewer blocks than this."""
NARROW = 4
"""A part has at least so many vectors of channels."""
FEW = 600
"""Numbers of so few columns stay near while a tile goes over several panels,"""
PANELS = 1 << 17
"""which hold so many numbers."""
BRIEF = 210
"""Where there are no more positions, panels go over them, so that weights are read once."""
DIRECT, FLAT, MATRIX, ROWED, PICTURED = 0, 1, 2, 3, 4


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
    c, c0, ci, ends, cols, count, a, a0, ai, b, b0, columns, further, loops, turn, turns, across
):
    """``count`` rows of a product with some panels, in tiles of about equally many rows.

    With ``across`` rows go over all panels, and meanwhile the next rows are brought nearer. Else
    panels go over all rows, and the next panel is brought nearer: this is turn ``turn`` of
    ``turns`` that these panels have.
    """
    (start, lo, hi, d, d0), (n1, a1, b1, n2, a2, b2, n) = ends, loops
    most = ROWS[columns // LANES - 1]
    tiles = (count + most - 1) // most
    panels = (cols + columns - 1) // columns
    share = (columns + tiles * turns - 1) // (tiles * turns)
    for i in range(tiles * panels):
        t, p = (i // panels, i % panels) if across else (i % tiles, i // tiles)
        r, j, at = count * t // tiles, p * columns, b0 + p * further
        rows, many = count * (t + 1) // tiles - r, min(cols - j, columns)
        done = (turn * tiles + t) * share
        f, f0, fk, cf = b, at, 0, 0
        if across:
            cf = columns if p + 1 < panels else 0
            if b2 == 0:  # a row is in one piece, and the next one behind it
                fk = (most * ai + panels * n - 1) // (panels * n)
                f, f0 = a, a0 + (r + rows) * ai + p * fk * n
        elif done < columns and (p + 1 < panels or turns > 1):
            f0, fk = at + further + done * n1 * n2 * n, share
        if many > LANES:
            ended_2(
                c, c0 + r * ci + j, ci, start, d, d0 + j, many, rows, a, a0 + r * ai, ai, 1,
                b, at, columns, n1, a1, b1, n2, a2, b2, n, lo, hi, f, f0, fk, cf,
            )  # fmt: skip
        else:
            ended_1(
                c, c0 + r * ci + j, ci, start, d, d0 + j, many, rows, a, a0 + r * ai, ai, 1,
                b, at, columns, n1, a1, b1, n2, a2, b2, n, lo, hi, f, f0, fk, cf,
            )  # fmt: skip


@device
def start_of(at, final, adds, biased):
    """What tiles begin with at column ``at``, and whether they bound what they make."""
    start = READ if at > 0 or adds else 0
    if at == 0 and biased:
        start += ROW
    return start + BOUNDED if final else start


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
def mode_of(first, last, sizes, made, taps, strides, pads, lazy):
    """In which of the four ways some rows of a convolution are made, or over ``x`` itself."""
    level = sizes[0] == 1 and taps[0] == 1 and made[0] == 1
    whole = level and first % made[1] == 0 and last % made[1] == 0
    mode = MATRIX
    if taps[0] * taps[1] * taps[2] == 1:
        if sizes == made and pads == (0, 0, 0) and strides == (1, 1, 1):
            mode = FLAT if lazy else DIRECT
    elif whole and made[1] * made[2] <= SMALL and last - first >= SHORT * made[1]:
        mode = PICTURED
    elif made[2] > SHORT:
        mode = ROWED
    return mode


@routine
def multiply_rows(
    out, step, o, ends, cols, a, along, b, b0, columns, further, across, tap1, rows, n,
    channels, first, last, sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Rows of positions with some panels: ``rows`` of the rows of taps, from ``tap1`` on."""
    line, items = taps[2] * channels, last - first
    width = ((made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1) * channels
    n2, n = (1, min(line, n)) if apart[2] == 1 else (taps[2], channels)
    above, h = tap1 * apart[1], first % made[1]
    place = place_of(first, made, lies, every, begin)
    for item in range(items):
        low, high = 0, taps[1]
        top = h * strides[1] - pads[1]
        if top < 0 or top + (taps[1] - 1) * apart[1] >= sizes[1]:
            low, high = taps_inside(h, sizes[1], taps[1], strides[1], pads[1], apart[1])
        low = min(max(low, tap1), tap1 + rows)
        n1 = max(min(high, tap1 + rows) - low, 0)
        loops = (
            n1, apart[1] * width, line * columns, n2, apart[2] * channels, n * columns, n,
        )  # fmt: skip
        multiply(
            out, place * step + o, every[2] * step, ends, cols, made[2],
            a, (above + (low - tap1) * apart[1]) * width + along, strides[2] * channels,
            b, b0 + (low - tap1) * line * columns, columns, further, loops, item, items, across,
        )  # fmt: skip
        h, above, place = h + 1, above + strides[1], place + every[1] * lies[2]
        if h == made[1]:
            h, above = 0, above + (taps[1] - 1) * apart[1] + 1 - strides[1]
            place = place_of(first + item + 1, made, lies, every, begin)


@routine
def multiply_pictures(
    out, step, o, ends, cols, a, gap, b, b0, columns, further, channels, across,
    first, last, sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Each position of small pictures with some panels, of all its taps that are inside."""
    items = made[1] * made[2]
    for item in range(items):
        h, v = item // made[2], item % made[2]
        low, high = taps_inside(h, sizes[1], taps[1], strides[1], pads[1], apart[1])
        left, right = taps_inside(v, sizes[2], taps[2], strides[2], pads[2], apart[2])
        a0 = (h * strides[1] - pads[1] + low * apart[1]) * sizes[2]
        a0 = (a0 + v * strides[2] - pads[2] + left * apart[2]) * channels
        many = right - left
        n2, n = (1, many * channels) if apart[2] == 1 else (many, channels)
        loops = (
            high - low, apart[1] * sizes[2] * channels, taps[2] * channels * columns,
            n2, apart[2] * channels, n * columns, n,
        )  # fmt: skip
        place = place_of(first + h, made, lies, every, begin) + v * every[2]
        multiply(
            out, place * step + o, lies[0] * lies[1] * lies[2] * step, ends, cols,
            (last - first) // made[1], a, max(a0, 0), gap,
            b, b0 + (low * taps[2] + left) * channels * columns, columns, further,
            loops, item, items, across,
        )  # fmt: skip


@device
def multiply_matrix(
    out, step, o, ends, cols, scratch, far, outer, x, x_step, k, b, b0, columns, further, across,
    direct, away, gap, n, first, count,
):  # fmt: skip
    """``count`` positions with some panels; what is to go ``away`` stays in scratch until then."""
    # No constants: for these, functions would be compiled once more.
    none, one = min(n, 0), min(n, 1)
    loops = (one, none, none, one, none, none, n)
    multiply(
        scratch if away else out, far if away else first * step + o, outer if away else step,
        ends, cols, count, x if direct else scratch, first * x_step + k if direct else none,
        x_step if direct else gap, b, b0, columns, further, loops, none, one, across,
    )  # fmt: skip


@routine
def multiply_panels(
    mode, out, step, o, ends, cols, scratch, far, outer, x, x_step, k, along, gap, weight, b0,
    columns, further, across, done, tap1, rows, n, channels, away,
    first, last, sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Some panels of ``n`` columns, over what `gather` has brought."""
    if mode == ROWED:
        multiply_rows(
            out, step, o, ends, cols, scratch, along, weight, b0, columns, further,
            across or done, tap1, rows, n, channels, first, last,
            sizes, made, taps, strides, pads, apart, lies, every, begin,
        )  # fmt: skip
    elif mode == PICTURED:
        multiply_pictures(
            out, step, o, ends, cols, scratch, gap, weight, b0, columns, further,
            channels, across, first, last,
            sizes, made, taps, strides, pads, apart, lies, every, begin,
        )  # fmt: skip
    else:
        multiply_matrix(
            out, step, o, ends, cols, scratch, far, outer, x, x_step, k, weight, b0, columns,
            further, across, mode == DIRECT, away, gap, n, first * made[2],
            (last - first) * made[2],
        )  # fmt: skip


@device
def panels_of(mode, deep, count, outer, columns):
    """Whether rows go over several panels, and how many channels are taken at a time."""
    if deep <= FEW and (mode >= ROWED or count > BRIEF):
        return True, max(PANELS // (columns * deep), 1) * columns
    return False, outer if mode < ROWED else columns


@device
def longest(width, columns):
    """How many columns of rows are taken at a time, where rows have ``width`` positions."""
    tiles = (width - 1) // ROWS[columns // LANES - 1] + 1
    return LONG if width >= TALL * tiles else NEAR


@device
def end_of(mode, at, deep, line, along, rows, near, most):
    """Where the columns end that are taken together with column ``at``."""
    if mode == ROWED:
        if near and line > most:
            return at + min((line - 1) // ((line - 1) // most + 1) + 1, line - along)
        return at + rows * line
    return min(at + DEEP, deep) if mode < PICTURED and mode != DIRECT else deep


@device
def tap_after(tap0, tap1, along, line, high):
    """The row of taps, and the place in it, ``along`` columns behind the begin of another."""
    tap1, along = tap1 + along // line, along % line
    return (tap0 + 1, tap1 - high, along) if tap1 == high else (tap0, tap1, along)


@routine
def convolve(
    scratch, far, out, step, o, x, x_step, ref, ref_step, coef, k, all, lo, hi,
    weight, w, columns, bias, add, bounded, bounds, channels, outer, first, last,
    sizes, made, taps, strides, pads, apart, lies, every, begin,
):  # fmt: skip
    """Rows ``first`` to ``last`` of a convolution of one group, kept between ``bounds``."""
    line = taps[2] * channels
    deep, count = taps[0] * taps[1] * line, (last - first) * made[2]
    mode = mode_of(
        first, last, sizes, made, taps, strides, pads, coef.size > 0 or ref.size > 0
    )  # fmt: skip
    away, further = mode < ROWED and every != (1, 1, 1), columns * deep
    across, some = panels_of(mode, deep, count, outer, columns)
    most = longest(made[2], columns)
    tap0 = tap1 = along = at = min(deep, 0)  # no constants either
    while at < deep:
        rows = min(max(1, most // line), taps[1] - tap1)
        stop = end_of(mode, at, deep, line, along, rows, apart[2] == 1, most)
        gap = (sizes[1] * sizes[2] * channels if mode == PICTURED else stop - at) + LANES
        if mode != DIRECT and (mode != ROWED or tap1 + along == 0):
            gather(
                mode, scratch, first, last, at, stop, tap0, gap, channels, sizes, made, taps,
                strides, pads, apart, x, x_step, ref, ref_step, coef, k, all, lo, hi,
            )  # fmt: skip
        start = start_of(at, bounded and stop == deep, add == 1 and not away, bias.size > 0)
        for j in range(0, outer, some):
            cols = min(some, outer - j)
            multiply_panels(
                mode, out, step, o + j, (start, bounds[0], bounds[1], bias, o + j), cols, scratch,
                far + j, outer, x, x_step, k, along, gap, weight, w + j * deep + at * columns,
                columns, further, across, j + cols == outer, tap1, rows, stop - at, channels, away,
                first, last, sizes, made, taps, strides, pads, apart, lies, every, begin,
            )  # fmt: skip
        if mode == ROWED:
            tap0, tap1, along = tap_after(tap0, tap1, along + stop - at, line, taps[1])
        at = stop
    if away:
        scatter(
            out, step, o, add, scratch, far, outer, outer, first, last, made, lies, every, begin
        )
