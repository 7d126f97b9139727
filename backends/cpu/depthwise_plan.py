"""How the gradient of a depthwise convolution by its weights falls apart: a rule of the sizes."""

from __future__ import annotations

POSITIONS = 224
"""A piece has about so many positions: those of a band of channels stay in the second cache."""
CHUNKS = 16
"""Into so many chunks the positions fall apart, if there are enough of them."""


def depthwise_numbers(n: int, o0: int, o1: int, o2: int) -> dict[str, int]:
    """Rows and columns of a piece, and the number of chunks."""
    cols = -(-o2 // -(-o2 // POSITIONS))
    rows = -(-o1 // -(-o1 // max(1, POSITIONS // cols)))
    pieces = n * o0 * -(-o1 // rows) * -(-o2 // cols)
    return {"rows": rows, "cols": cols, "chunks": min(CHUNKS, pieces)}


def depthwise_parts_size(
    n: int, ci: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int
) -> int:
    """How many numbers `depthwise_weight` wants for the sums of its chunks."""
    return depthwise_numbers(n, o0, o1, o2)["chunks"] * (k0 * k1 * k2 + 1) * ci
