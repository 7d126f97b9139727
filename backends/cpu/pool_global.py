"""Global pooling on the CPU: a number for every channel of a picture."""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import put_vector, take_vector, value_of
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.pool_max import greater
from netdsl.backends.cpu.simd import vall, vmost
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
def factors(coef, k, c, lo, hi, left):
    """How a tensor is made: factor, summand and bounds; they change nothing without ``coef``."""
    if coef.size:
        scale, shift = take_vector(coef, k, left), take_vector(coef, c + k, left)
        return scale, shift, vall(real(lo)), vall(real(hi))
    return vall(real(1)), vall(real(-0.0)), vall(real(-np.inf)), vall(real(np.inf))


# fmt: off
@task(tasks=part_tasks)
def global_average(
    first, last, scratch, out, x, coef,
    n: int, c: int, positions: int, x_step: int, lo: float, hi: float,
):
    """The mean of every channel over all positions; ``out`` is ``n`` rows of ``c``."""
    parts = (c + PART - 1) // PART
    for t in range(first, last):
        image, begin = t // parts, t % parts * PART
        for k in range(begin, min(c, begin + PART), LANES):
            scale, shift, low, high = factors(coef, k, c, lo, hi, c - k)
            i, total = image * positions * x_step + k, vall(real(0))
            for p in range(0, positions, RUN):
                run = vall(real(0))
                for q in range(p, min(positions, p + RUN)):
                    v = take_vector(x, i + q * x_step, c - k)
                    run = run + value_of(v, scale, shift, low, high)
                total = total + run
            put_vector(out, image * c + k, total / vall(real(positions)), c - k)
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
                put_vector(out, o + k, take_vector(out, o + k, c - k) + v if add else v, c - k)


# fmt: off
@task(tasks=part_tasks, writes=("out", "index"))
def global_max(
    first, last, scratch, out, index, x, coef,
    n: int, c: int, positions: int, x_step: int, lo: float, hi: float,
):
    """The maximum of every channel over all positions; a NaN wins.

    ``index``, where it is given, gets the position of the first of equal ones.
    """
    parts = (c + PART - 1) // PART
    for t in range(first, last):
        image, begin = t // parts, t % parts * PART
        for k in range(begin, min(c, begin + PART), LANES):
            scale, shift, low, high = factors(coef, k, c, lo, hi, c - k)
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
                put_vector(out, o + k, take_vector(out, o + k, c - k) + v if add else v, c - k)
