"""Tensors that are not there yet: what a kernel reads is made while it is read.

A kernel that reads ``x`` is given three arrays and two numbers. ``x`` alone is the tensor. With
``coef`` it is ``min(max(coef[0] * x + coef[1], lo), hi)`` for every channel: a normalisation and
the activation behind it, which so are never written. With ``ref`` it is a gradient, of which only
what passed the activation goes on: ``x`` where ``lo < ref < hi``, else 0. With both it is the
gradient of normalisation and activation, ``coef[2] * x + coef[3] * ref + coef[4]``, where ``x``
counts as 0 unless ``lo < coef[0] * ref + coef[1] < hi``. An array of no size is one that is not
given. Pictures are laid out with the channels last.
"""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import (
    vall,
    vfma,
    vless,
    vload,
    vload_part,
    vmax,
    vmin,
    vstore,
    vstore_part,
)
from netdsl.kernel import device, real, routine


@device
def take_vector(array, index, count):
    """A vector of an array, or the part of it that is wanted."""
    return vload(array, index) if count >= LANES else vload_part(array, index, count)


@device
def put_vector(array, index, value, count):
    """Write a vector, or the part of it that is wanted."""
    if count >= LANES:
        vstore(array, index, value)
    else:
        vstore_part(array, index, value, count)


@device
def put_or_add(array, index, value, add, count):
    """Write a vector, or the part of it that is wanted, or add it to what is there."""
    put_vector(array, index, take_vector(array, index, count) + value if add else value, count)


@device
def value_of(x, scale, shift, low, high):
    """``min(max(scale * x + shift, low), high)``; a NaN stays one."""
    return vmin(high, vmax(low, vfma(scale, x, shift)))


@device
def passed(dy, at, low, high):
    """``dy`` where ``low < at < high``, else 0."""
    zero = vall(real(0))
    return vless(low, at, vless(at, high, dy, zero), zero)


@routine
def fetch(out, o, step, count, channels, x, i, x_step, ref, r, ref_step, coef, k, all, lo, hi):
    """Make ``channels`` channels of ``count`` positions in a row.

    Positions are ``step``, ``x_step`` and ``ref_step`` apart and begin at ``o``, ``i`` and ``r``.
    ``coef`` has rows of ``all`` channels, of which ``k`` is the first that is wanted.
    """
    low, high = vall(real(lo)), vall(real(hi))
    if coef.size == 0 and ref.size == 0 and step == channels and x_step == channels:
        channels, count = channels * count, 1  # a single run of numbers
    for c in range(0, channels, LANES):
        left = channels - c
        if coef.size == 0 and ref.size == 0:
            for p in range(count):
                put_vector(out, o + p * step + c, take_vector(x, i + p * x_step + c, left), left)
        elif coef.size == 0:
            for p in range(count):
                v = take_vector(ref, r + p * ref_step + c, left)
                dy = passed(take_vector(x, i + p * x_step + c, left), v, low, high)
                put_vector(out, o + p * step + c, dy, left)
        else:
            scale = take_vector(coef, k + c, left)
            shift = take_vector(coef, all + k + c, left)
            if ref.size == 0:
                for p in range(count):
                    v = take_vector(x, i + p * x_step + c, left)
                    v = value_of(v, scale, shift, low, high)
                    put_vector(out, o + p * step + c, v, left)
            else:
                a = take_vector(coef, 2 * all + k + c, left)
                b = take_vector(coef, 3 * all + k + c, left)
                d = take_vector(coef, 4 * all + k + c, left)
                for p in range(count):
                    v = take_vector(ref, r + p * ref_step + c, left)
                    dy = take_vector(x, i + p * x_step + c, left)
                    dy = passed(dy, vfma(scale, v, shift), low, high)
                    put_vector(out, o + p * step + c, vfma(a, dy, vfma(b, v, d)), left)
