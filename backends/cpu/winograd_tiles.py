"""Tiles of pictures and their Winograd forms: what the three kernels have in common.

A picture falls apart into tiles of m x m outputs, which read (m+2) x (m+2) inputs. The forms of a
run of tiles lie as ``[number of the product][tile][channel]``, whole vectors of channels.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vload, vload_part, vstore
from netdsl.backends.cpu.winograd_forms import error2, error4, input2, input4
from netdsl.kernel import device, real, routine

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
    """How far tiles of some channels are apart: no large power of two, for the cache's sake."""
    across = (channels + LANES - 1) // LANES * LANES
    return across + LANES if across % (8 * LANES) == 0 else across


@device
def clear(out, o, count):
    """Zeros, in whole vectors."""
    for i in range(o, o + count, LANES):
        vstore(out, i, vall(real(0)))


@routine
def bring(band, b, width, chunk, rows, h, w, i1, i2, base, channels,
          x, x_step, c, ref, ref_step, coef, all, lo, hi):  # fmt: skip
    """Fetch ``rows`` x ``width`` positions of a picture from (h, w) on, zeros around it."""
    left, right = max(0, -w), min(width, i2 - w)
    plain = coef.size == 0 and ref.size == 0
    for r in range(rows):
        line = b + r * width * chunk
        if h + r < 0 or h + r >= i1 or right <= left:
            clear(band, line, width * chunk)
            continue
        p = base + (h + r) * i2 + w + left
        clear(band, line, left * chunk)
        if plain:
            copy(band, line + left * chunk, chunk, right - left, channels, x, p * x_step + c, x_step)
        else:
            fetch(band, line + left * chunk, chunk, right - left, channels, x, p * x_step + c,
                  x_step, ref, p * ref_step + c, ref_step, coef, c, all, lo, hi)  # fmt: skip
        clear(band, line + right * chunk, (width - right) * chunk)


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
def row4(x, i, step):
    """Four vectors of a row."""
    return (
        vload(x, i),
        vload(x, i + step),
        vload(x, i + 2 * step),
        vload(x, i + 3 * step),
    )


@device
def input_row4(x, i, step):
    """BT of a row of six."""
    return input4(
        vload(x, i),
        vload(x, i + step),
        vload(x, i + 2 * step),
        vload(x, i + 3 * step),
        vload(x, i + 4 * step),
        vload(x, i + 5 * step),
    )


@device
def input_row2(x, i, step):
    """BT of a row of four."""
    a, b, c, d = row4(x, i, step)
    return input2(a, b, c, d)


@device
def error_row4(x, i, step):
    """A of a row of four."""
    a, b, c, d = row4(x, i, step)
    return error4(a, b, c, d)


@device
def put6(out, o, apart, values):
    """Six vectors, ``apart`` from each other."""
    vstore(out, o, values[0])
    vstore(out, o + apart, values[1])
    vstore(out, o + 2 * apart, values[2])
    vstore(out, o + 3 * apart, values[3])
    vstore(out, o + 4 * apart, values[4])
    vstore(out, o + 5 * apart, values[5])


@device
def put4(out, o, apart, values):
    """Four vectors, ``apart`` from each other."""
    vstore(out, o, values[0])
    vstore(out, o + apart, values[1])
    vstore(out, o + 2 * apart, values[2])
    vstore(out, o + 3 * apart, values[3])


@routine
def spread_input4(out, o, apart, across, x, i, line, step, count, vectors):
    """``BT d B`` of ``count`` tiles of a row, m = 4."""
    far = 6 * apart
    for k in range(count):
        for v in range(0, vectors * LANES, LANES):
            at, to = i + k * 4 * step + v, o + k * across + v
            r0 = input_row4(x, at, step)
            r1 = input_row4(x, at + line, step)
            r2 = input_row4(x, at + 2 * line, step)
            r3 = input_row4(x, at + 3 * line, step)
            r4 = input_row4(x, at + 4 * line, step)
            r5 = input_row4(x, at + 5 * line, step)
            put6(out, to, far, input4(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]))
            put6(out, to + apart, far, input4(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]))
            put6(out, to + 2 * apart, far, input4(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]))
            put6(out, to + 3 * apart, far, input4(r0[3], r1[3], r2[3], r3[3], r4[3], r5[3]))
            put6(out, to + 4 * apart, far, input4(r0[4], r1[4], r2[4], r3[4], r4[4], r5[4]))
            put6(out, to + 5 * apart, far, input4(r0[5], r1[5], r2[5], r3[5], r4[5], r5[5]))


