"""Convolutions with 3x3 windows by Winograd's method: the outputs, and the gradient by the input.

A task is a block of tiles and a share of the channels out: the tiles are brought into Winograd's
form, (m+2)^2 small matrix products combine their channels, and what comes out is brought back, all
while it is in the core's own cache. With m = 2 there remain 4/9 of the products of the direct
kernel, with m = 4 only 1/4, at the price of some exactness.

The gradient by the input is the same kernel: x is the gradient at the outputs, ci and co, i and o
change places, p is 2 - p, and the weights are packed with ``back``.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vload, vmax, vmin, vstore
from netdsl.backends.cpu.tile import ROWS, ended_1, ended_2
from netdsl.backends.cpu.winograd_forms import output2, output4
from netdsl.backends.cpu.winograd_plan import forward_numbers
from netdsl.backends.cpu.winograd_tiles import (
    BAND,
    ONE,
    line_of,
    put2,
    put4,
    spaced,
    spread,
    take4,
    take6,
)
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


def forward_tasks(m, n, co, o1, o2, block, share):
    """A task is a block of tiles and a share of the channels out."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block) * -(-co // share)


def forward_memory(m, ci, block, share):
    """Both forms of a block, a band of a picture and a few lines to spare."""
    taps = (m + 2) * (m + 2)
    return taps * (block * (ci + share + 3 * LANES) + 2 * LANES) + BAND + (3 * share + 64 * LANES)


@routine
def multiply(out, o, o_apart, o_across, x, i, x_apart, x_across, tiles, ci,
             weight, m, c0, co, share):  # fmt: skip
    """The products of a block: for each of (m+2)^2, tiles by channels in, by channels out.

    While a panel of the weights is at work the next one is brought nearer.
    """
    total = (co + LANES - 1) // LANES * LANES
    until, zero = min(total, c0 + share), real(0)
    for f in range((m + 2) * (m + 2)):
        for c in range(c0, until, 2 * LANES):
            wide = min(2 * LANES, total - c)
            w = f * total * ci + c * ci
            most = ROWS[0] if wide <= LANES else ROWS[1]
            turns = (tiles + most - 1) // most
            part = (wide + turns - 1) // turns
            ahead = w + wide * ci if c + wide < until else w + (total - c + c0) * ci
            for turn in range(turns):
                t = tiles * turn // turns
                count = tiles * (turn + 1) // turns - t
                at = o + f * o_apart + t * o_across + c - c0
                line = i + f * x_apart + t * x_across
                if wide > LANES:
                    ended_2(out, at, o_across, 0, out, at, wide, count, x, line, x_across, 1,
                            weight, w, wide, 1, 0, 0, 1, 0, 0, ci, zero, zero,
                            weight, ahead, part, 0)  # fmt: skip
                else:
                    ended_1(out, at, o_across, 0, out, at, wide, count, x, line, x_across, 1,
                            weight, w, wide, 1, 0, 0, 1, 0, 0, ci, zero, zero,
                            weight, ahead, part, 0)  # fmt: skip
                ahead += part * ci


@device
def collect4(out, o, line, step, x, i, apart, own, w):
    """``AT M A`` of a tile, m = 4; ``own`` holds the columns from ``w`` on meanwhile."""
    for k in range(6):
        a, b, c, d, e, f = take6(x, i + k * apart, 6 * apart)
        put4(own, w + k * LANES, 6 * LANES, output4(a, b, c, d, e, f))
    for r in range(4):
        a, b, c, d, e, f = take6(own, w + r * 6 * LANES, ONE * LANES)
        put4(out, o + r * line, step, output4(a, b, c, d, e, f))


@device
def collect2(out, o, line, step, x, i, apart, own, w):
    """``AT M A`` of a tile, m = 2."""
    for k in range(4):
        a, b, c, d = take4(x, i + k * apart, 4 * apart)
        put2(own, w + k * LANES, 4 * LANES, output2(a, b, c, d))
    for r in range(2):
        a, b, c, d = take4(own, w + r * 4 * LANES, ONE * LANES)
        put2(out, o + r * line, step, output2(a, b, c, d))


@device
def put_line(out, o, step, x, i, count, left, more, add, low, up):
    """Write outputs beside each other: with a bias, added to what is there, between bounds."""
    for _ in range(count):
        v = vload(x, i) + more
        if add:
            v = v + take_vector(out, o, left)
        put_vector(out, o, vmin(up, vmax(low, v)), left)
        o += step
        i += LANES


@routine
def finish(out, o, step, x, i, apart, across, band, totals, m, tiles, t, o1, o2,
           channels, bias, c0, add, lo, hi, summing):  # fmt: skip
    """Bring the outputs of a block back, write them and sum them up; returns their positions."""
    across_tiles, down_tiles = (o2 + m - 1) // m, (o1 + m - 1) // m
    column, row = t % across_tiles * m, t // across_tiles % down_tiles * m
    base, done, own = t // across_tiles // down_tiles * o1, 0, band + 16 * LANES
    low, up = vall(real(lo)), vall(real(hi))
    for _ in range(tiles):
        at = o + ((base + row) * o2 + column) * step
        high, wide = min(m, o1 - row), min(m, o2 - column)
        for c in range(0, channels, LANES):
            if m == 4:
                collect4(x, band, 4 * LANES, ONE * LANES, x, i + c, apart, x, own)
            else:
                collect2(x, band, 2 * LANES, ONE * LANES, x, i + c, apart, x, own)
            more = take_vector(bias, c0 + c, channels - c) if bias.size else vall(real(0))
            for a in range(high):
                line, to = band + a * m * LANES, at + a * o2 * step + c
                put_line(out, to, step, x, line, wide, channels - c, more, add, low, up)
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


@device
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


@device
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
@task(
    tasks=forward_tasks,
    memory=forward_memory,
    writes=("out", "sums"),
    plan=forward_numbers,
    planned=("block", "share"),
)
def winograd_forward(
    first, last, scratch, out, x, ref, coef, weight, bias, sums, n: int, ci: int, co: int,
    i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, step: int, x_step: int,
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
        totals = band + 52 * LANES
        # fmt: off
        spread(
            scratch, v, x_apart, x_across, m, 2, tiles, t0, across_tiles, down_tiles, i1, i2,
            p1, p2, ci, 0, scratch, band, x, x_step, ref, ref_step, coef, ci, lo, hi,
        )
        multiply(
            scratch, o, o_apart, o_across, scratch, v, x_apart, x_across, tiles, ci,
            weight, m, c0, co, share,
        )
        positions = finish(
            out, c0, step, scratch, o, o_apart, o_across, band, totals, m, tiles, t0,
            o1, o2, channels, bias, c0, add, out_lo, out_hi, sums.size > 0,
        )
        # fmt: on
        if sums.size:
            s = t // shares * (2 * co + 1)
            put_sums(sums, s + c0, co, scratch, totals, channels, positions)
            sums[s + 2 * co] = real(positions)
