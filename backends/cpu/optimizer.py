"""Optimizers on the CPU: one pass over weights, gradients and what is kept for each of them."""

from __future__ import annotations

import math

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vsqrt
from netdsl.backends.override import task
from netdsl.kernel import real

WEIGHTS = 1 << 14
"""So many weights are a task."""


def weight_tasks(size: int) -> int:
    """A task for every so many weights."""
    return (size + WEIGHTS - 1) // WEIGHTS


# fmt: off
@task(tasks=weight_tasks, writes=("out", "velocity"))
def sgd_step(
    first, last, scratch, out, velocity, g, size: int, nesterov: int,
    lr: float, momentum: float, weight_decay: float,
):
    """``v = momentum * v + g + weight_decay * p``, ``p = p - lr * v``, or Nesterov's form."""
    # fmt: on
    rate, keep, decay = vall(real(lr)), vall(real(momentum)), vall(real(weight_decay))
    for i in range(first * WEIGHTS, min(size, last * WEIGHTS), LANES):
        p = take_vector(out, i, size - i)
        slope = vfma(decay, p, take_vector(g, i, size - i))
        v = vfma(keep, take_vector(velocity, i, size - i), slope)
        put_vector(velocity, i, v, size - i)
        v = vfma(keep, v, slope) if nesterov else v
        put_vector(out, i, p - rate * v, size - i)


# fmt: off
@task(tasks=weight_tasks, writes=("out", "m", "v"))
def adam_step(
    first, last, scratch, out, m, v, g, size: int, step: int,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
):
    """Means of gradients and of their squares, and a step by their corrected quotient."""
    # fmt: on
    # The corrections stay in double: 1 - beta2**step would lose digits in the first steps.
    rate = vall(real(lr / (1 - beta1**step)))
    root = vall(real(1 / math.sqrt(1 - beta2**step)))
    old1, new1, old2, new2 = (
        vall(real(beta1)), vall(real(1 - beta1)), vall(real(beta2)), vall(real(1 - beta2)),
    )  # fmt: skip
    decay, least = vall(real(weight_decay)), vall(real(eps))
    for i in range(first * WEIGHTS, min(size, last * WEIGHTS), LANES):
        left = size - i
        p = take_vector(out, i, left)
        slope = vfma(decay, p, take_vector(g, i, left))
        mean = vfma(old1, take_vector(m, i, left), new1 * slope)
        square = vfma(old2, take_vector(v, i, left), new2 * slope * slope)
        put_vector(m, i, mean, left)
        put_vector(v, i, square, left)
        put_vector(out, i, p - rate * mean / vfma(vsqrt(square), root, least), left)
