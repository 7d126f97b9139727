"""Optimizers on the CPU: one pass over weights, gradients and what is kept for each of them."""

from __future__ import annotations

import math

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vsqrt
from netdsl.backends.override import task
from netdsl.kernel import real, routine

WEIGHTS = 1 << 14
"""So many weights are a task."""


def weight_tasks(size: int) -> int:
    """A task for every so many weights."""
    return (size + WEIGHTS - 1) // WEIGHTS


@routine
def sgd_part(out, velocity, at, count, g, g_at, nesterov, lr, momentum, weight_decay):
    """``v = momentum * v + g + weight_decay * p``, ``p = p - lr * v``, or Nesterov's form.

    For ``count`` weights from ``at`` on; their gradients begin at ``g_at``.
    """
    rate, keep, decay = vall(real(lr)), vall(real(momentum)), vall(real(weight_decay))
    for i in range(0, count, LANES):
        left = count - i
        p = take_vector(out, at + i, left)
        slope = vfma(decay, p, take_vector(g, g_at + i, left))
        v = vfma(keep, take_vector(velocity, at + i, left), slope)
        put_vector(velocity, at + i, v, left)
        v = vfma(keep, v, slope) if nesterov else v
        put_vector(out, at + i, p - rate * v, left)


@routine
def adam_part(out, m, v, at, count, g, g_at, step, lr, beta1, beta2, eps, weight_decay):
    """Means of gradients and of their squares, and a step by their corrected quotient.

    For ``count`` weights from ``at`` on; their gradients begin at ``g_at``.
    """
    # The corrections stay in double: 1 - beta2**step would lose digits in the first steps.
    rate = vall(real(lr / (1 - beta1**step)))
    root = vall(real(1 / math.sqrt(1 - beta2**step)))
    old1, new1, old2, new2 = (
        vall(real(beta1)), vall(real(1 - beta1)), vall(real(beta2)), vall(real(1 - beta2)),
    )  # fmt: skip
    decay, least = vall(real(weight_decay)), vall(real(eps))
    for i in range(0, count, LANES):
        left = count - i
        p = take_vector(out, at + i, left)
        slope = vfma(decay, p, take_vector(g, g_at + i, left))
        mean = vfma(old1, take_vector(m, at + i, left), new1 * slope)
        square = vfma(old2, take_vector(v, at + i, left), new2 * slope * slope)
        put_vector(m, at + i, mean, left)
        put_vector(v, at + i, square, left)
        put_vector(out, at + i, p - rate * mean / vfma(vsqrt(square), root, least), left)


# fmt: off
@task(tasks=weight_tasks, writes=("out", "velocity"))
def sgd_step(
    first, last, scratch, out, velocity, g, size: int, nesterov: int,
    lr: float, momentum: float, weight_decay: float,
):
    """A step of `sgd_part` for all weights."""
    # fmt: on
    at = first * WEIGHTS
    count = min(size, last * WEIGHTS) - at
    sgd_part(out, velocity, at, count, g, at, nesterov, lr, momentum, weight_decay)


# fmt: off
@task(tasks=weight_tasks, writes=("out", "m", "v"))
def adam_step(
    first, last, scratch, out, m, v, g, size: int, step: int,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
):
    """A step of `adam_part` for all weights."""
    # fmt: on
    at = first * WEIGHTS
    count = min(size, last * WEIGHTS) - at
    adam_part(out, m, v, at, count, g, at, step, lr, beta1, beta2, eps, weight_decay)
