"""Pictures from channels first to channels last and back, in blocks, so that both sides stream.

A block is turned like a matrix: vectors of it are put together from single numbers, four at once,
so that what is read lies side by side.
"""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.lazy import put_or_add
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vload, vmost, vspread
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

STRETCH = 128
"""A task moves so many positions of all channels at most."""
SIDE = 16
"""So many channels are turned at once."""
FEW = 4
"""Up to so many channels a vector would hardly be filled: then numbers move one by one."""


def stretch_tasks(n, positions):
    """A task for some positions of an image."""
    return n * ((positions + STRETCH - 1) // STRETCH)


def lane_memory():
    """The numbers of the lanes."""
    return LANES


@routine
def turn(out, o, step, x, i, x_step, scratch, rows, columns, add):
    """``out[o + r * step + l] = x[i + l * x_step + r]`` for rows ``r`` and columns ``l``."""
    lanes = vload(scratch, 0)
    for c in range(0, columns, LANES):
        count = min(LANES, columns - c)
        here = i + c * x_step
        for r in range(0, rows - 3, 4):
            v0, v1, v2, v3 = vall(real(0)), vall(real(0)), vall(real(0)), vall(real(0))
            at = here + r
            for k in range(count):
                lane = vall(real(k))
                v0 = vmost(lane, lanes, vspread(x, at), v0)
                v1 = vmost(lane, lanes, vspread(x, at + 1), v1)
                v2 = vmost(lane, lanes, vspread(x, at + 2), v2)
                v3 = vmost(lane, lanes, vspread(x, at + 3), v3)
                at += x_step
            to = o + r * step + c
            put_or_add(out, to, v0, add, count)
            put_or_add(out, to + step, v1, add, count)
            put_or_add(out, to + 2 * step, v2, add, count)
            put_or_add(out, to + 3 * step, v3, add, count)
        for r in range(rows // 4 * 4, rows):
            v = vall(real(0))
            for k in range(count):
                v = vmost(vall(real(k)), lanes, vspread(x, here + k * x_step + r), v)
            put_or_add(out, o + r * step + c, v, add, count)


@routine
def pick(out, step, x, x_step, count, add):
    """Every ``step`` th number of ``out`` is every ``x_step`` th of ``x``."""
    o, i = np.uintp(0), np.uintp(0)  # what has no sign is not looked at for one
    for _ in range(count):
        out[o] = out[o] + x[i] if add else x[i]
        o, i = o + np.uintp(step), i + np.uintp(x_step)


@routine
def weave(out, red, green, blue, count):
    """The three channels of a picture side by side."""
    one, two, three = np.uintp(1), np.uintp(2), np.uintp(3)
    for p in range(np.uintp(count)):
        out[three * p] = red[p]
        out[three * p + one] = green[p]
        out[three * p + two] = blue[p]


@device
def number_lanes(scratch):
    """The numbers of the lanes."""
    for k in range(LANES):
        scratch[k] = real(k)


@task(tasks=stretch_tasks, memory=lane_memory)
def to_last(first, last, scratch, out, x, n: int, c: int, positions: int, step: int, add: int):
    """Channels last from the logical order: images, channels, positions."""
    runs = (positions + STRETCH - 1) // STRETCH
    number_lanes(scratch)
    for t in range(first, last):
        image, p = t // runs, t % runs * STRETCH
        count, o = min(STRETCH, positions - p), (image * positions + p) * step
        i = image * c * positions + p
        if c == 3 and step == 3 and not add:
            weave(out[o:], x[i:], x[i + positions :], x[i + 2 * positions :], count)
        elif c <= FEW:
            for k in range(c):
                i = (image * c + k) * positions + p
                pick(out[o + k :], step, x[i:], 1, count, add)
        else:
            for k in range(0, c, SIDE):
                i = (image * c + k) * positions + p
                turn(out, o + k, step, x, i, positions, scratch, count, min(SIDE, c - k), add)


@task(tasks=stretch_tasks, memory=lane_memory)
def to_first(first, last, scratch, out, x, n: int, c: int, positions: int, x_step: int, add: int):
    """The logical order from channels last: images, channels, positions."""
    runs = (positions + STRETCH - 1) // STRETCH
    number_lanes(scratch)
    for t in range(first, last):
        image, p = t // runs, t % runs * STRETCH
        count, i = min(STRETCH, positions - p), (image * positions + p) * x_step
        if c <= FEW:
            for k in range(c):
                o = (image * c + k) * positions + p
                pick(out[o:], 1, x[i + k :], x_step, count, add)
        else:
            for k in range(0, c, SIDE):
                o = (image * c + k) * positions + p
                turn(out, o, positions, x, i + k, x_step, scratch, min(SIDE, c - k), count, add)
