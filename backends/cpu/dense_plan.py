"""How dense layers are computed: rules of the sizes alone."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.tile import ROWS

FEW, WEIGHTS, SAMPLES = 0, 1, 2
"""What is turned forward: nothing, the weights, or the samples."""
MANY = 1 << 20
"""More weights than these are never turned, for that would take their memory twice."""
LONG = 4096
"""Rows of weights from this length on are read in longer pieces."""
HIGH = ROWS[1]
"""A panel of a gradient has so many outputs at most: the rows of a tile of two vectors."""
BLOCK, SIDE = 10, 512
"""A task of the gradient by the weights has so many panels of outputs, and inputs, at most."""
TASKS, SMALL, CHUNK = 6, 4, 512
"""So many tasks of it are wanted, of so many panels at least, or of chunks of so many samples."""


def dense_numbers(n: int, ci: int, co: int) -> dict[str, int]:
    """Which matrix is turned: the one where there is less to turn, and the results count."""
    if n <= 6:
        return {"form": FEW}
    return {"form": WEIGHTS if ci * co <= min(n * (ci + co), MANY) else SAMPLES}


def dense_packed_size(ci: int, co: int) -> tuple[int, bool]:
    """How many numbers `dense_pack` makes at most, and whether it makes them of each sample.

    Where weights may be turned there is room for them; samples are turned if they are less.
    """
    return (ci, True) if ci * co > MANY else (ci * co, False)


def input_numbers(ci: int) -> dict[str, int]:
    """How many inputs and outputs of the weights `dense_input` takes at once."""
    return {"block": 512, "depth": 128} if ci >= LONG else {"block": 64, "depth": 256}


def block_numbers(ci: int, co: int) -> dict[str, int]:
    """Into how many blocks of outputs and of inputs a gradient by the weights falls apart."""
    return {"high": -(-co // (HIGH * BLOCK)), "wide": -(-ci // SIDE)}


def weight_numbers(n: int, ci: int, co: int) -> dict[str, int]:
    """Into how many blocks of outputs and of inputs, and chunks, `dense_weight` falls apart."""
    high, wide = block_numbers(ci, co).values()
    if n < 2 * CHUNK:
        high = max(high, min(-(-TASKS // wide), co // (HIGH * SMALL)))
        wide = max(wide, min(-(-TASKS // high), ci // (4 * LANES)))
    chunks = max(1, min(-(-TASKS // (high * wide)), n // CHUNK))
    return {"high": high, "wide": wide, "chunks": chunks}


def weight_parts_size(n: int, ci: int, co: int) -> int:
    """How many numbers the chunks of at most so many samples have."""
    chunks = weight_numbers(n, ci, co)["chunks"]
    return chunks * (ci + 1) * co if chunks > 1 else 0
