"""How a depthwise convolution, with what stands around it, falls apart: a rule of the sizes."""

from __future__ import annotations

BAND = 64
"""So many channels are made at a time: what is between the convolutions stays near."""
PANEL = 32
"""Parts of the channels begin at multiples of this."""
ROOM = 1 << 17
"""What a depthwise window sees of a band has at most so many numbers, if a row is no more."""
ENOUGH = 4
"""Pictures are parted until there are so many tasks,"""
LOW = 7
"""in strips of at least so many rows, then by channels."""


def separable_numbers(
    n: int, c: int, i2: int, o1: int, o2: int, k1: int, s1: int, p2: int, d1: int, after: int
) -> dict[str, int]:
    """Into how many strips a picture falls apart, and the channels of each into how many pieces."""
    strips, width = 1, i2 + 2 * p2
    while o1 > strips and (lines_of(o1, strips, k1, s1, d1) * width * min(c, BAND)) > ROOM:
        strips *= 2
    while n * strips < ENOUGH and o1 >= 2 * strips * LOW:
        strips *= 2
    pieces = min(-(-ENOUGH // (n * strips)), max(c // (2 * PANEL), 1)) if after else 1
    return {"strips": min(strips, o1), "pieces": pieces}


def lines_of(o1: int, strips: int, k1: int, s1: int, d1: int) -> int:
    """The most rows that a strip sees."""
    return (-(-o1 // strips) - 1) * s1 + (k1 - 1) * d1 + 1


def separable_parts_size(
    n: int, c: int, co: int, i2: int, o1: int, o2: int, k1: int, s1: int, p2: int, d1: int,
    after: int,
) -> int:  # fmt: skip
    """How many numbers the pieces of the channels give beside the first."""
    pieces = separable_numbers(n, c, i2, o1, o2, k1, s1, p2, d1, after)["pieces"]
    return (pieces - 1) * n * o1 * o2 * co


def separable_pays(c: int, i2: int, k1: int, p2: int, d1: int) -> bool:
    """Whether what a row of windows sees of a band stays in the second cache."""
    return lines_of(1, 1, k1, 1, d1) * (i2 + 2 * p2) * min(c, BAND) <= 2 * ROOM
