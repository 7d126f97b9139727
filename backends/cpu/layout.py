"""Pictures from channels first to channels last and back, in blocks, so that both sides stream."""

from __future__ import annotations

from netdsl.backends.override import task
from netdsl.kernel import routine

SIDE = 16
"""A block has so many positions, or so many channels."""
STRETCH = 256
"""A task moves about so many positions of all channels."""


def stretch_tasks(n, positions):
    """A task for some positions of an image."""
    return n * ((positions + STRETCH - 1) // STRETCH)


@routine
def to_last_block(out, x, positions, step, channels, count, add):
    """``count`` positions of few channels; both arrays begin where the block does."""
    for p in range(count):
        for k in range(channels):
            v = x[k * positions + p]
            out[p * step + k] = out[p * step + k] + v if add else v


@routine
def to_first_block(out, x, positions, step, channels, count, add):
    """``count`` positions of few channels; both arrays begin where the block does."""
    for k in range(channels):
        for p in range(count):
            v = x[p * step + k]
            out[k * positions + p] = out[k * positions + p] + v if add else v


@task(tasks=stretch_tasks)
def to_last(first, last, scratch, out, x, n: int, c: int, positions: int, step: int, add: int):
    """Channels last from the logical order: images, channels, positions."""
    runs = (positions + STRETCH - 1) // STRETCH
    for t in range(first, last):
        image, begin = t // runs, t % runs * STRETCH
        for p in range(begin, min(positions, begin + STRETCH), SIDE):
            count = min(SIDE, positions - p)
            for k in range(0, c, SIDE):
                o, i = (image * positions + p) * step + k, (image * c + k) * positions + p
                to_last_block(out[o:], x[i:], positions, step, min(SIDE, c - k), count, add)


@task(tasks=stretch_tasks)
def to_first(first, last, scratch, out, x, n: int, c: int, positions: int, x_step: int, add: int):
    """The logical order from channels last: images, channels, positions."""
    runs = (positions + STRETCH - 1) // STRETCH
    for t in range(first, last):
        image, begin = t // runs, t % runs * STRETCH
        for k in range(0, c, SIDE):
            for p in range(begin, min(positions, begin + STRETCH), SIDE):
                count = min(SIDE, positions - p)
                o, i = (image * c + k) * positions + p, (image * positions + p) * x_step + k
                to_first_block(out[o:], x[i:], positions, x_step, min(SIDE, c - k), count, add)
