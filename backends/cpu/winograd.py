"""Convolutions with 3x3 windows by Winograd's method: the outputs, and the gradient by the input.

A task is a block of tiles and a share of the channels out: the tiles are brought into Winograd's
form, (m+2)^2 small matrix products combine their channels, and what comes out is brought back, all
while it is in the core's own cache. With m = 2 a 4/9 of the products of the direct kernel remain,
with m = 4 a 1/4, at the price of some exactness.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vload, vmax, vmin, vstore
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2
from netdsl.backends.cpu.winograd_forms import output2, output4
from netdsl.backends.cpu.winograd_tiles import BAND, line_of, spaced, spread
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

CACHE = 1 << 18
"""So many numbers of both forms of a block are meant to stay in a core's cache."""
FEW, MANY = 28, 64
"""Tiles of a block for which it pays to read the weights once more, and so many that it is enough."""
ENOUGH = 16
"""So many tasks keep the threads of most machines at work."""
CHUNK = 4
"""So many vectors of channels are brought back at a time."""
ENDLESS = 1e300
PANELS = 32
"""A share has whole panels, with the widest of vectors."""
SHARE = 128
"""A share has no fewer channels out: every share brings the input into its form anew."""


def winograd_block(m, n, ci, co, o1, o2):
    """How many tiles a task has.

    Few, so that their forms stay in the cache; more, where many weights are read for every block.
    """
    tiles = n * -(-o1 // m) * -(-o2 // m)
    fit = min(MANY, CACHE // ((m + 2) ** 2 * (ci + co)))
    block = max(FEW, fit, ci * co // (4 * (ci + co)))
    fewer = FEW // 2 if ci * co <= 128 * 128 else block
    blocks = max(-(-tiles // block), min(ENOUGH, tiles // fewer))
    return -(-tiles // max(1, blocks))


def winograd_share(m, n, ci, co, o1, o2, block):
    """How many channels out a task has."""
    blocks = winograd_rows(m, n, o1, o2, block)
    each = SHARE if block > FEW else SHARE // 2
    shares = max(1, min(-(-ENOUGH // (2 * blocks)), co // each))
    return -(-co // (shares * PANELS)) * PANELS


def winograd_rows(m, n, o1, o2, block):
    """How many rows of sums there are."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block)


def forward_tasks(m, n, co, o1, o2, block, share):
    """A task is a block of tiles and a share of the channels out."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block) * -(-co // share)


def forward_memory(m, ci, block, share):
    """Both forms of a block, a band of a picture and a few lines to spare."""
    taps = (m + 2) * (m + 2)
    return taps * (block * (ci + share + 3 * LANES) + 2 * LANES) + BAND + (3 * share + 64 * LANES)


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
def collect4(out, o, line, step, x, i, apart, vectors, lo, hi):
    """``AT M A`` of a tile, m = 4, between bounds: 4 x 4 outputs."""
    far = 6 * apart
    low, high = vall(real(lo)), vall(real(hi))
    for v in range(0, vectors * LANES, LANES):
        at, to = i + v, o + v
        r0 = output_row4(x, at, apart)
        r1 = output_row4(x, at + far, apart)
        r2 = output_row4(x, at + 2 * far, apart)
        r3 = output_row4(x, at + 3 * far, apart)
        r4 = output_row4(x, at + 4 * far, apart)
        r5 = output_row4(x, at + 5 * far, apart)
        put_column4(out, to, line, output4(r0[0], r1[0], r2[0], r3[0], r4[0], r5[0]), low, high)
        to += step
        put_column4(out, to, line, output4(r0[1], r1[1], r2[1], r3[1], r4[1], r5[1]), low, high)
        to += step
        put_column4(out, to, line, output4(r0[2], r1[2], r2[2], r3[2], r4[2], r5[2]), low, high)
        to += step
        put_column4(out, to, line, output4(r0[3], r1[3], r2[3], r3[3], r4[3], r5[3]), low, high)


@device
def between(x, low, high):
    """``min(max(x, low), high)``."""
    return vmin(high, vmax(low, x))


@device
def put_column4(out, o, line, values, low, high):
    """Four vectors below each other."""
    vstore(out, o, between(values[0], low, high))
    vstore(out, o + line, between(values[1], low, high))
    vstore(out, o + 2 * line, between(values[2], low, high))
    vstore(out, o + 3 * line, between(values[3], low, high))


@routine
def collect2(out, o, line, step, x, i, apart, vectors, lo, hi):
    """``AT M A`` of a tile, m = 2, between bounds: 2 x 2 outputs."""
    far = 4 * apart
    low, high = vall(real(lo)), vall(real(hi))
    for v in range(0, vectors * LANES, LANES):
        at, to = i + v, o + v
        r0 = output_row2(x, at, apart)
        r1 = output_row2(x, at + far, apart)
        r2 = output_row2(x, at + 2 * far, apart)
        r3 = output_row2(x, at + 3 * far, apart)
        left = output2(r0[0], r1[0], r2[0], r3[0])
        right = output2(r0[1], r1[1], r2[1], r3[1])
        vstore(out, to, between(left[0], low, high))
        vstore(out, to + line, between(left[1], low, high))
        vstore(out, to + step, between(right[0], low, high))
        vstore(out, to + line + step, between(right[1], low, high))


@routine
def finish(out, o, step, x, i, apart, across, patch, totals, m, tiles, t, o1, o2,
           channels, add, lo, hi, summing):  # fmt: skip
    """Bring the outputs of a block back, write them and sum them up; returns their positions."""
    across_tiles, down_tiles = (o2 + m - 1) // m, (o1 + m - 1) // m
    done = 0
    low, up = (-ENDLESS, ENDLESS) if add else (lo, hi)  # bounds are those of the sum
    column, row = t % across_tiles * m, t // across_tiles % down_tiles * m
    base = t // across_tiles // down_tiles * o1
    for _ in range(tiles):
        at = o + ((base + row) * o2 + column) * step
        high, wide = min(m, o1 - row), min(m, o2 - column)
        patched = add or channels % LANES or high < m or wide < m
        for c in range(0, channels, CHUNK * LANES):
            left = min(CHUNK * LANES, channels - c)
            vectors = (left + LANES - 1) // LANES
            goal, g, line, next = out, at + c, o2 * step, step
            if patched:
                goal, g, line, next = x, patch, m * CHUNK * LANES, CHUNK * LANES
            if m == 4:
                collect4(goal, g, line, next, x, i + c, apart, vectors, low, up)
            else:
                collect2(goal, g, line, next, x, i + c, apart, vectors, low, up)
            if patched:
                put_patch(out, at + c, o2 * step, step, x, patch, m, high, wide, left, add, lo, hi)
        if summing:
            sum_up(x, totals, out, at, o2 * step, step, high, wide, channels, done == 0)
        done += high * wide
        i += across
        column += m
        if column >= o2:
            column = 0
            row += m
        if row >= o1:
            row = 0
            base += o1
    return done


@routine
def put_patch(out, o, line, step, x, i, m, high, wide, channels, add, lo, hi):
    """Write what of a tile is inside of the picture."""
    low, up = vall(real(lo)), vall(real(hi))
    for a in range(high):
        for b in range(wide):
            at, to = i + (a * m + b) * CHUNK * LANES, o + a * line + b * step
            for c in range(0, channels, LANES):
                v = vload(x, at + c)
                if add:
                    v = between(v + take_vector(out, to + c, channels - c), low, up)
                put_vector(out, to + c, v, channels - c)


@routine
def sum_up(x, i, out, o, line, step, high, wide, channels, new):
    """Add a tile to sums: a first value of every channel, deviations from it, and their squares."""
    pitch = (channels + LANES - 1) // LANES * LANES
    for c in range(0, channels, LANES):
        left = channels - c
        if new:
            vstore(x, i + c, take_vector(out, o + c, left))
            vstore(x, i + pitch + c, vall(real(0)))
            vstore(x, i + 2 * pitch + c, vall(real(0)))
        pivot, total, squares = vload(x, i + c), vall(real(0)), vall(real(0))
        for a in range(high):
            for b in range(wide):
                d = take_vector(out, o + a * line + b * step + c, left) - pivot
                total = total + d
                squares = vfma(d, d, squares)
        vstore(x, i + pitch + c, vload(x, i + pitch + c) + total)
        vstore(x, i + 2 * pitch + c, vload(x, i + 2 * pitch + c) + squares)


@routine
def put_sums(sums, s, co, x, i, channels, positions):
    """The sums of a block and of the squared deviations from its own mean, and its positions."""
    pitch = (channels + LANES - 1) // LANES * LANES
    number = vall(real(positions))
    for c in range(0, channels, LANES):
        total = vload(x, i + pitch + c)
        squares = vload(x, i + 2 * pitch + c) - total * (total / number)
        put_vector(sums, s + c, vfma(number, vload(x, i + c), total), channels - c)
        put_vector(sums, s + co + c, vmax(vall(real(0)), squares), channels - c)


# fmt: off
@task(tasks=forward_tasks, memory=forward_memory, writes=("out", "sums"))
def winograd_forward(
    first, last, scratch, out, x, ref, coef, weight, bias, sums, n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, step: int, x_step: int,
    ref_step: int, add: int, lo: float, hi: float, out_lo: float, out_hi: float, m: int,
    block: int, share: int,
):
    # fmt: on
    across_tiles, down_tiles = (o2 + m - 1) // m, (o1 + m - 1) // m
    shares, taps = (co + share - 1) // share, (m + 2) * (m + 2)
    for t in range(first, last):
        t0, c0 = t // shares * block, t % shares * share
        tiles = min(block, n * across_tiles * down_tiles - t0)
        channels = min(share, co - c0)
        x_across, o_across = spaced(ci), spaced(channels)
        x_apart, o_apart = tiles * x_across + LANES, tiles * o_across + LANES
        v = line_of(scratch)
        o = v + taps * x_apart
        band = o + taps * o_apart
        totals = band + m * m * CHUNK * LANES
        spread(scratch, v, x_apart, x_across, m, 2, tiles, t0, across_tiles, down_tiles, i1, i2,
               p1, p2, ci, 0, scratch, band, x, x_step, ref, ref_step, coef, ci, lo, hi)  # fmt: skip
        multiply(scratch, o, o_apart, o_across, scratch, v, x_apart, x_across, tiles, ci,
                 weight, bias, m, c0, co, share)  # fmt: skip
        positions = finish(out, c0, step, scratch, o, o_apart, o_across, band, totals, m, tiles, t0,
                           o1, o2, channels, add, out_lo, out_hi, sums.size > 0)  # fmt: skip
        if sums.size:
            s = t // shares * (2 * co + 1)
            put_sums(sums, s + c0, co, scratch, totals, channels, positions)
            sums[s + 2 * co] = real(positions)
