"""The gradient by 3x3 weights by Winograd's method: ``GT [sum over tiles (BT d B) * (A dy AT)] G``.

A task is a chunk of tiles, a part of the channels out and a part of the channels in. It sums up
(m+2)^2 small matrix products in its own cache and brings the sums back to the layout of the
weights. Several chunks each write a gradient of their own, and a second kernel adds them in order.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2
from netdsl.backends.cpu.winograd_forms import weight2, weight4
from netdsl.backends.cpu.winograd_plan import PART, TILES, gradient_numbers
from netdsl.backends.cpu.winograd_tiles import (
    BAND,
    ONE,
    line_of,
    put3,
    spaced,
    spread,
    take4,
    take6,
)
from netdsl.backends.override import task
from netdsl.kernel import device, routine


def weight_tasks(ci, co, chunks):
    """A task is a chunk, a part of the channels out and one of the channels in."""
    return chunks * -(-ci // PART) * -(-co // PART)


def weight_memory(m, ci, co):
    """The sums of a part, the forms of some tiles, a band of a picture, and lines to spare."""
    rows, cols = min(PART, -(-co // LANES) * LANES), min(PART, -(-ci // LANES) * LANES)
    each = rows * (cols + LANES) + TILES * (rows + cols + 2 * LANES) + 3 * LANES
    return (m + 2) ** 2 * each + BAND + 64 * LANES


@routine
def multiply_up(out, o, o_apart, o_across, y, e, e_apart, e_across, x, v, v_apart, v_across,
                m, rows, cols, tiles, start):  # fmt: skip
    """Add to the sums of a part: for each of (m+2)^2, channels out by tiles, by channels in."""
    cols = (cols + LANES - 1) // LANES * LANES
    for f in range((m + 2) * (m + 2)):
        for c in range(0, cols, 2 * LANES):
            wide = min(2 * LANES, cols - c)
            most = ROWS[0] if wide <= LANES else ROWS[1]
            each = (rows + most - 1) // most
            each = (rows + each - 1) // each
            for r in range(0, rows, each):
                count = min(each, rows - r)
                at = o + f * o_apart + r * o_across + c
                a, b = e + f * e_apart + r, v + f * v_apart + c
                if wide > LANES:
                    packed_2(out, at, o_across, start, out, at, wide, count, y, a, 1, e_across,
                             x, b, v_across, 1, 0, 0, 1, 0, 0, tiles)  # fmt: skip
                else:
                    packed_1(out, at, o_across, start, out, at, wide, count, y, a, 1, e_across,
                             x, b, v_across, 1, 0, 0, 1, 0, 0, tiles)  # fmt: skip


@device
def collect_weight4(out, o, x, i, apart, own, w):
    """``GT S G`` of a window, m = 4; ``own`` holds the columns from ``w`` on meanwhile."""
    for k in range(6):
        a, b, c, d, e, f = take6(x, i + k * apart, 6 * apart)
        put3(own, w + k * LANES, 6 * LANES, weight4(a, b, c, d, e, f))
    for r in range(3):
        a, b, c, d, e, f = take6(own, w + r * 6 * LANES, ONE * LANES)
        put3(out, o + r * 3 * LANES, ONE * LANES, weight4(a, b, c, d, e, f))


@device
def collect_weight2(out, o, x, i, apart, own, w):
    """``GT S G`` of a window, m = 2."""
    for k in range(4):
        a, b, c, d = take4(x, i + k * apart, 4 * apart)
        put3(own, w + k * LANES, 4 * LANES, weight2(a, b, c, d))
    for r in range(3):
        a, b, c, d = take4(own, w + r * 4 * LANES, ONE * LANES)
        put3(out, o + r * 3 * LANES, ONE * LANES, weight2(a, b, c, d))


@routine
def put_weights(out, o, scratch, s, o_apart, o_across, patch, m, rows, cols, ins, add):
    """Bring the sums of a part back and write them as (out, in, window)."""
    own = patch + 9 * LANES
    for r in range(rows):
        for c in range(0, cols, LANES):
            at = s + r * o_across + c
            if m == 4:
                collect_weight4(scratch, patch, scratch, at, o_apart, scratch, own)
            else:
                collect_weight2(scratch, patch, scratch, at, o_apart, scratch, own)
            at = o + (r * ins + c) * 9
            for i in range(min(LANES, cols - c)):
                for w in range(9):
                    v = scratch[patch + w * LANES + i]
                    out[at + w] = out[at + w] + v if add else v
                at += 9


# fmt: off
@task(
    tasks=weight_tasks,
    memory=weight_memory,
    writes=("out", "parts"),
    plan=gradient_numbers,
    planned=("chunks",),
)
def winograd_weight(
    first, last, scratch, out, parts, x, ref, coef, y, y_ref, y_coef, n: int, ci: int, co: int,
    i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, x_step: int, ref_step: int,
    y_step: int, y_ref_step: int, add: int, lo: float, hi: float, y_lo: float, y_hi: float,
    m: int, chunks: int,
):
    # fmt: on
    across, down = (o2 + m - 1) // m, (o1 + m - 1) // m
    tiles, taps, none = n * across * down, (m + 2) * (m + 2), 0 * ONE
    ins, outs = (ci + PART - 1) // PART, (co + PART - 1) // PART
    for t in range(first, last):
        chunk, c, r = t // (ins * outs), t % ins * PART, t // ins % outs * PART
        cols, rows = min(PART, ci - c), min(PART, co - r)
        o_across, v_across, e_across = spaced(cols), spaced(cols), spaced(rows)
        o_apart = rows * o_across + LANES
        v_apart, e_apart = TILES * v_across + LANES, TILES * e_across + LANES
        s = line_of(scratch)
        v = s + taps * o_apart
        e = v + taps * v_apart
        band = e + taps * e_apart
        begin, end = chunk * tiles // chunks, (chunk + 1) * tiles // chunks
        for k in range(begin, end, TILES):
            count = min(TILES, end - k)
            # fmt: off
            spread(
                scratch, v, v_apart, v_across, m, 2 * ONE, count, k, across, down, i1, i2, p1, p2,
                cols, c, scratch, band, x, x_step, ref, ref_step, coef, ci, lo, hi,
            )
            spread(
                scratch, e, e_apart, e_across, m, none, count, k, across, down, o1, o2, none, none,
                rows, r, scratch, band, y, y_step, y_ref, y_ref_step, y_coef, co, y_lo, y_hi,
            )
            multiply_up(
                scratch, s, o_apart, o_across, scratch, e, e_apart, e_across,
                scratch, v, v_apart, v_across, m, rows, cols, count, k > begin,
            )
            # fmt: on
        o = (chunk * co * ci + r * ci + c) * 9
        adds = add if chunks == 1 else 0
        goal = parts if chunks > 1 else out
        put_weights(goal, o, scratch, s, o_apart, o_across, band, m, rows, cols, ci, adds)


def sum_tasks(size, chunks):
    """A task is a piece of the gradient; there is nothing to add to a single chunk."""
    return -(-size // 4096) if chunks > 1 else 0


@task(tasks=sum_tasks, plan=gradient_numbers, planned=("chunks",))
def winograd_weight_sum(first, last, scratch, out, parts, size: int, chunks: int, add: int):
    until = min(size, last * 4096)
    for i in range(first * 4096, until, LANES):
        left = until - i
        total = take_vector(parts, i, left)
        for k in range(1, chunks):
            total = total + take_vector(parts, k * size + i, left)
        if add:
            total = total + take_vector(out, i, left)
        put_vector(out, i, total, left)
