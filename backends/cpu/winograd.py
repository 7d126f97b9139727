"""Convolutions with 3x3 windows by Winograd's method: the outputs, and the gradient by the input.

A task is a block of tiles and a share of the channels out: the tiles are brought into Winograd's
form, (m+2)^2 small matrix products combine their channels, and what comes out is brought back, all
while it is in the core's own cache. With m = 2 a 4/9 of the products of the direct kernel remain,
with m = 4 a 1/4, at the price of some exactness.
"""

from __future__ import annotations

import math

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vload, vmax, vmin, vstore
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2
from netdsl.backends.cpu.winograd_forms import output2, output4
from netdsl.backends.cpu.winograd_tiles import BAND, line_of, spread_inputs, whole
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

CACHE = 1 << 18
"""So many numbers of both forms of a block are meant to stay in a core's cache."""
FEW = 28
"""Tiles for which it pays to read the weights once more."""
ENOUGH = 16
"""So many tasks keep the threads of most machines at work."""
SHARE = 64
"""A share has no fewer channels out: every share brings the input into its form anew."""


def winograd_block(m, n, ci, co, o1, o2):
    """How many tiles a task has."""
    tiles = n * -(-o1 // m) * -(-o2 // m)
    block = max(FEW, CACHE // ((m + 2) ** 2 * (ci + co)))
    blocks = max(-(-tiles // block), min(ENOUGH, tiles // FEW))
    return max(1, -(-tiles // max(1, blocks)))


def winograd_share(m, n, ci, co, o1, o2, block):
    """How many channels out a task has."""
    tiles = n * -(-o1 // m) * -(-o2 // m)
    blocks = -(-tiles // block)
    shares = max(1, min(-(-ENOUGH // blocks), co // SHARE))
    step = 2 * LANES
    return -(-co // (shares * step)) * step


def winograd_rows(m, n, o1, o2, block):
    """How many rows of sums there are."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block)


def forward_tasks(m, n, co, o1, o2, block, share):
    """A task is a block of tiles and a share of the channels out."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block) * -(-co // share)


def backward_tasks(m, n, ci, i1, i2, block, share):
    """A task is a block of tiles and a share of the channels of the layer's input."""
    return -(-n * -(-i1 // m) * -(-i2 // m) // block) * -(-ci // share)


def forward_memory(m, ci, block, share):
    """Both forms of a block, a band of a picture and a few lines to spare."""
    taps = (m + 2) * (m + 2)
    return taps * (block * (ci + share + 3 * LANES) + 2 * LANES) + BAND + 64 * LANES


def backward_memory(m, co, block, share):
    """Both forms of a block, a band of a picture and a few lines to spare."""
    taps = (m + 2) * (m + 2)
    return taps * (block * (co + share + 3 * LANES) + 2 * LANES) + BAND + 64 * LANES


@routine
def multiply(out, o, o_apart, o_across, x, i, x_apart, x_across, tiles, ci,
             weight, bias, m, c0, co, share):  # fmt: skip
    """The products of a block: for each of (m+2)^2, tiles by channels in, by channels out.

    A bias begins the product in the middle, of which every output of a tile has a part of 1.
    """
    total = (co + LANES - 1) // LANES * LANES
    until = min(total, c0 + share)
    for f in range((m + 2) * (m + 2)):
        start = 2 if bias.size and f == m + 3 else 0
        for c in range(c0, until, 2 * LANES):
            wide = min(2 * LANES, total - c)
            w = f * total * ci + c * ci
            most = ROWS[0] if wide <= LANES else ROWS[1]
            rows = (tiles + most - 1) // most
            rows = (tiles + rows - 1) // rows
            cols = min(wide, co - c)
            for t in range(0, tiles, rows):
                count = min(rows, tiles - t)
                at = o + f * o_apart + t * o_across + c - c0
                line = i + f * x_apart + t * x_across
                if wide > LANES:
                    packed_2(out, at, o_across, start, bias, c, cols, count, x, line, x_across, 1,
                             weight, w, wide, 1, 0, 0, 1, 0, 0, ci)  # fmt: skip
                else:
                    packed_1(out, at, o_across, start, bias, c, cols, count, x, line, x_across, 1,
                             weight, w, wide, 1, 0, 0, 1, 0, 0, ci)  # fmt: skip


@device
def output_row4(x, i, apart):
    """AT of a row of six."""
    return output4(
        vload(x, i),
        vload(x, i + apart),
        vload(x, i + 2 * apart),
        vload(x, i + 3 * apart),
        vload(x, i + 4 * apart),
        vload(x, i + 5 * apart),
    )


@device
def output_row2(x, i, apart):
    """AT of a row of four."""
    return output2(
        vload(x, i), vload(x, i + apart), vload(x, i + 2 * apart), vload(x, i + 3 * apart)
    )


@routine
def collect4(out, o, line, step, x, i, apart):
    """``AT M A`` of a tile, m = 4: a vector of channels of 4 x 4 outputs."""
    far = 6 * apart
    r0 = output_row4(x, i, apart)
    r1 = output_row4(x, i + far, apart)
    r2 = output_row4(x, i + 2 * far, apart)
    r3 = output_row4(x, i + 3 * far, apart)
    r4 = output_row4(x, i + 4 * far, apart)
    r5 = output_row4(x, i + 5 * far, apart)
    put_column4(out, o, line, output4(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]))
    put_column4(out, o + step, line, output4(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]))
    put_column4(out, o + 2 * step, line, output4(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]))
    put_column4(out, o + 3 * step, line, output4(r0[3], r1[3], r2[3], r3[3], r4[3], r5[3]))


@device
def put_column4(out, o, line, values):
    """Four vectors below each other."""
    vstore(out, o, values[0])
    vstore(out, o + line, values[1])
    vstore(out, o + 2 * line, values[2])
    vstore(out, o + 3 * line, values[3])


@routine
def collect2(out, o, line, step, x, i, apart):
    """``AT M A`` of a tile, m = 2: a vector of channels of 2 x 2 outputs."""
    far = 4 * apart
    r0 = output_row2(x, i, apart)
    r1 = output_row2(x, i + far, apart)
    r2 = output_row2(x, i + 2 * far, apart)
    r3 = output_row2(x, i + 3 * far, apart)
    left = output2(r0[0], r1[0], r2[0], r3[0])
    right = output2(r0[1], r1[1], r2[1], r3[1])
    vstore(out, o, left[0])
    vstore(out, o + line, left[1])
    vstore(out, o + step, right[0])
    vstore(out, o + line + step, right[1])


@routine
def finish(out, step, x, i, apart, across, patch, m, tiles, t, o1, o2, c, left, add, lo, hi,
           sums, s, channels):  # fmt: skip
    """Bring a vector of channels of a block back, write it and sum it up."""
    across_tiles, down_tiles = (o2 + m - 1) // m, (o1 + m - 1) // m
    column = t % across_tiles
    row = t // across_tiles % down_tiles
    base = t // across_tiles // down_tiles * o1
    low, high = vall(real(lo)), vall(real(hi))
    total = vall(real(0))
    squares = vall(real(0))
    pivot = vall(real(0))
    positions = 0
    for k in range(tiles):
        if m == 4:
            collect4(scratch_of(x), patch, 4 * LANES, LANES, x, i + k * across, apart)
        else:
            collect2(scratch_of(x), patch, 2 * LANES, LANES, x, i + k * across, apart)
        tile_total = vall(real(0))
        tile_squares = vall(real(0))
        high_rows, wide = min(m, o1 - row * m), min(m, o2 - column * m)
        for a in range(high_rows):
            p = ((base + row * m + a) * o2 + column * m) * step + c
            for b in range(wide):
                v = vmin(high, vmax(low, vload(x, patch + (a * m + b) * LANES)))
                if add:
                    v = v + take_vector(out, p, left)
                put_vector(out, p, v, left)
                if sums.size:
                    if positions == 0:
                        pivot = v
                    d = v - pivot
                    tile_total = tile_total + d
                    tile_squares = vfma(d, d, tile_squares)
                    positions += 1
                p += step
        total = total + tile_total
        squares = squares + tile_squares
        column += 1
        if column == across_tiles:
            column = 0
            row += 1
            if row == down_tiles:
                row = 0
                base += o1
    if sums.size:
        number = vall(real(positions))
        mean = total / number
        put_vector(sums, s + c, vfma(number, pivot, total), left)
        squares = vmax(vall(real(0)), squares - total * mean)
        put_vector(sums, s + channels + c, squares, left)
        sums[s + 2 * channels] = real(positions)


@device
def scratch_of(x):
    """The same array, as what is written."""
    return x


@device
def convolve(t, scratch, out, x, ref, coef, weight, bias, sums, n, ci, co, i1, i2, o1, o2, p1, p2,
             step, x_step, ref_step, add, lo, hi, out_lo, out_hi, m, block, share):  # fmt: skip
    """Task ``t``: a block of tiles and a share of the channels out."""
    shares = (co + share - 1) // share
    across_tiles, down_tiles = (o2 + m - 1) // m, (o1 + m - 1) // m
    t0, c0 = t // shares * block, t % shares * share
    tiles = min(block, n * across_tiles * down_tiles - t0)
    taps = (m + 2) * (m + 2)
    x_across = whole(ci)
    if x_across % (8 * LANES) == 0:
        x_across += LANES
    o_across = whole(min(share, co - c0)) + LANES
    x_apart, o_apart = tiles * x_across, tiles * o_across
    if x_apart % (2 * LANES) == 0:
        x_apart += LANES
    if o_apart % (2 * LANES) == 0:
        o_apart += LANES
    v = line_of(scratch)
    o = v + taps * x_apart
    band = o + taps * o_apart
    spread_inputs(scratch, v, x_apart, x_across, m, tiles, t0, across_tiles, down_tiles, i1, i2,
                  p1, p2, ci, 0, scratch, band, x, x_step, ref, ref_step, coef, ci, lo, hi)  # fmt: skip
    multiply(scratch, o, o_apart, o_across, scratch, v, x_apart, x_across, tiles, ci,
             weight, bias, m, c0, co, share)  # fmt: skip
    for c in range(c0, min(co, c0 + share), LANES):
        finish(out, step, scratch, o + c - c0, o_apart, o_across, band, m, tiles, t0, o1, o2, c,
               co - c, add, out_lo, out_hi, sums, t // shares * (2 * co + 1), co)  # fmt: skip


# fmt: off
@task(tasks=forward_tasks, memory=forward_memory, writes=("out", "sums"))
def winograd_forward(
    first, last, scratch, out, x, ref, coef, weight, bias, sums, n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, step: int, x_step: int,
    ref_step: int, add: int, lo: float, hi: float, out_lo: float, out_hi: float, m: int,
    block: int, share: int,
):
    # fmt: on
    for t in range(first, last):
        convolve(t, scratch, out, x, ref, coef, weight, bias, sums, n, ci, co, i1, i2, o1, o2,
                 p1, p2, step, x_step, ref_step, add, lo, hi, out_lo, out_hi, m, block, share)  # fmt: skip


# fmt: off
@task(tasks=backward_tasks, memory=backward_memory)
def winograd_backward(
    first, last, scratch, out, y, y_ref, y_coef, weight, n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, step: int, y_step: int,
    y_ref_step: int, add: int, y_lo: float, y_hi: float, m: int, block: int, share: int,
):
    # fmt: on
    nothing = scratch[:0]
    for t in range(first, last):
        convolve(t, scratch, out, y, y_ref, y_coef, weight, nothing, nothing, n, co, ci, o1, o2,
                 i1, i2, 2 - p1, 2 - p2, step, y_step, y_ref_step, add, y_lo, y_hi,
                 -math.inf, math.inf, m, block, share)  # fmt: skip
