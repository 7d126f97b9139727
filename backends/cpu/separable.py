"""A depthwise convolution in one with the pointwise ones before and after it, for prediction.

What is between them never goes to memory: a task makes some rows of a picture, a band of channels
after the other. The convolution before makes a few lines of the band, windows go over them at once,
and the one behind adds what the band gives to its output.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_block import multiply
from netdsl.backends.cpu.conv_gather import bring, gather_row
from netdsl.backends.cpu.conv_pack import panel_wide
from netdsl.backends.cpu.depthwise import eight_windows
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.separable_plan import BAND, PANEL, separable_numbers
from netdsl.backends.cpu.simd import vall, vmax, vmin, vstore
from netdsl.backends.cpu.tile import BOUNDED, READ, ROW
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

SHORT = 12
"""Lines of fewer positions are widened together, for they do not fill a tile."""
AMOUNT = 1 << 13
"""About so many numbers are added up by a task."""


def separable_tasks(n, strips, pieces):
    """A task for every piece of the channels of every strip of every picture."""
    return n * strips * pieces


def separable_memory(ci, i2, o1, o2, k1, k2, s1, s2, p2, d1, d2, before, after, strips):
    """What is read; what windows see of a band of it, perhaps widened; what they make."""
    rows, right = -(-o1 // strips), (o2 - 1) * s2 + (k2 - 1) * d2 + 1 - p2 - i2
    lines, pitch = (rows - 1) * s1 + (k1 - 1) * d1 + 1, i2 + max(p2, right)
    read = lines * pitch * ci + LANES if before else 0
    return read + (lines * pitch + p2 + (rows * o2 if after else 0) + 8 * s2) * BAND


@device
def wall_of(channels):
    """Whole vectors for so many channels: how far positions of a band are apart."""
    return (channels + LANES - 1) // LANES * LANES


@device
def zeros(out, o, count):
    """So many numbers, which are whole vectors."""
    for i in range(o, o + count, LANES):
        vstore(out, i, vall(real(0)))


@routine
def widen(scratch, e, k, channels, lines, pitch, pad, size, seen, before):
    """Lines of a band of what a pointwise convolution makes, with zeros around.

    If there are several, those that it reads are as far apart.
    """
    (a, a0, ai, ci), (weight, bias, lo, hi, all) = seen, before
    wall, columns, none = wall_of(channels), panel_wide(all) * LANES, min(k, 0)
    loops = (none + 1, none, none, none + 1, none, none, ci)
    ends = (BOUNDED + (ROW if bias.size > 0 else 0), real(lo), real(hi), bias, k)
    multiply(
        scratch, e + pad * wall, wall, ends, channels, (lines - 1) * pitch + size, a, a0, ai,
        weight, k * ci, columns, ci * columns, loops, none, none + 1, True,
    )  # fmt: skip
    zeros(scratch, e, pad * wall)
    for line in range(lines):
        zeros(scratch, e + (line * pitch + pad + size) * wall, (pitch - size) * wall)


@device
def row_of_windows(out, o, far, count, own, k, channels, scratch, e, pitch, taps, stride, apart):
    """A row of positions of a band, from the lines that its windows see."""
    weight, bias, lo, hi = own
    wall = wall_of(channels)
    for p in range(0, count, 8):
        eight_windows(
            out, o + p * far, far, bias, k, channels, 0, lo, hi, count - p,
            scratch, e + p * stride * wall, stride * wall,
            weight, k * taps[0] * taps[1], taps[0] * taps[1] * LANES,
            1, 0, 0, taps[0], apart[0] * pitch * wall, taps[1] * LANES,
            taps[1], apart[1] * wall, LANES,
        )  # fmt: skip


@routine
def make_band(
    out, o, far, scratch, e, k, channels, top, rows, image, sizes, pitch, made,
    taps, strides, pad, apart, given, seen, before, own,
):  # fmt: skip
    """Windows over lines from ``top`` on, of a band of channels.

    These are made by the convolution ``before`` from what is ``seen``, if that has any channels,
    else read as they are.
    """
    (x, x_step, coef, lo, hi, all), (a, a0, ai, ci) = given, seen
    wall, deep = wall_of(channels), (taps[0] - 1) * apart[0] + 1
    row = line = min(rows, 0)
    while line < (rows - 1) * strides[0] + deep:
        y, put, some = top + line, e + line * pitch * wall, 1
        if y < 0 or y >= sizes[0]:
            zeros(scratch, put, (pitch + pad) * wall)
        elif ci > 0:
            every = sizes[1]
            if every < SHORT:
                some, every = min(sizes[0] - y, (rows - 1) * strides[0] + deep - line), pitch
            at = (a, a0 + (y - max(top, 0)) * every * ai, ai, ci)
            widen(scratch, put, k, channels, some, pitch, pad, sizes[1], at, before)
        else:
            gather_row(
                scratch, put, wall, pitch + pad, channels, -pad, 1, sizes[1],
                (image * sizes[0] + y) * sizes[1], x, x_step, x[:0], 0, coef, k, all, lo, hi,
            )  # fmt: skip
        line += some
        while row < rows and row * strides[0] + deep <= line:
            begun = e + row * strides[0] * pitch * wall
            row_of_windows(
                out, o + row * made * far, far, made, own, k, channels, scratch, begun, pitch,
                taps, strides[1], apart,
            )  # fmt: skip
            row += 1


@routine
def bring_lines(scratch, pitch, lines, size, place, given):
    """Lines of positions from ``place`` on, each so far from the one before."""
    x, x_step, coef, lo, hi, all = given
    for line in range(lines):
        bring(
            scratch, line * pitch * all, all, size, all, x, (place + line * size) * x_step, x_step,
            x[:0], 0, 0, coef, 0, all, lo, hi,
        )  # fmt: skip


@routine
def copy_positions(out, o, step, x, i, x_step, count, channels):
    """Copy positions, perhaps to where they are."""
    for p in range(count):
        for c in range(0, channels, LANES):
            v = take_vector(x, i + p * x_step + c, channels - c)
            put_vector(out, o + p * step + c, v, channels - c)


@routine
def make_bands(
    out, o, far, co, start, bounds, scratch, e, one, two, top, rows, image, sizes, pitch, made,
    taps, strides, pad, apart, given, seen, before, own, behind,
):  # fmt: skip
    """Channels ``one`` to ``two``, and what the convolution ``behind`` makes of them, if any."""
    (slim, slim_bias, all, after), columns = behind, panel_wide(co) * LANES
    lines, none = (rows - 1) * strides[0] + (taps[0] - 1) * apart[0] + 1, min(co, 0)
    for k in range(one, two, BAND):
        channels = min(BAND, two - k)
        d = e + (lines * pitch + pad) * wall_of(channels)
        to, to0, step = (scratch, d, wall_of(channels)) if after else (out, o + k, far)
        make_band(
            to, to0, step, scratch, e, k, channels, top, rows, image, sizes, pitch, made,
            taps, strides, pad, apart, given, seen, before, own,
        )  # fmt: skip
        if after:
            lo, hi, bounded = bounds
            start += BOUNDED if bounded and k + channels == two else 0
            loops = (none + 1, none, none, none + 1, none, none, channels)
            multiply(
                out, o, far, (start, real(lo), real(hi), slim_bias, none), co, rows * made,
                scratch, d, step, slim, k * columns, columns, columns * all,
                loops, none, none + 1, True,
            )  # fmt: skip
            start = READ


# fmt: off
@task(
    tasks=separable_tasks,
    memory=separable_memory,
    writes=("out", "parts"),
    plan=separable_numbers,
    planned=("strips", "pieces"),
)
def separable_forward(
    first, last, scratch, out, parts, x, coef, plus, wide, wide_bias, weight, bias, slim, slim_bias,
    n: int, ci: int, c: int, co: int, i1: int, i2: int, o1: int, o2: int, k1: int, k2: int,
    s1: int, s2: int, p1: int, p2: int, d1: int, d2: int, before: int, after: int,
    step: int, x_step: int, plus_step: int, strips: int, pieces: int, lo: float, hi: float,
    wide_lo: float, wide_hi: float, own_lo: float, own_hi: float, out_lo: float, out_hi: float,
):
    """``ci`` channels widened to ``c``, windows, ``co`` channels: what is left out is not there.

    Of several pieces of the channels the first gives ``out`` and the others ``parts``. ``plus`` is
    added to what the convolution behind makes; it may be ``out``.
    """
    # fmt: on
    pitch = i2 + max(p2, (o2 - 1) * s2 + (k2 - 1) * d2 + 1 - p2 - i2)
    given, panels, none = (x, x_step, coef, lo, hi, ci), -(-c // PANEL), min(ci, 0)
    copied = before and (coef.size > 0 or i2 < SHORT)
    for t in range(first, last):
        image, strip, piece = t // (strips * pieces), t // pieces % strips, t % pieces
        begin = o1 * strip // strips
        rows = o1 * (strip + 1) // strips - begin
        top, lines = begin * s1 - p1, (rows - 1) * s1 + (k1 - 1) * d1 + 1
        source, place = (image * i1 + max(top, 0)) * i2, (image * o1 + begin) * o2
        seen, e = (x, source * x_step, x_step, ci if before else 0), none
        if copied:
            every = pitch if i2 < SHORT else i2
            bring_lines(scratch, every, min(top + lines, i1) - max(top, 0), i2, source, given)
            seen, e = (scratch, none, ci, ci), wall_of(lines * pitch * ci)
        to, far, target, start = out, step, place * step, ROW if slim_bias.size > 0 else 0
        if piece > 0:
            to, far, target, start = parts, co, ((piece - 1) * n * o1 * o2 + place) * co, 0
        elif plus.size > 0:
            copy_positions(out, target, step, plus, place * plus_step, plus_step, rows * o2, co)
            start += READ
        make_bands(
            to, target, far, co, start, (out_lo, out_hi, pieces == 1), scratch, e,
            panels * piece // pieces * PANEL, min(panels * (piece + 1) // pieces * PANEL, c),
            top, rows, image, (i1, i2), pitch, o2, (k1, k2), (s1, s2), p2, (d1, d2), given, seen,
            (wide, wide_bias, wide_lo, wide_hi, c), (weight, bias, own_lo, own_hi),
            (slim, slim_bias, c, after),
        )


def added_tasks(n, o1, o2, co, pieces):
    """A task for some numbers, if there is something to add."""
    return -(-n * o1 * o2 // max(AMOUNT // co, 1)) if pieces > 1 else 0


# fmt: off
@task(tasks=added_tasks, plan=separable_numbers, planned=("pieces",))
def separable_sum(
    first, last, scratch, out, parts, n: int, co: int, o1: int, o2: int, step: int, pieces: int,
    out_lo: float, out_hi: float,
):
    """Follows `separable_forward`: adds what pieces of the channels give, in their order."""
    # fmt: on
    some, all = max(AMOUNT // co, 1), n * o1 * o2
    low, high = vall(real(out_lo)), vall(real(out_hi))
    for p in range(first * some, min(last * some, all)):
        for c in range(0, co, LANES):
            v = take_vector(out, p * step + c, co - c)
            for piece in range(pieces - 1):
                v = v + take_vector(parts, (piece * all + p) * co + c, co - c)
            put_vector(out, p * step + c, vmin(high, vmax(low, v)), co - c)
