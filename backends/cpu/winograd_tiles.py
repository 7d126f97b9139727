"""Tiles of pictures and their Winograd forms: what the three kernels have in common.

A picture falls apart into tiles of m x m outputs, which read (m+2) x (m+2) inputs. The forms of a
run of tiles lie as ``[number of the product][tile][channel]``, whole vectors of channels.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import clear_vectors
from netdsl.backends.cpu.simd import vload, vload_part, vstore
from netdsl.backends.cpu.winograd_forms import error2, error4, input2, input4
from netdsl.kernel import device, routine

ONE = 1
"""A vector is ``ONE * LANES`` long, for Numba a number like others: it compiles once for both."""
RUN = 16
"""The most tiles of a row that are transformed at a time."""
BAND = 16384
"""So many numbers wait in the level-1 cache for their transformation."""


@device
def line_of(array):
    """The first index of an array at the beginning of a line of the cache."""
    return (-array.ctypes.data & 63) // array.itemsize


@device
def whole(channels):
    """Channels in whole vectors."""
    return (channels + LANES - 1) // LANES * LANES


@device
def spaced(channels):
    """How far tiles of some channels are apart: an odd number of vectors, for the cache's sake."""
    return ((channels + LANES - 1) // LANES | 1) * LANES


@routine
def bring(band, b, width, chunk, rows, h, w, i1, i2, base, channels,
          x, x_step, c, ref, ref_step, coef, all, lo, hi):  # fmt: skip
    """Fetch ``rows`` x ``width`` positions of a picture from (h, w) on, zeros around it."""
    left, right = max(0, -w), min(width, i2 - w)
    plain = coef.size == 0 and ref.size == 0
    for r in range(rows):
        line = b + r * width * chunk
        if h + r < 0 or h + r >= i1 or right <= left:
            clear_vectors(band, line, width * chunk)
            continue
        p = base + (h + r) * i2 + w + left
        clear_vectors(band, line, left * chunk)
        if plain:
            copy(
                band, line + left * chunk, chunk, right - left, channels, x, p * x_step + c, x_step
            )
        else:
            fetch(band, line + left * chunk, chunk, right - left, channels, x, p * x_step + c,
                  x_step, ref, p * ref_step + c, ref_step, coef, c, all, lo, hi)  # fmt: skip
        clear_vectors(band, line + right * chunk, (width - right) * chunk)


@device
def copy(out, o, step, count, channels, x, i, x_step):
    """Copy channels of ``count`` positions, in whole vectors where it can."""
    whole_ones = channels // LANES * LANES
    for _ in range(count):
        for c in range(0, whole_ones, LANES):
            vstore(out, o + c, vload(x, i + c))
        if whole_ones < channels:
            left = channels - whole_ones
            vstore(out, o + whole_ones, vload_part(x, i + whole_ones, left))
        o += step
        i += x_step


@device
def take3(x, i, step):
    """Three vectors, ``step`` apart."""
    return vload(x, i), vload(x, i + step), vload(x, i + 2 * step)


@device
def take4(x, i, step):
    """Four vectors, ``step`` apart."""
    return vload(x, i), vload(x, i + step), vload(x, i + 2 * step), vload(x, i + 3 * step)


@device
def take6(x, i, step):
    """Six vectors, ``step`` apart."""
    return (
        vload(x, i),
        vload(x, i + step),
        vload(x, i + 2 * step),
        vload(x, i + 3 * step),
        vload(x, i + 4 * step),
        vload(x, i + 5 * step),
    )


@device
def put2(out, o, step, values):
    """Two vectors, ``step`` apart."""
    vstore(out, o, values[0])
    vstore(out, o + step, values[1])


@device
def put3(out, o, step, values):
    """Three vectors, ``step`` apart."""
    vstore(out, o, values[0])
    vstore(out, o + step, values[1])
    vstore(out, o + 2 * step, values[2])


@device
def put4(out, o, step, values):
    """Four vectors, ``step`` apart."""
    vstore(out, o, values[0])
    vstore(out, o + step, values[1])
    vstore(out, o + 2 * step, values[2])
    vstore(out, o + 3 * step, values[3])


@device
def put6(out, o, step, values):
    """Six vectors, ``step`` apart."""
    vstore(out, o, values[0])
    vstore(out, o + step, values[1])
    vstore(out, o + 2 * step, values[2])
    vstore(out, o + 3 * step, values[3])
    vstore(out, o + 4 * step, values[4])
    vstore(out, o + 5 * step, values[5])


@device
def spread_input4(out, o, apart, x, i, line, step, own, w):
    """``BT d B`` of a tile, m = 4; ``own`` holds the rows from ``w`` on meanwhile."""
    for r in range(6):
        a, b, c, d, e, f = take6(x, i + r * line, step)
        put6(own, w + r * 6 * LANES, ONE * LANES, input4(a, b, c, d, e, f))
    for k in range(6):
        a, b, c, d, e, f = take6(own, w + k * LANES, 6 * LANES)
        put6(out, o + k * apart, 6 * apart, input4(a, b, c, d, e, f))


@device
def spread_input2(out, o, apart, x, i, line, step):
    """``BT d B`` of a tile, m = 2: registers hold it."""
    a, b, c, d = take4(x, i, step)
    p = input2(a, b, c, d)
    a, b, c, d = take4(x, i + line, step)
    q = input2(a, b, c, d)
    a, b, c, d = take4(x, i + 2 * line, step)
    r = input2(a, b, c, d)
    a, b, c, d = take4(x, i + 3 * line, step)
    s = input2(a, b, c, d)
    put4(out, o, 4 * apart, input2(p[0], q[0], r[0], s[0]))
    put4(out, o + apart, 4 * apart, input2(p[1], q[1], r[1], s[1]))
    put4(out, o + 2 * apart, 4 * apart, input2(p[2], q[2], r[2], s[2]))
    put4(out, o + 3 * apart, 4 * apart, input2(p[3], q[3], r[3], s[3]))


@device
def spread_error4(out, o, apart, x, i, line, step, own, w):
    """``A dy AT`` of a tile, m = 4."""
    for r in range(4):
        a, b, c, d = take4(x, i + r * line, step)
        put6(own, w + r * 6 * LANES, ONE * LANES, error4(a, b, c, d))
    for k in range(6):
        a, b, c, d = take4(own, w + k * LANES, 6 * LANES)
        put6(out, o + k * apart, 6 * apart, error4(a, b, c, d))


@device
def spread_error2(out, o, apart, x, i, line, step):
    """``A dy AT`` of a tile, m = 2."""
    p = error2(vload(x, i), vload(x, i + step))
    q = error2(vload(x, i + line), vload(x, i + line + step))
    put4(out, o, 4 * apart, error2(p[0], q[0]))
    put4(out, o + apart, 4 * apart, error2(p[1], q[1]))
    put4(out, o + 2 * apart, 4 * apart, error2(p[2], q[2]))
    put4(out, o + 3 * apart, 4 * apart, error2(p[3], q[3]))


@routine
def spread(out, o, apart, across, m, halo, tiles, t, across_tiles, down_tiles, i1, i2, p1, p2,
           channels, c, band, b, x, x_step, ref, ref_step, coef, all, lo, hi):  # fmt: skip
    """The forms of ``tiles`` tiles from ``t`` on, of ``channels`` channels from ``c`` on.

    With a ``halo`` of 2 they are those of inputs, without one those of gradients. A band of the
    picture is made first, with what is around the picture, since most pictures are small.
    """
    column, row = t % across_tiles, t // across_tiles % down_tiles
    base, own = t // across_tiles // down_tiles * i1 * i2, b
    b += 36 * LANES
    while tiles > 0:
        run = min(RUN, tiles, across_tiles - column)
        side, width = m + halo, run * m + halo
        chunk = min(whole(channels), max(1, BAND // (side * width * LANES)) * LANES)
        for k in range(0, channels, chunk):
            left = min(chunk, channels - k)
            bring(band, b, width, chunk, side, row * m - p1, column * m - p2, i1, i2, base, left,
                  x, x_step, c + k, ref, ref_step, coef, all, lo, hi)  # fmt: skip
            line = width * chunk
            for j in range(run * ((left + LANES - 1) // LANES)):
                tile, v = j % run, j // run * LANES
                to, at = o + tile * across + k + v, b + tile * m * chunk + v
                if halo and m == 4:
                    spread_input4(out, to, apart, band, at, line, chunk, band, own)
                elif halo:
                    spread_input2(out, to, apart, band, at, line, chunk)
                elif m == 4:
                    spread_error4(out, to, apart, band, at, line, chunk, band, own)
                else:
                    spread_error2(out, to, apart, band, at, line, chunk)
        o += run * across
        tiles -= run
        column += run
        if column == across_tiles:
            column = 0
            row += 1
        if row == down_tiles:
            row = 0
            base += i1 * i2
