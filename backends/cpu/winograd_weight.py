"""The gradient by 3x3 weights by Winograd's method: ``GT [sum over tiles (BT d B) * (A dy AT)] G``.

A task is a chunk of tiles, a part of the channels out and a part of the channels in. It sums up
(m+2)^2 small matrix products in its own cache and brings the sums back. Several chunks each make a
gradient of their own, ``[out][window][in]``; a second kernel adds them in order and brings them to
the layout of the weights. The gradient by the bias is made along, for the forms of dy tell it.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight_turn import put_windows
from netdsl.backends.cpu.lazy import put_or_add
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import clear_vectors
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2
from netdsl.backends.cpu.winograd_forms import P, Q, weight2, weight4
from netdsl.backends.cpu.winograd_plan import LONGEST, gradient_numbers
from netdsl.backends.cpu.winograd_tiles import (
    BAND,
    ONE,
    line_of,
    put3,
    spaced,
    spread,
    take4,
    take6,
    whole,
)
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

SUM2 = (0.0, 1.0, 0.0, 0.0)
"""The sum of dy, by what ``A`` makes of it, m = 2: its polynomial at 1."""
SUM4 = (0.0, (1 + 1 / P) / 3, (1 - 1 / P) / 3, (1 + 1 / Q) / 6, (1 - 1 / Q) / 6, 0.0)
"""The same for m = 4."""
PLANNED = ("chunks", "part_i", "part_o", "deep")


def weight_tasks(ci, co, chunks, part_i, part_o):
    """A task is a chunk, a part of the channels out and one of the channels in."""
    return chunks * -(-ci // part_i) * -(-co // part_o)


def weight_memory(m, part_i, part_o, deep):
    """The sums of a part, the forms of some tiles, a band of a picture, and lines to spare."""
    each = part_o * (part_i + LANES) + deep * (part_o + part_i + 2 * LANES) + 3 * LANES
    return (m + 2) ** 2 * each + BAND + part_o + 64 * LANES


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
def put_weights(out, o, pitch, scratch, s, o_apart, o_across, patch, m, rows, cols, add):
    """Bring the sums of a part back, and write them or add them to what is there.

    With a ``pitch`` they are (out, window, in), in whole vectors; without one (out, in, window),
    of which ``-pitch`` channels in are a row.
    """
    own = patch + 9 * LANES
    for r in range(rows):
        for c in range(0, cols, LANES):
            at = s + r * o_across + c
            if m == 4:
                collect_weight4(scratch, patch, scratch, at, o_apart, scratch, own)
            else:
                collect_weight2(scratch, patch, scratch, at, o_apart, scratch, own)
            if pitch < 0:
                at = o + (c - r * pitch) * 9
                put_windows(out, at, 9, scratch, patch, LANES, 9, min(LANES, cols - c), add)
                continue
            for w in range(9):
                v, at = vload(scratch, patch + w * LANES), o + (r * 9 + w) * pitch + c
                vstore(out, at, v + vload(out, at) if add else v)


@routine
def add_sums(scratch, b, e, apart, across, m, rows, tiles):
    """Add the sums of dy over some tiles to those of the bias."""
    side = m + 2
    for f in range(side * side):
        factor = SUM4[f // side] * SUM4[f % side] if m == 4 else SUM2[f // side] * SUM2[f % side]
        for r in range(0, rows if factor != 0 else 0, LANES):
            total = vall(real(0))
            for k in range(tiles):
                total = total + vload(scratch, e + f * apart + k * across + r)
            vstore(scratch, b + r, vfma(vall(real(factor)), total, vload(scratch, b + r)))


@routine
def sum_up(scratch, places, m, begin, end, deep, ins, outs, bias, down, across, i, o, p, x, y):
    """The sums of a part over the tiles from ``begin`` to ``end``, some at a time."""
    s, v, e, band, b = places
    c, cols, r, rows = ins[0], ins[1], outs[0], outs[1]
    o_across, v_across, e_across, none = spaced(cols), spaced(cols), spaced(rows), 0 * ONE
    o_apart = rows * o_across + LANES
    v_apart, e_apart = deep * v_across + LANES, deep * e_across + LANES
    steps = (end - begin + deep - 1) // deep
    some = (end - begin + steps - 1) // steps
    for k in range(begin, end, some):
        count = min(some, end - k)
        # fmt: off
        spread(
            scratch, v, v_apart, v_across, m, 2 * ONE, count, k, across, down, i[0], i[1],
            p[0], p[1], cols, c, scratch, band, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7],
        )
        spread(
            scratch, e, e_apart, e_across, m, none, count, k, across, down, o[0], o[1],
            none, none, rows, r, scratch, band, y[0], y[1], y[2], y[3], y[4], y[5], y[6], y[7],
        )
        multiply_up(
            scratch, s, o_apart, o_across, scratch, e, e_apart, e_across,
            scratch, v, v_apart, v_across, m, rows, cols, count, k > begin,
        )
        # fmt: on
        if bias:
            add_sums(scratch, b, e, e_apart, e_across, m, rows, count)
    return o_apart, o_across


@device
def places_of(scratch, m, part_i, part_o, deep):
    """Where a task keeps its sums, both forms, a band of a picture and the sums of the bias."""
    taps = (m + 2) * (m + 2)
    s = line_of(scratch)
    v = s + taps * (part_o * spaced(part_i) + LANES)
    e = v + taps * (deep * spaced(part_i) + LANES)
    band = e + taps * (deep * spaced(part_o) + LANES)
    return s, v, e, band, band + BAND + 40 * LANES


@device
def put_bias(out, o, scratch, b, rows, add):
    """Write the sums of the bias, or add them to what is there."""
    for r in range(0, rows, LANES):
        put_or_add(out, o + r, vload(scratch, b + r), add, rows - r)


# fmt: off
@task(tasks=weight_tasks, memory=weight_memory, writes=("out", "dbias", "parts"),
      plan=gradient_numbers, planned=PLANNED)
def winograd_weight(
    first, last, scratch, out, dbias, parts, x, ref, coef, y, y_ref, y_coef, n: int, ci: int,
    co: int, i1: int, i2: int, o1: int, o2: int, p1: int, p2: int, x_step: int, ref_step: int,
    y_step: int, y_ref_step: int, add: int, lo: float, hi: float, y_lo: float, y_hi: float,
    m: int, chunks: int, part_i: int, part_o: int, deep: int,
):
    # fmt: on
    across, down = (o2 + m - 1) // m, (o1 + m - 1) // m
    tiles, pitch = n * across * down, whole(ci)
    ins, outs = (ci + part_i - 1) // part_i, (co + part_o - 1) // part_o
    tensor_x = (x, x_step, ref, ref_step, coef, ci, lo, hi)
    tensor_y = (y, y_step, y_ref, y_ref_step, y_coef, co, y_lo, y_hi)
    places = places_of(scratch, m, part_i, part_o, deep)
    for t in range(first, last):
        chunk, c, r = t // (ins * outs), t % ins * part_i, t // ins % outs * part_o
        cols, rows = min(part_i, ci - c), min(part_o, co - r)
        begin, end = chunk * tiles // chunks, (chunk + 1) * tiles // chunks
        bias, alone = dbias.size > 0 and c == 0, chunks == 1
        at, step = (r * ci + c) * 9, -ci
        if not alone:
            at, step = (chunk * co + r) * 9 * pitch + c, pitch
        clear_vectors(scratch, places[4], rows if bias else 0)
        spans = (end - begin + LONGEST - 1) // LONGEST
        for span in range(spans):
            o_apart, o_across = sum_up(
                scratch, places, m, begin + (end - begin) * span // spans,
                begin + (end - begin) * (span + 1) // spans, deep, (c, cols), (r, rows), bias,
                down, across, (i1, i2), (o1, o2), (p1, p2), tensor_x, tensor_y,
            )  # fmt: skip
            put_weights(
                out if alone else parts, at, step, scratch, places[0], o_apart, o_across,
                places[3], m, rows, cols, span > 0 or (alone and add),
            )  # fmt: skip
        if bias:
            at = r if alone else (chunks * 9 * pitch + chunk) * co + r
            put_bias(dbias if alone else parts, at, scratch, places[4], rows, alone and add)


def sum_tasks(co, chunks):
    """A task is a channel out; there is nothing to add to a single chunk."""
    return co if chunks > 1 else 0


def sum_memory(ci):
    """The sums for a channel out."""
    return 9 * (ci + LANES)


@task(tasks=sum_tasks, memory=sum_memory, writes=("out", "dbias"), plan=gradient_numbers,
      planned=PLANNED)  # fmt: skip
def winograd_weight_sum(
    first, last, scratch, out, dbias, parts, ci: int, co: int, add: int, chunks: int
):
    pitch = whole(ci)
    for t in range(first, last):
        size = 9 * pitch
        for i in range(0, size, LANES):
            total = vload(parts, t * size + i)
            for k in range(1, chunks):
                total = total + vload(parts, (k * co + t) * size + i)
            vstore(scratch, i, total)
        put_windows(out, t * ci * 9, 9, scratch, 0, pitch, 9, ci, add)
        if dbias.size:
            total = real(0)
            for k in range(chunks):
                total += parts[(chunks * size + k) * co + t]
            dbias[t] = dbias[t] + total if add else total
