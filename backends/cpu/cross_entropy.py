"""Cross-entropy from logits: softmax, logarithm and gradient of a vector of positions.

The scores of a few positions are brought into the thread's own memory, class by class: so each
position has a lane, and sums over the classes need no other. Where the channels come last (or there
is one position) they are turned, else they lie so. In single precision, for `power_of_e` is.
"""

from __future__ import annotations

import math

from netdsl.backends.cpu.activation import power_of_e
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import copy_rows, turn_rows
from netdsl.backends.cpu.simd import vall, vload, vmax, vstore
from netdsl.backends.override import task, words
from netdsl.kernel import real, routine


def entropy_tasks(n, positions, planes):
    """A task for every few positions; of one image where each class has a plane."""
    if planes:
        return n * ((positions + LANES - 1) // LANES)
    return (n * positions + LANES - 1) // LANES


def entropy_memory(c):
    """The scores of a few positions."""
    return (c + 1) * LANES


@routine
def scores_of(t, n, positions, planes):
    """The first position of a task, how many it has, and its image."""
    if not planes:
        return t * LANES, min(LANES, n * positions - t * LANES), 0
    each = -(-positions // LANES)
    s = t % each * LANES
    return t // each * positions + s, min(LANES, positions - s), t // each


@routine
def bring(scratch, x, p, some, image, c, positions, step, planes):
    """The scores of some positions, class by class."""
    if planes:
        at = image * (c - 1) * positions + p
        copy_rows(scratch, 0, LANES, c, some, x, at, positions)
    else:
        turn_rows(scratch, 0, LANES, x, p * step, step, some, c, LANES)


# fmt: off
@task(tasks=entropy_tasks, memory=entropy_memory, writes=("out", "log_sum"))
def cross_entropy_forward(
    first, last, scratch, out, log_sum, x, target: words, n: int, c: int, positions: int,
    step: int, planes: int, smoothing: float,
):
    """``out = log_sum - x[target]`` and ``log_sum = log(sum(exp(x)))`` of every position."""
    # fmt: on
    for t in range(first, last):
        p, some, image = scores_of(t, n, positions, planes)
        bring(scratch, x, p, some, image, c, positions, step, planes)
        largest = vload(scratch, 0)
        for k in range(1, c):
            largest = vmax(vload(scratch, k * LANES), largest)
        total = vall(real(0))
        for k in range(c):
            total = total + power_of_e(largest - vload(scratch, k * LANES))
        vstore(scratch, c * LANES, total)
        for j in range(some):
            scratch[c * LANES + j] = math.log(scratch[c * LANES + j])
        total = largest + vload(scratch, c * LANES)
        put_vector(log_sum, p, total, some)
        apart = vall(real(0))
        if smoothing > 0:
            for k in range(c):
                apart = apart + (total - vload(scratch, k * LANES))
        vstore(scratch, c * LANES, apart)
        for j in range(some):
            loss = log_sum[p + j] - scratch[target[p + j] * LANES + j]
            if smoothing > 0:
                spread = real(smoothing) * scratch[c * LANES + j] / real(c)
                loss = real(1 - smoothing) * loss + spread
            out[p + j] = loss


# fmt: off
@task(tasks=entropy_tasks, memory=entropy_memory)
def cross_entropy_backward(
    first, last, scratch, out, x, log_sum, target: words, n: int, c: int, positions: int,
    step: int, x_step: int, planes: int, smoothing: float, scale: float,
):
    """``out = (exp(x - log_sum) - wanted) * scale``, over the number of positions."""
    # fmt: on
    share, less = vall(real(scale) / real(n * positions)), vall(real(smoothing) / real(c))
    for t in range(first, last):
        p, some, image = scores_of(t, n, positions, planes)
        bring(scratch, x, p, some, image, c, positions, x_step, planes)
        sums = take_vector(log_sum, p, some)
        for k in range(c):
            chance = power_of_e(sums - vload(scratch, k * LANES))
            vstore(scratch, k * LANES, chance - less)
        for j in range(some):
            scratch[target[p + j] * LANES + j] -= real(1 - smoothing)
        for k in range(c):
            vstore(scratch, k * LANES, vload(scratch, k * LANES) * share)
        if planes:
            at = image * (c - 1) * positions + p
            copy_rows(out, at, positions, c, some, scratch, 0, LANES)
        else:
            turn_rows(out, p * step, step, scratch, 0, LANES, c, some, c)
