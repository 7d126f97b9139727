"""How the gradient by weights falls apart: a rule of the sizes alone, the same on all machines
with vectors of the same width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.backends.cpu.machine import LANES, REGISTERS

Axes = tuple[int, int, int]
POSITIONS = 256
"""A piece has about so many positions: the sums of a tile are written once for all of them."""
SUMS = 1 << 16
"""A block has at most so many sums: they and a piece stay in a core's cache."""
WIDEST = 256
"""A block has at most so many channels."""
NARROWEST = 64
"""Blocks are not made smaller than so many channels for the sake of more tasks."""
TASKS = 16
"""There shall be about so many tasks, and half as many at least."""
PLANNED = (
    "block_i", "block_o", "chunks", "across", "joint", "planes", "rows", "cols", "x_row", "y_row",
    "span",
)  # fmt: skip
"""What a plan tells beside the geometry."""
FEW = 1 << 14
"""So many weights are few: sums of their own cost a chunk little."""
SHORT, LONG_ROW, ONE_TILE = 64, 1024, (REGISTERS - 3) // 2
"""Where sums are no longer than the first, the weights are most of what is to be written: blocks
have long rows then, and only those of a tile."""
SPAN = 4096
"""So many products are added in a row, before they are added to the rest."""


@dataclass(frozen=True)
class Sizes:
    """The geometry of a convolution, in the names that all kernels share."""

    n: int
    ci: int
    co: int
    groups: int
    i: Axes
    o: Axes
    k: Axes
    s: Axes
    p: Axes
    d: Axes

    @property
    def taps(self) -> int:
        """How many taps the window has."""
        return self.k[0] * self.k[1] * self.k[2]

    def flat(self) -> Sizes:
        """The same, as one row of positions, where the window is a point that goes over all."""
        ones = (1, 1, 1)
        if self.k != ones or self.s != ones or self.i != self.o or any(self.p):
            return self
        places = (1, 1, self.n * self.o[0] * self.o[1] * self.o[2])
        return Sizes(1, self.ci, self.co, self.groups, places, places, ones, ones, self.p, ones)

    def inside(self, axis: int) -> int:
        """How many places all the taps of an axis have together inside of the picture."""
        i, o, k = self.i[axis], self.o[axis], self.k[axis]
        s, p, d = self.s[axis], self.p[axis], self.d[axis]
        places = (
            min(o, (i - 1 + p - t * d) // s + 1) - max(0, -((t * d - p) // s)) for t in range(k)
        )
        return sum(max(0, count) for count in places)


def weight_plan(sizes: Sizes, lanes: int = LANES) -> dict[str, int]:
    """The operands of `conv_weight` that say how the work falls apart, with the geometry."""
    flat = sizes.flat()
    across, joint = _form(flat, lanes)
    planes, rows, cols = _piece(flat)
    pieces = -(-flat.n * flat.o[0] // planes) * -(-flat.o[1] // rows) * -(-flat.o[2] // cols)
    block_i, block_o = _blocks(flat, across, joint, pieces, lanes)
    cig, cog = flat.ci // flat.groups, flat.co // flat.groups
    blocks = flat.groups * -(-cig // block_i) * -(-cog // block_o)
    few = flat.taps * flat.co * cig <= FEW
    chunks = max(1, min((TASKS if few else TASKS // 2) // blocks, pieces // 2))
    axes = {"i": flat.i, "o": flat.o, "k": flat.k, "s": flat.s, "p": flat.p, "d": flat.d}
    return {
        **{f"{name}{axis}": axes[name][axis] for name in axes for axis in range(3)},
        **{"n": flat.n, "ci": flat.ci, "co": flat.co, "groups": flat.groups},
        **{"block_i": block_i, "block_o": block_o, "chunks": chunks},
        **{"across": int(across), "joint": int(joint)},
        **{"planes": planes, "rows": rows, "cols": cols},
        **{"x_row": cig if joint else _row(block_i, lanes), "y_row": _row(block_o, lanes)},
        "span": max(1, SPAN // (planes * rows * cols)),
    }


def parts_size(plan: dict[str, int]) -> int:
    """How many numbers `conv_weight` wants for the sums of its chunks."""
    if plan["chunks"] == 1:
        return 0
    inner = -(-(plan["ci"] // plan["groups"]) // plan["block_i"])
    outer = -(-(plan["co"] // plan["groups"]) // plan["block_o"])
    block = plan["k0"] * plan["k1"] * plan["k2"] * plan["block_i"] * plan["block_o"]
    return plan["chunks"] * (plan["groups"] * inner * outer * block + plan["co"])


def _row(channels: int, lanes: int) -> int:
    """How far positions are apart in memory: an odd number of vectors, so that positions that
    follow each other do not want the same places of the cache."""
    return (-(-channels // lanes) | 1) * lanes


def _tile_time(lines: int, cols: int, lanes: int) -> float:
    """About how many cycles `product` takes for every position."""
    time, vectors = 0.0, -(-cols // lanes)
    while vectors > 0:
        wide = vectors
        if vectors > 2:
            wide = 3 if vectors % 2 else 2
        groups = -(-lines // min((REGISTERS - wide - 1) // wide, 16))
        time += lines * wide / 2 + 1.5 * groups
        vectors -= wide
    return time


def _form(sizes: Sizes, lanes: int) -> tuple[bool, bool]:
    """Whether vectors go over the input channels, and whether the taps of a row are one product."""
    cig, cog, k2 = sizes.ci // sizes.groups, sizes.co // sizes.groups, sizes.k[2]
    rows = sizes.n * sizes.inside(0) * sizes.inside(1)
    single = rows * sizes.inside(2)
    turn = 2 * sizes.co * cig  # what lies in another order than the weights is put into theirs
    found = {
        (True, False): _tile_time(cog, cig, lanes) * single + turn * (sizes.taps > 1),
        (False, False): _tile_time(cig, cog, lanes) * single + turn,
    }
    if k2 > 1 and sizes.d[2] == 1 and cig * k2 <= WIDEST:
        found[True, True] = _tile_time(cog, k2 * cig, lanes) * rows * sizes.o[2] + turn
        found[False, True] = _tile_time(k2 * cig, cog, lanes) * rows * sizes.o[2] + turn
    return min(found, key=lambda form: found[form])


def _piece(sizes: Sizes) -> Axes:
    """How many planes, rows and columns a piece has."""
    planes, (_, rows, cols) = sizes.n * sizes.o[0], sizes.o
    if cols > POSITIONS:
        return 1, 1, -(-cols // round(cols / POSITIONS))
    if rows * cols > POSITIONS:
        return 1, -(-rows // -(-rows * cols // POSITIONS)), cols
    count = -(-planes * rows * cols // POSITIONS)
    return -(-planes // min(count, planes)), rows, cols


def _cut(channels: int, parts: int, lanes: int) -> int:
    """The size of a block, of whole vectors, where channels are cut in parts."""
    size = -(-channels // parts)
    return -(-size // lanes) * lanes


def _splits(sizes: Sizes, joint: bool) -> Iterator[tuple[int, int]]:
    """Ways to cut the channels, coarse to fine: into how many parts each."""
    parts_i = parts_o = 1
    cig, cog = sizes.ci // sizes.groups, sizes.co // sizes.groups
    yield parts_i, parts_o
    while True:
        wide_i, wide_o = (1 if joint else cig // parts_i), cog // parts_o
        if max(wide_i, wide_o) < 2 * NARROWEST:
            return
        if wide_i > wide_o:
            parts_i *= 2
        else:
            parts_o *= 2
        yield parts_i, parts_o


def _blocks(sizes: Sizes, across: bool, joint: bool, pieces: int, lanes: int) -> tuple[int, int]:
    """How many input and output channels a block has."""
    cig, cog = sizes.ci // sizes.groups, sizes.co // sizes.groups
    if across and sizes.taps == 1 and sizes.n * sizes.o[0] * sizes.o[1] * sizes.o[2] <= SHORT:
        long = _cut(cig, -(-cig // LONG_ROW), lanes)
        if long * cog > SUMS:
            return long, min(cog, ONE_TILE)
    block_i, block_o = cig, cog
    for parts_i, parts_o in _splits(sizes, joint):
        block_i = cig if joint else _cut(cig, parts_i, lanes)
        block_o = _cut(cog, parts_o, lanes)
        blocks = sizes.groups * parts_i * parts_o
        small = sizes.taps * block_i * block_o <= SUMS and max(block_i, block_o) <= WIDEST
        if small and blocks * max(1, pieces // 2) >= TASKS // 2:
            break
    return block_i, block_o


# fmt: off
def weight_numbers(
    n: int, ci: int, co: int, groups: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s0: int, s1: int, s2: int, p0: int, p1: int, p2: int,
    d0: int, d1: int, d2: int,
) -> dict[str, int]:
    """`weight_plan` of a geometry by its names."""
    axes = ((i0, i1, i2), (o0, o1, o2), (k0, k1, k2), (s0, s1, s2), (p0, p1, p2), (d0, d1, d2))
    return weight_plan(Sizes(n, ci, co, groups, *axes))
# fmt: on
