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
WEIGHT, PLAIN = 36, 250
"""So do packing and reading a number of the weights' form, and a weight for the direct kernels."""
SMALL = 64
"""In pictures of so few positions the direct kernels leave out what is around them."""
PANELS = 32
"""A share has whole panels, with the widest of vectors."""
SHARE = 128
"""A share has no fewer channels out (half of it where tiles are few): each makes the forms anew."""
PARTS = (64, 128)
"""A task of the gradient by weights has about so many channels in and out."""
SUMS, FORMS = 200_000, 160_000
"""Its sums, and both forms of some tiles, have no more numbers: they stay in a core's cache."""
DEPTHS = (32, 64)
"""It brings no fewer and no more tiles into Winograd's form at a time."""
BACK = 20
"""Bringing a sum back and adding it to others takes as long as so many multiplications."""
LONGEST = 256
"""A sum goes over no more tiles before it is added to others."""


def winograd_cost(m, n, ci, co, o1, o2):
    """How long a convolution takes by Winograd's method, in multiplications.

    What costs are the products, of which tiles at the edges have too many, and beside them bringing
    all channels into the form and back, and packing and reading the weights.
    """
    tiles, inside, outside = n * -(-o1 // m) * -(-o2 // m), full(ci), full(co)
    forms = tiles * (inside + outside) * FORM + ci * co * WEIGHT
    return (m + 2) ** 2 * (tiles * ci * outside + forms)


def direct_cost(n, ci, co, i1, i2, o1, o2, p1, p2):
    """How long it takes by the direct kernels, for 3x3 windows and stride 1."""
    seen = 9 * o1 * o2
    if o1 * o2 <= SMALL:
        seen = seen_places(i1, o1, p1) * seen_places(i2, o2, p2)
    return ci * co * (n * seen + PLAIN)


def seen_places(size, places, pad):
    """How many places of an axis three taps see together, without those around the picture."""
    return sum(max(0, min(places, size + pad - t) - max(0, pad - t)) for t in range(3))


def full(channels):
    """Channels in whole vectors."""
    return -(-channels // LANES) * LANES


def winograd_block(m, n, ci, co, o1, o2):
    """How many tiles a task has.

    Few, so that their forms stay in the cache; more, where many weights are read for every block.
    """
    tiles = max(1, n * -(-o1 // m) * -(-o2 // m))
    fit = min(MANY, CACHE // ((m + 2) ** 2 * (ci + co)))
    block = max(FEW, fit, ci * co // (4 * (ci + co)))
    fewer = FEW // 2 if ci * co <= 128 * 128 else block
    blocks = max(-(-tiles // block), min(ENOUGH, tiles // fewer))
    return -(-tiles // max(1, blocks))


def winograd_share(m, n, ci, co, o1, o2, block):
    """How many channels out a task has."""
    blocks = max(1, winograd_rows(m, n, o1, o2, block))
    each = SHARE if block > FEW else SHARE // 2
    shares = max(1, min(-(-ENOUGH // (2 * blocks)), co // each))
    return -(-co // (shares * PANELS)) * PANELS


def winograd_rows(m, n, o1, o2, block):
    """How many rows of sums there are."""
    return -(-n * -(-o1 // m) * -(-o2 // m) // block)


def weight_parts(channels):
    """The sizes that parts of some channels may have."""
    return tuple(-(-channels // -(-channels // part) // PANELS) * PANELS for part in PARTS)


def weight_deep(m, part_i, part_o):
    """How many tiles a task of the gradient by weights brings into form at a time."""
    fit = FORMS // ((m + 2) ** 2 * (part_i + part_o)) // LANES * LANES
    return min(max(fit, DEPTHS[0]), DEPTHS[1])


def weight_chunks(tiles, parts):
    """Into how many chunks of tiles a gradient falls apart, if its channels have so many parts."""
    return max(1, min(-(-ENOUGH // parts), tiles // DEPTHS[0]))


def weight_cost(tiles, ci, co, part_i, part_o):
    """How long it takes beside the products: making forms, and bringing sums back."""
    ins, outs = -(-ci // part_i), -(-co // part_o)
    sums = max(weight_chunks(tiles, ins * outs), tiles / LONGEST)
    return tiles * FORM * (ci * outs + co * ins) + sums * ci * co * BACK


def forward_numbers(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> dict[str, int]:
    """How many tiles and how many channels out a task has."""
    block = winograd_block(m, n, ci, co, o1, o2)
    return {"block": block, "share": winograd_share(m, n, ci, co, o1, o2, block)}


def winograd_sum_rows(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> int:
    """How many rows of sums a convolution leaves."""
    return winograd_rows(m, n, o1, o2, winograd_block(m, n, ci, co, o1, o2))


def gradient_numbers(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> dict[str, int]:
    """How the gradient by weights falls apart: into chunks of tiles and parts of the channels."""
    tiles = n * -(-o1 // m) * -(-o2 // m)
    part_i, part_o = min(
        ((i, o) for i in weight_parts(ci) for o in weight_parts(co) if (m + 2) ** 2 * i * o < SUMS),
        key=lambda parts: weight_cost(tiles, ci, co, *parts),
    )
    chunks = weight_chunks(tiles, -(-ci // part_i) * -(-co // part_o))
    deep = weight_deep(m, part_i, part_o)
    return {"chunks": chunks, "part_i": part_i, "part_o": part_o, "deep": deep}


def winograd_parts_size(m: int, n: int, ci: int, co: int, o1: int, o2: int) -> int:
    """How many numbers the gradients of all chunks have, if there are several."""
    chunks = gradient_numbers(m, n, ci, co, o1, o2)["chunks"]
    return chunks * co * (9 * full(ci) + 1) if chunks > 1 else 0
