"""Local response normalisation on the CPU: along the channels of every position.

Nothing is kept for the backward pass: the divisors are made anew, which costs less than reading
them. The power 0.75 of the paper is two square roots; other powers are taken number by number.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_or_add, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import clear_vectors
from netdsl.backends.cpu.simd import vall, vfma, vload, vsqrt, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

STRETCH = 64
"""A task goes over so many positions."""


def lrn_tasks(count: int) -> int:
    """A task for every stretch of positions."""
    return (count + STRETCH - 1) // STRETCH


def lrn_memory(c: int, size: int) -> int:
    """Squares or products with zeros around, divisors and powers of a position."""
    return 3 * (c + 2 * size + 2 * LANES)


@device
def window_sum(row, at, size):
    """The sum of ``size`` numbers from each place on."""
    total = vload(row, at)
    for j in range(1, size):
        total = total + vload(row, at + j)
    return total


@routine
def divisors(scratch, scale, power, x, i, c, size, before, alpha, beta, k):
    """``scale = k + alpha * sum of squares`` of the neighbours, and ``scale ** -beta``."""
    for j in range(0, c, LANES):
        v = take_vector(x, i + j, c - j)
        vstore(scratch, before + j, v * v)
    clear_vectors(scratch, before + c, size)
    for j in range(0, c, LANES):
        s = vfma(vall(real(alpha)), window_sum(scratch, j, size), vall(real(k)))
        vstore(scratch, scale + j, s)
        if beta == 0.75:
            root = vsqrt(s)
            vstore(scratch, power + j, vall(real(1)) / (root * vsqrt(root)))
    if beta != 0.75:
        for j in range(c):
            scratch[power + j] = scratch[scale + j] ** real(-beta)


# fmt: off
@task(tasks=lrn_tasks, memory=lrn_memory)
def lrn_forward(
    first, last, scratch, out, x, count: int, c: int, size: int, before: int,
    step: int, x_step: int, alpha: float, beta: float, k: float,
):
    """``y = x / (k + alpha * sum of x ** 2 over the window) ** beta``."""
    # fmt: on
    scale = c + 2 * size + 2 * LANES
    power = 2 * scale
    clear_vectors(scratch, 0, before)
    for p in range(first * STRETCH, min(count, last * STRETCH)):
        divisors(scratch, scale, power, x, p * x_step, c, size, before, alpha, beta, k)
        for j in range(0, c, LANES):
            v = take_vector(x, p * x_step + j, c - j) * vload(scratch, power + j)
            put_vector(out, p * step + j, v, c - j)


# fmt: off
@task(tasks=lrn_tasks, memory=lrn_memory)
def lrn_backward(
    first, last, scratch, out, x, dy, count: int, c: int, size: int, before: int,
    step: int, x_step: int, y_step: int, add: int, alpha: float, beta: float, k: float,
):
    """``dx = dy * s ** -beta - 2 alpha beta x * sum of dy * y / s`` over those who see it."""
    # fmt: on
    scale = c + 2 * size + 2 * LANES
    power, after = 2 * scale, size - 1 - before
    factor = vall(real(-2 * alpha * beta))
    for p in range(first * STRETCH, min(count, last * STRETCH)):
        i, o = p * x_step, p * step
        clear_vectors(scratch, 0, before)
        divisors(scratch, scale, power, x, i, c, size, before, alpha, beta, k)
        clear_vectors(scratch, 0, after)
        for j in range(0, c, LANES):
            v = take_vector(x, i + j, c - j) * take_vector(dy, p * y_step + j, c - j)
            v = v * vload(scratch, power + j) / vload(scratch, scale + j)
            vstore(scratch, after + j, v)
        clear_vectors(scratch, after + c, size)
        for j in range(0, c, LANES):
            around = window_sum(scratch, j, size) * take_vector(x, i + j, c - j)
            v = take_vector(dy, p * y_step + j, c - j) * vload(scratch, power + j)
            v = vfma(factor, around, v)
            put_or_add(out, o + j, v, add, c - j)
