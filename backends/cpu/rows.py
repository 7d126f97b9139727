"""Tensors with the channels last as rows of vectors, for kernels that only go through them.

Where positions follow each other without gaps, several of them are one row: so also few or odd
channels fill the vectors. What is said for every channel is spread over a row, into a table.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vstore
from netdsl.kernel import device, real

AMOUNT = 1 << 14
"""About so many numbers are a task."""
LEAST = 16
"""A task has at least so many positions."""
SHORT = 8
"""A row has at least so many vectors where positions can be joined."""
WIDE = 1024
"""A row that joins positions has no more numbers than this."""


def pieces(count, c):
    """Into how many tasks so many positions fall apart."""
    size = max(AMOUNT // c, LEAST)
    return (count + size - 1) // size


@device
def piece_of(c):
    """So many positions of all their channels are a task."""
    return max(AMOUNT // c, LEAST)


def tables(c):
    """The memory for a table of five rows."""
    return 5 * ((max(c, WIDE) + LANES - 1) // LANES * LANES)


@device
def pitch_of(c):
    """How far the rows of a table are apart: there is room for the longest."""
    return (max(c, WIDE) + LANES - 1) // LANES * LANES


@device
def joined(channels, dense):
    """How many positions are a row."""
    if not dense:
        return 1
    least = LANES // min(channels & -channels, LANES)  # so many fill whole vectors
    if least * channels > WIDE:
        return 1
    return least * max(1, SHORT * LANES // (least * channels))


@device
def spread(table, start, wide, array, k, channels):
    """What an array says of the channels from ``k`` on, for all positions of a row."""
    for c in range(0, channels, LANES):
        v = take_vector(array, k + c, channels - c)
        for j in range(0, wide, channels):
            put_vector(table, start + j + c, v, channels - c)


@device
def fill(table, start, wide, number):
    """The same number for all of a row."""
    for j in range(0, wide, LANES):
        vstore(table, start + j, vall(real(number)))


@device
def spread_line(table, start, pitch, wide, coef, k, channels, all):
    """The factor and the summand of a tensor that goes forward; the first two rows of ``coef``."""
    if coef.size:
        spread(table, start, wide, coef, k, channels)
        spread(table, start + pitch, wide, coef, all + k, channels)
    else:
        fill(table, start, wide, 1.0)
        fill(table, start + pitch, wide, -0.0)  # x + -0 is x, -0 among them


@device
def sum_of_rows(x, i, step, rows, left):
    """The sum of a vector of all rows, in their order."""
    total = take_vector(x, i, left)
    for r in range(1, rows):
        total = total + take_vector(x, i + r * step, left)
    return total


@device
def clear_vectors(out, o, count):
    """Zeros, in whole vectors."""
    for i in range(o, o + count, LANES):
        vstore(out, i, vall(real(0)))


@device
def fold(sums, at, table, start, wide, channels):
    """Add what a row holds to the sums of the channels."""
    for c in range(0, channels, LANES):
        total = take_vector(sums, at + c, channels - c)
        for j in range(0, wide, channels):
            total = total + take_vector(table, start + j + c, channels - c)
        put_vector(sums, at + c, total, channels - c)
