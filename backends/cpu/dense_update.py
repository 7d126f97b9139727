"""Large dense layers: a step of the optimizer that makes the gradient as it goes.

The gradient by the weights is a product of two small matrices, ``dy.T @ x``. A task multiplies a
block of it into its own memory, as `dense_weight` does, and has the optimizer use it at once. So
the gradient, as large as the weights, is neither written nor held.
"""

from __future__ import annotations

from netdsl.backends.cpu.dense_plan import BLOCK, HIGH, SIDE, block_numbers
from netdsl.backends.cpu.dense_weight import PANELS, block_of, weight_block
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.optimizer import adam_part, sgd_part
from netdsl.backends.override import task
from netdsl.kernel import real, routine

WIDE = SIDE + 2 * LANES
"""So far apart are the rows of a block."""


def dense_update_tasks(high, wide):
    """A task for every block of outputs and block of inputs."""
    return high * wide


def dense_update_memory():
    """What `weight_block` wants, and a block."""
    return PANELS + (BLOCK + 1) * HIGH * WIDE


@routine
def gradient_block(scratch, dbias, x, y, n, ci, co, t, high, wide):
    """Make the block of a task, behind the panels; its outputs and its inputs."""
    begin, end, o0, o1, i0, i1 = block_of(t, ci, co, high, wide)
    sums = dbias if t % wide == 0 else dbias[:0]
    if sums.size:
        sums[o0:o1] = real(0)
    weight_block(
        scratch, scratch, PANELS, WIDE, 0, sums, x, y, y[:0], y[:0], ci, co, ci, co, 0,
        real(0), real(0), 0, n, begin, end, i0, i1,
    )  # fmt: skip
    return o0, o1, i0, i1


# fmt: off
@task(
    tasks=dense_update_tasks, memory=dense_update_memory, writes=("out", "velocity", "dbias"),
    plan=block_numbers, planned=("high", "wide"),
)
def dense_sgd(
    first, last, scratch, out, velocity, dbias, x, y, n: int, ci: int, co: int, nesterov: int,
    lr: float, momentum: float, weight_decay: float, high: int, wide: int,
):
    """`sgd_part` with ``dy.T @ x``; ``dbias`` gets the sums of ``dy``."""
    # fmt: on
    for t in range(first, last):
        o0, o1, i0, i1 = gradient_block(scratch, dbias, x, y, n, ci, co, t, high, wide)
        for o in range(o0, o1):
            sgd_part(
                out, velocity, o * ci + i0, i1 - i0, scratch, PANELS + (o - o0) * WIDE,
                nesterov, lr, momentum, weight_decay,
            )  # fmt: skip


# fmt: off
@task(
    tasks=dense_update_tasks, memory=dense_update_memory, writes=("out", "m", "v", "dbias"),
    plan=block_numbers, planned=("high", "wide"),
)
def dense_adam(
    first, last, scratch, out, m, v, dbias, x, y, n: int, ci: int, co: int, step: int,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, high: int, wide: int,
):
    """`adam_part` with ``dy.T @ x``; ``dbias`` gets the sums of ``dy``."""
    # fmt: on
    for t in range(first, last):
        o0, o1, i0, i1 = gradient_block(scratch, dbias, x, y, n, ci, co, t, high, wide)
        for o in range(o0, o1):
            adam_part(
                out, m, v, o * ci + i0, i1 - i0, scratch, PANELS + (o - o0) * WIDE,
                step, lr, beta1, beta2, eps, weight_decay,
            )  # fmt: skip
