"""How Winograd's method divides its work, and when it pays: rules of the sizes alone."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES

CACHE = 1 << 18
"""So many numbers of both forms of a block are meant to stay in a core's cache."""
FEW, MANY = 28, 64
"""For so many tiles it pays to read the weights once more, and so many are enough for a block."""
ENOUGH = 16
"""So many tasks keep the threads of most machines at work."""
FORM = 12
"""Bringing a number into the form or back takes as long as so many multiplications."""
WEIGHT = 80
"""So does reading and writing a number of the weights' form."""
PANELS = 32
"""A share has whole panels, with the widest of vectors."""
SHARE = 128
"""A share has no fewer channels out (half of it where tiles are few): each makes the forms anew."""
PART = 128
"""A task has no more channels in or out: their sums are to stay in a core's cache."""
TILES = 32
"""So many tiles are brought into Winograd's form at a time."""
LONGEST = 256
"""A sum goes over no more tiles before it is added to others."""
MOST = 1 << 22
"""All gradients of chunks together have no more numbers, if one of them has not."""


def winograd_pays(m, n, ci, co, o1, o2):
    """Whether Winograd's method is faster than the direct kernels, for 3x3 windows and stride 1.

    What costs are the products, of which tiles at the edges have too many, and beside them bringing
    all channels into the form and back, and packing and reading the weights.
    """
    tiles, taps = n * -(-o1 // m) * -(-o2 // m), (m + 2) ** 2
    inside, outside = -(-ci // LANES) * LANES, -(-co // LANES) * LANES
    forms = tiles * (inside + outside) * FORM + ci * co * WEIGHT
    here = taps * (tiles * ci * outside + forms)
    return here < n * o1 * o2 * 9 * ci * co


def winograd_block(m, n, ci, co, o1, o2):
    """How many tiles a task has.

    Few, so that their forms stay in the cache; more, where many weights are read for every block.
    """
    tiles = n * -(-o1 // m) * -(-o2 // m)
    fit = min(MANY, CACHE // ((m + 2) ** 2 * (ci + co)))
    block = max(FEW, fit, ci * co // (4 * (ci + co)))
    fewer = FEW // 2 if ci * co <= 128 * 128 else block
    blocks = max(-(-tiles // block), min(ENOUGH, tiles // fewer))
    return -(-tiles // max(1, blocks))


def winograd_share(m, n, ci, co, o1, o2, block):
    """How many channels out a task has."""
    blocks = winograd_rows(m, n, o1, o2, block)
    each = SHARE if block > FEW else SHARE // 2
    shares = max(1, min(-(-ENOUGH // (2 * blocks)), co // each))
    return -(-co // (shares * PANELS)) * PANELS


def winograd_rows(m, n, o1, o2, block):
    """How many rows of sums there are."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block)


def winograd_chunks(m, n, ci, co, o1, o2):
    """Into how many chunks of tiles a gradient falls apart; each is a gradient by itself."""
    tiles = n * -(-o1 // m) * -(-o2 // m)
    parts = -(-ci // PART) * -(-co // PART)
    chunks = max(-(-tiles // LONGEST), min(-(-ENOUGH // parts), tiles // TILES))
    return max(1, min(chunks, MOST // (9 * ci * co)))


def forward_numbers(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> dict[str, int]:
    """How many tiles and how many channels out a task has."""
    block = winograd_block(m, n, ci, co, o1, o2)
    return {"block": block, "share": winograd_share(m, n, ci, co, o1, o2, block)}


def winograd_sum_rows(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> int:
    """How many rows of sums a convolution leaves."""
    return winograd_rows(m, n, o1, o2, winograd_block(m, n, ci, co, o1, o2))


def gradient_numbers(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> dict[str, int]:
    """Into how many chunks the gradient by weights falls apart."""
    return {"chunks": winograd_chunks(m, n, ci, co, o1, o2)}


def winograd_parts_size(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> int:
    """How many numbers the gradients of all chunks have, if there are several."""
    chunks = winograd_chunks(m, n, ci, co, o1, o2)
    return chunks * 9 * ci * co if chunks > 1 else 0
