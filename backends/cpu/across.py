"""Pictures across images: for networks of few channels, images lie side by side in the lanes.

``x[((n // LANES * c + channel) * positions + p) * LANES + n % LANES]``: a block of ``LANES`` images
is a task of every kernel, so that kernels can run block after block in one thread's cache. The last
block is filled up with images that nobody looks at: they begin as zeros.
"""

from __future__ import annotations

from netdsl.backends.cpu.across_quotient import vquotient
from netdsl.backends.cpu.across_turn import turn_square
from netdsl.backends.cpu.activation import tanh_terms
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vless, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real


def across_tasks(n):
    """A task for every block of images."""
    return (n + LANES - 1) // LANES


@device
def quick_tanh(x):
    """``tanh`` as `tanh_of`, but for the quotient: within 6 units in the last place."""
    return vquotient(*tanh_terms(x))


@device
def slope_of(y, act, low, high):
    """The derivative of an activation, of what it gave: of a clamp (0) or of ``tanh`` (1)."""
    zero, one = vall(real(0)), vall(real(1))
    return one - y * y if act == 1 else vless(low, y, vless(y, high, one, zero), zero)


@device
def first_place(start, stride):
    """The first place of an axis that does not lie before the input; ``start`` is the first's."""
    return max(0, -(start // stride))


@device
def end_place(start, stride, size, out):
    """One after the last place of an axis that does not lie behind the input."""
    return min(out, (size - 1 - start) // stride + 1)


@device
def put_zeros(out, o, count):
    """Write so many vectors of zeros."""
    zero = vall(real(0))
    for i in range(o, o + count * LANES, LANES):
        vstore(out, i, zero)


@device
def copy_vectors(out, o, x, i, count):
    """Copy so many vectors."""
    for k in range(0, count * LANES, LANES):
        vstore(out, o + k, vload(x, i + k))


@task(tasks=across_tasks)
def to_across(first, last, scratch, out, x, n: int, c: int, positions: int):
    """Across images from the logical order: images, channels, positions."""
    size = c * positions
    for t in range(first, last):
        for j in range(0, size, LANES):
            turn_square(
                out, (t * size + j) * LANES, LANES, x, t * LANES * size + j, size,
                min(LANES, n - t * LANES), min(LANES, size - j), LANES, 0,
            )  # fmt: skip


@task(tasks=across_tasks)
def from_across(first, last, scratch, out, x, n: int, c: int, positions: int, add: int):
    """The logical order from across images: images, channels, positions."""
    size = c * positions
    for t in range(first, last):
        for j in range(0, size, LANES):
            count = min(LANES, size - j)
            turn_square(
                out, t * LANES * size + j, size, x, (t * size + j) * LANES, LANES,
                count, min(LANES, n - t * LANES), count, add,
            )  # fmt: skip
