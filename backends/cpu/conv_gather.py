"""What a convolution reads, brought into a thread's own memory: with zeros around, or tap by tap.

Positions of an output are counted in rows: row ``r`` is one row of a plane of a picture, and rows
of all planes and all pictures follow one another. Sizes come as triples: depth, height, width.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import fetch, put_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall
from netdsl.kernel import device, real, routine

CHUNK = 8
"""Positions of more vectors of channels are read one by one, in the order in which they lie."""


@routine
def bring(out, o, step, count, channels, x, i, x_step, ref, r, ref_step, coef, k, all, lo, hi):
    """`fetch`, in the order in which the numbers lie in memory."""
    one_run = coef.size == 0 and ref.size == 0 and step == channels and x_step == channels
    few = count if channels <= CHUNK * LANES or one_run else 1
    for p in range(0, count, max(few, 1)):
        fetch(
            out, o + p * step, step, few, channels, x, i + p * x_step, x_step,
            ref, r + p * ref_step, ref_step, coef, k, all, lo, hi,
        )  # fmt: skip


@device
def wipe(out, o, step, count, channels):
    """Zeros for ``channels`` channels of ``count`` positions in a row."""
    zero = vall(real(0))
    if step == channels:
        channels, count = channels * count, 1
    for p in range(count):
        for c in range(0, channels, LANES):
            put_vector(out, o + p * step + c, zero, channels - c)


@routine
def gather_row(
    out, o, step, count, channels, begin, every, size, place,
    x, x_step, ref, ref_step, coef, k, all, lo, hi,
):  # fmt: skip
    """Positions ``begin + every * p`` of a row of ``size`` that begins at ``place``; 0 outside."""
    a = min(max((every - 1 - begin) // every, 0), count)
    b = max(min((size - 1 - begin) // every + 1, count), a)
    wipe(out, o, step, a, channels)
    if a < b:
        i = place + begin + a * every
        bring(
            out, o + a * step, step, b - a, channels,
            x, i * x_step + k, every * x_step, ref, i * ref_step + k, every * ref_step,
            coef, k, all, lo, hi,
        )  # fmt: skip
    wipe(out, o + b * step, step, count - b, channels)


@routine
def gather_rows(
    out, first, last, tap, channels, sizes, made, taps, strides, pads, apart,
    x, x_step, ref, ref_step, coef, k, all, lo, hi,
):  # fmt: skip
    """The rows of ``x`` that the rows ``first`` to ``last`` of an output see, with zeros around.

    Of the taps along the depth only ``tap``. The rows for each plane follow one another; those
    above and below a plane are left out.
    """
    width = (made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1
    line, row = 0, first
    while row < last:
        plane, h = row // made[1], row % made[1]
        count = min(made[1] - h, last - row)
        depth = plane % made[0] * strides[0] - pads[0] + tap * apart[0]
        place = plane // made[0] * sizes[0] + depth
        for i in range((count - 1) * strides[1] + (taps[1] - 1) * apart[1] + 1):
            high = h * strides[1] - pads[1] + i
            if 0 <= high < sizes[1]:
                inside = 0 <= depth < sizes[0]
                gather_row(
                    out, line * width * channels, channels, width, channels,
                    -pads[2], min(strides[2], 1), sizes[2] if inside else 0,
                    (place * sizes[1] + high) * sizes[2],
                    x, x_step, ref, ref_step, coef, k, all, lo, hi,
                )  # fmt: skip
            line += 1
        row += count


@routine
def gather_columns(
    out, first, last, start, stop, gap, channels, sizes, made, taps, strides, pads, apart,
    x, x_step, ref, ref_step, coef, k, all, lo, hi,
):  # fmt: skip
    """A matrix: for the positions of some rows, what the taps see, ``start`` to ``stop`` of it."""
    for row in range(first, last):
        plane = row // made[1]
        at = start
        while at < stop:
            tap, c = at // channels, at % channels
            count = min(channels - c, stop - at)
            depth = plane % made[0] * strides[0] - pads[0]
            depth += tap // (taps[1] * taps[2]) * apart[0]
            high = row % made[1] * strides[1] - pads[1] + tap // taps[2] % taps[1] * apart[1]
            inside = 0 <= depth < sizes[0] and 0 <= high < sizes[1]
            place = (plane // made[0] * sizes[0] + depth) * sizes[1] + high
            gather_row(
                out, (row - first) * made[2] * gap + at - start, gap, made[2], count,
                tap % taps[2] * apart[2] - pads[2], strides[2], sizes[2] if inside else 0,
                place * sizes[2],
                x, x_step, ref, ref_step, coef, k + c, all, lo, hi,
            )  # fmt: skip
            at += count


@routine
def gather_flat(
    out, first, last, gap, channels, x, x_step, ref, ref_step, coef, k, all, lo, hi
):  # fmt: skip
    """Positions ``first`` to ``last``, some channels of each, ``gap`` numbers apart."""
    bring(
        out, 0, gap, last - first, channels,
        x, first * x_step + k, x_step, ref, first * ref_step + k, ref_step, coef, k, all, lo, hi,
    )  # fmt: skip


@routine
def gather_pictures(
    out, first, last, size, gap, channels, x, x_step, ref, ref_step, coef, k, all, lo, hi
):  # fmt: skip
    """Pictures ``first`` to ``last``, each in one piece, ``gap`` numbers apart."""
    for p in range(first, last):
        bring(
            out, (p - first) * gap, channels, size, channels,
            x, p * size * x_step + k, x_step, ref, p * size * ref_step + k, ref_step,
            coef, k, all, lo, hi,
        )  # fmt: skip
