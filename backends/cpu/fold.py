"""A normalisation whose statistics stand still, as a part of the weights that it follows."""

from __future__ import annotations

from netdsl.backends.override import task


def fold_tasks(co):
    """A task for every channel."""
    return co


@task(tasks=fold_tasks)
def fold_weight(first, last, scratch, out, weight, coef, co: int, size: int):
    """``out[o, j] = coef[0, o] * weight[o, j]`` for ``size`` numbers of each of ``co`` channels."""
    for o in range(first, last):
        for j in range(size):
            out[o * size + j] = coef[o] * weight[o * size + j]


@task()
def fold_bias(first, last, scratch, out, bias, coef, co: int):
    """``out = coef[0] * bias + coef[1]``; there may be no bias."""
    for o in range(co):
        out[o] = coef[co + o]
        if bias.size:
            out[o] += coef[o] * bias[o]