@routine
def spread_input2(out, o, apart, across, x, i, line, step, count, vectors):
    """``BT d B`` of ``count`` tiles of a row, m = 2."""
    far = 4 * apart
    for k in range(count):
        for v in range(0, vectors * LANES, LANES):
            at, to = i + k * 2 * step + v, o + k * across + v
            r0 = input_row2(x, at, step)
            r1 = input_row2(x, at + line, step)
            r2 = input_row2(x, at + 2 * line, step)
            r3 = input_row2(x, at + 3 * line, step)
            put4(out, to, far, input2(r0[0], r1[0], r2[0], r3[0]))
            put4(out, to + apart, far, input2(r0[1], r1[1], r2[1], r3[1]))
            put4(out, to + 2 * apart, far, input2(r0[2], r1[2], r2[2], r3[2]))
            put4(out, to + 3 * apart, far, input2(r0[3], r1[3], r2[3], r3[3]))


@routine
def spread_error4(out, o, apart, across, x, i, line, step, count, vectors):
    """``A dy AT`` of ``count`` tiles of a row, m = 4."""
    far = 6 * apart
    for k in range(count):
        for v in range(0, vectors * LANES, LANES):
            at, to = i + k * 4 * step + v, o + k * across + v
            r0 = error_row4(x, at, step)
            r1 = error_row4(x, at + line, step)
            r2 = error_row4(x, at + 2 * line, step)
            r3 = error_row4(x, at + 3 * line, step)
            put6(out, to, far, error4(r0[0], r1[0], r2[0], r3[0]))
            put6(out, to + apart, far, error4(r0[1], r1[1], r2[1], r3[1]))
            put6(out, to + 2 * apart, far, error4(r0[2], r1[2], r2[2], r3[2]))
            put6(out, to + 3 * apart, far, error4(r0[3], r1[3], r2[3], r3[3]))
            put6(out, to + 4 * apart, far, error4(r0[4], r1[4], r2[4], r3[4]))
            put6(out, to + 5 * apart, far, error4(r0[5], r1[5], r2[5], r3[5]))


@routine
def spread_error2(out, o, apart, across, x, i, line, step, count, vectors):
    """``A dy AT`` of ``count`` tiles of a row, m = 2."""
    far = 4 * apart
    for k in range(count):
        for v in range(0, vectors * LANES, LANES):
            at, to = i + k * 2 * step + v, o + k * across + v
            r0 = error2(vload(x, at), vload(x, at + step))
            r1 = error2(vload(x, at + line), vload(x, at + line + step))
            put4(out, to, far, error2(r0[0], r1[0]))
            put4(out, to + apart, far, error2(r0[1], r1[1]))
            put4(out, to + 2 * apart, far, error2(r0[2], r1[2]))
            put4(out, to + 3 * apart, far, error2(r0[3], r1[3]))


@routine
def spread(out, o, apart, across, m, halo, tiles, t, across_tiles, down_tiles, i1, i2, p1, p2,
           channels, c, band, b, x, x_step, ref, ref_step, coef, all, lo, hi):  # fmt: skip
    """The forms of ``tiles`` tiles from ``t`` on, of ``channels`` channels from ``c`` on.

    With a ``halo`` of 2 they are those of inputs, without one those of gradients. A band of the
    picture is made first, with what is around the picture, since most pictures are small.
    """
    column, row = t % across_tiles, t // across_tiles % down_tiles
    base = t // across_tiles // down_tiles * i1 * i2
    while tiles > 0:
        run = min(RUN, tiles, across_tiles - column)
        side, width = m + halo, run * m + halo
        chunk = min(whole(channels), max(1, BAND // (side * width * LANES)) * LANES)
        for k in range(0, channels, chunk):
            left = min(chunk, channels - k)
            bring(band, b, width, chunk, side, row * m - p1, column * m - p2, i1, i2, base, left,
                  x, x_step, c + k, ref, ref_step, coef, all, lo, hi)  # fmt: skip
            spread_one(out, o + k, apart, across, m, halo, band, b, width * chunk, chunk, run,
                       (left + LANES - 1) // LANES)  # fmt: skip
        o += run * across
        tiles -= run
        column += run
        if column == across_tiles:
            column = 0
            row += 1
        if row == down_tiles:
            row = 0
            base += i1 * i2


@device
def spread_one(out, o, apart, across, m, halo, x, i, line, step, count, vectors):
    """The forms of ``count`` tiles of a row."""
    if halo:
        if m == 4:
            spread_input4(out, o, apart, across, x, i, line, step, count, vectors)
        else:
            spread_input2(out, o, apart, across, x, i, line, step, count, vectors)
    elif m == 4:
        spread_error4(out, o, apart, across, x, i, line, step, count, vectors)
    else:
        spread_error2(out, o, apart, across, x, i, line, step, count, vectors)
