"""How recurrent layers are computed: rules of the sizes alone."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES

LINES, TASKS = 16, 16
"""Two tasks for every so many samples: tiles of eight lines are near the peak, and an even number
of tasks suits most machines. There are no more than the last says: then they get more samples."""
NEAR = 1 << 17
"""Gradients by so many weights stay in a core's cache while they grow with every step."""
AT_ONCE = 56
"""The products with the input are made for so many lines, of several steps, at once."""
PLANNED = ("parts", "block", "span", "wide", "row", "x_row")
"""What a plan tells beside the sizes."""


def whole(count: int, lanes: int = LANES) -> int:
    """So many numbers, and the rest of their last vector."""
    return -(-count // lanes) * lanes


def odd(count: int, lanes: int = LANES) -> int:
    """The same as an odd number of vectors: rows that follow each other do not want the same
    places of the cache."""
    return (-(-count // lanes) | 1) * lanes


def recurrent_numbers(n: int, steps: int, ci: int, units: int, blocks: int) -> dict[str, int]:
    """Into how many ``parts`` samples are cut, and rows of ``blocks`` times the units."""
    parts = 1 if n == 1 else min(2 * -(-n // LINES), TASKS)
    block = -(-n // parts)
    span = min(steps, max(1, AT_ONCE // block))
    wide = whole(units)
    return {
        "parts": parts, "block": block, "span": span,
        "wide": wide, "row": odd(blocks * wide), "x_row": odd(max(ci, units)),
    }  # fmt: skip


def packed_size(gates: int, units: int, width: int) -> int:
    """How many numbers `recurrent_pack` makes, of either form."""
    return max(gates * whole(units) * width, gates * units * whole(width))


def is_near(gates: int, units: int, ci: int) -> bool:
    """Whether the backward pass adds up the gradients by weights while it goes."""
    return gates * units * (ci + units) <= NEAR


def sums_size(gates: int, units: int, ci: int) -> int:
    """How many sums a task of the backward pass has: by both weights, and a bias for each."""
    return gates * units * (ci + units + 2)
