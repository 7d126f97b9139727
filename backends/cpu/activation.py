"""Activations on the CPU that vectors compute faster than the library: over flat arrays."""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_or_add, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vmax, vmin, vmost
from netdsl.backends.override import task
from netdsl.kernel import device, real

FLAT = 1 << 14
"""So many elements are a task."""


def flat_tasks(size):
    """A task for every so many elements."""
    return (size + FLAT - 1) // FLAT


@device
def tanh_terms(x):
    """What ``tanh`` is the quotient of, in single precision: the rational function of Eigen."""
    v = vmin(vall(real(7.9053111076)), vmax(vall(real(-7.9053111076)), x))
    s = v * v
    p = vfma(s, vall(real(-2.76076847742355e-16)), vall(real(2.00018790482477e-13)))
    p = vfma(s, p, vall(real(-8.60467152213735e-11)))
    p = vfma(s, p, vall(real(5.12229709037114e-08)))
    p = vfma(s, p, vall(real(1.48572235717979e-05)))
    p = vfma(s, p, vall(real(6.37261928875436e-04)))
    p = vfma(s, p, vall(real(4.89352455891786e-03)))
    q = vfma(s, vall(real(1.19825839466702e-06)), vall(real(1.18534705686654e-04)))
    q = vfma(s, q, vall(real(2.26843463243900e-03)))
    q = vfma(s, q, vall(real(4.89352518554385e-03)))
    return v * p, q


@device
def tanh_of(x):
    """``tanh`` within 5 units in the last place of a float32."""
    above, below = tanh_terms(x)
    return above / below


@device
def halved(p, n, times, factor):
    """``p`` halved so many times where ``n`` has them still to go."""
    there = vall(real(times))
    return vmost(there, n, p * vall(real(factor)), p), vmost(there, n, n - there, n)


@device
def power_of_e(x):
    """``exp(-x)`` for ``x >= 0`` within 3 units in the last place of a float32; a NaN stays one.

    ``x = n * ln 2 + r``: a polynomial in ``r`` times a power of two, of which each bit of ``n`` is
    a factor. Beyond 87 it is that of 87, about the least normal number.
    """
    x = vmin(vall(real(87)), x)
    magic = vall(real(12582912))  # 1.5 * 2 ** 23: what is added to it is rounded to whole numbers
    n = vfma(x, vall(real(1.4426950408889634)), magic) - magic
    r = vfma(n, vall(real(-0.693145751953125)), x)
    r = vfma(n, vall(real(-1.42860682030941723e-06)), r)
    p = vfma(r, vall(real(-1 / 5040)), vall(real(1 / 720)))
    p = vfma(r, p, vall(real(-1 / 120)))
    p = vfma(r, p, vall(real(1 / 24)))
    p = vfma(r, p, vall(real(-1 / 6)))
    p = vfma(r, p, vall(real(1 / 2)))
    p = vfma(r, p, vall(real(-1)))
    p = vfma(r, p, vall(real(1)))
    p, n = halved(p, n, 64, 2.0**-64)
    p, n = halved(p, n, 32, 2.0**-32)
    p, n = halved(p, n, 16, 2.0**-16)
    p, n = halved(p, n, 8, 2.0**-8)
    p, n = halved(p, n, 4, 2.0**-4)
    p, n = halved(p, n, 2, 2.0**-2)
    p, n = halved(p, n, 1, 2.0**-1)
    return p


@task(tasks=flat_tasks)
def tanh_forward(first, last, scratch, out, x, size: int, add: int):
    """``tanh`` of every element; for float32."""
    for i in range(first * FLAT, min(last * FLAT, size), LANES):
        v = take_vector(x, i, size - i)
        put_or_add(out, i, vmost(v, v, tanh_of(v), v), add, size - i)


@task(tasks=flat_tasks)
def sigmoid_forward(first, last, scratch, out, x, size: int, add: int):
    """``1 / (1 + exp(-x))`` of every element; for float32."""
    zero, one = vall(real(0)), vall(real(1))
    for i in range(first * FLAT, min(last * FLAT, size), LANES):
        v = take_vector(x, i, size - i)
        small = power_of_e(vmax(v, zero - v))
        y = vmost(zero, v, one, small) / (one + small)
        put_or_add(out, i, vmost(v, v, y, v), add, size - i)
