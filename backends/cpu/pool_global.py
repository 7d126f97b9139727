"""Global pooling on the CPU: a number for every channel of a picture."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import put_or_add, put_vector, take_vector, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool import factor_memory, factors, put_four
from netdsl.backends.cpu.pool_average import valued
from netdsl.backends.cpu.pool_max import greater
from netdsl.backends.cpu.rows import pitch_of
from netdsl.backends.cpu.simd import vall, vload, vmost
from netdsl.backends.override import task
from netdsl.kernel import device, real

PART = 64
"""A task looks at so many channels of an image."""
RUN = 64
"""So many positions are added up in sequence, and are a task backward."""


def part_tasks(n, c):
    """A task for every image and block of channels."""
    return n * ((c + PART - 1) // PART)


def run_tasks(n, positions):
    """A task for some positions of an image."""
    return n * ((positions + RUN - 1) // RUN)


def shares_memory(c):
    """What every position of an image gets."""
    return c


@device
def sum_of_four(out, o, x, i, x_step, k, positions, table, pitch, low, high):
    """The means of four vectors of channels over all positions."""
    zero, whole = vall(real(0)), vall(real(positions))
    v0, v1, v2, v3 = zero, zero, zero, zero
    m0, m1, m2, m3 = k, k + LANES, k + 2 * LANES, k + 3 * LANES
    for p in range(0, positions, RUN):
        r0, r1, r2, r3 = zero, zero, zero, zero
        for q in range(p, min(positions, p + RUN)):
            at = i + q * x_step
            r0 = r0 + valued(x, at + m0, table, pitch, m0, low, high)
            r1 = r1 + valued(x, at + m1, table, pitch, m1, low, high)
            r2 = r2 + valued(x, at + m2, table, pitch, m2, low, high)
            r3 = r3 + valued(x, at + m3, table, pitch, m3, low, high)
        v0, v1, v2, v3 = v0 + r0, v1 + r1, v2 + r2, v3 + r3
    put_four(out, o + k, v0 / whole, v1 / whole, v2 / whole, v3 / whole)


# fmt: off
@task(tasks=part_tasks, memory=factor_memory)
def global_average(
    first, last, scratch, out, x, coef,
    n: int, c: int, positions: int, x_step: int, lo: float, hi: float,
):
    """The mean of every channel over all positions; ``out`` is ``n`` rows of ``c``."""
    parts, pitch = (c + PART - 1) // PART, pitch_of(c)
    low, high = factors(scratch, coef, c, lo, hi)
    for t in range(first, last):
        begin, end = t % parts * PART, min(c, t % parts * PART + PART)
        i, o = t // parts * positions * x_step, t // parts * c
        four = begin + (end - begin) // (4 * LANES) * (4 * LANES)
        for k in range(begin, four, 4 * LANES):
            sum_of_four(out, o, x, i, x_step, k, positions, scratch, pitch, low, high)
        for k in range(four, end, LANES):
            scale, shift, total = vload(scratch, k), vload(scratch, pitch + k), vall(real(0))
            for p in range(0, positions, RUN):
                run = vall(real(0))
                for q in range(p, min(positions, p + RUN)):
                    v = take_vector(x, i + k + q * x_step, c - k)
                    run = run + value_of(v, scale, shift, low, high)
                total = total + run
            put_vector(out, o + k, total / vall(real(positions)), c - k)
# fmt: on


@task(tasks=run_tasks, memory=shares_memory)
def global_average_backward(
    first, last, scratch, out, dy, n: int, c: int, positions: int, step: int, add: int
):
    """The gradient by the input of `global_average`: all positions share alike."""
    runs = (positions + RUN - 1) // RUN
    for t in range(first, last):
        image, p = t // runs, t % runs * RUN
        for k in range(c):
            scratch[k] = dy[image * c + k] / real(positions)
        for q in range(p, min(positions, p + RUN)):
            o = (image * positions + q) * step
            for k in range(0, c, LANES):
                v = take_vector(scratch, k, c - k)
                put_or_add(out, o + k, v, add, c - k)


# fmt: off
@task(tasks=part_tasks, memory=factor_memory, writes=("out", "index"))
def global_max(
    first, last, scratch, out, index, x, coef,
    n: int, c: int, positions: int, x_step: int, lo: float, hi: float,
):
    """The maximum of every channel over all positions; a NaN wins.

    ``index``, where it is given, gets the position of the first of equal ones.
    """
    parts, pitch = (c + PART - 1) // PART, pitch_of(c)
    low, high = factors(scratch, coef, c, lo, hi)
    for t in range(first, last):
        image, begin = t // parts, t % parts * PART
        for k in range(begin, min(c, begin + PART), LANES):
            scale, shift = vload(scratch, k), vload(scratch, pitch + k)
            i, best, where = image * positions * x_step + k, vall(real(-np.inf)), vall(real(0))
            for p in range(positions):
                v = value_of(take_vector(x, i + p * x_step, c - k), scale, shift, low, high)
                where = greater(best, v, vall(real(p)), where)
                best = greater(best, v, v, best)
            put_vector(out, image * c + k, best, c - k)
            if index.size:
                put_vector(index, image * c + k, where, c - k)
# fmt: on


@task(tasks=run_tasks)
def global_max_backward(
    first, last, scratch, out, index, dy, n: int, c: int, positions: int, step: int, add: int
):
    """The gradient by the input of `global_max`: the maximum gets it, all others nothing."""
    runs, zero = (positions + RUN - 1) // RUN, vall(real(0))
    for t in range(first, last):
        image, p = t // runs, t % runs * RUN
        for q in range(p, min(positions, p + RUN)):
            o, here = (image * positions + q) * step, vall(real(q))
            for k in range(0, c, LANES):
                won = take_vector(index, image * c + k, c - k)
                v = take_vector(dy, image * c + k, c - k)
                v = vmost(won, here, vmost(here, won, v, zero), zero)
                put_or_add(out, o + k, v, add, c - k)
