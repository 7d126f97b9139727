"""How dense layers are computed: rules of the sizes alone."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES

FEW, WEIGHTS, SAMPLES = 0, 1, 2
"""What is turned forward: nothing, the weights, or the samples."""
LONG = 4096
"""Rows of weights from this length on are read in longer pieces."""


def dense_numbers(n: int, ci: int, co: int) -> dict[str, int]:
    """Which matrix is turned: the one where there is less to turn, and the results count."""
    if n <= 3:
        return {"form": FEW}
    return {"form": WEIGHTS if ci * co <= n * (ci + co) else SAMPLES}


def dense_packed_size(n: int, ci: int, co: int, lanes: int = LANES) -> int:
    """How many numbers `dense_pack` makes of at most so many samples."""
    panel, form = 2 * lanes, dense_numbers(n, ci, co)["form"]
    samples = min(n, ci * co // (ci + co) + 1)  # more, and the weights are turned
    rows = max(samples, co if form == WEIGHTS else 0)
    return -(-rows // panel) * panel * ci


def input_numbers(ci: int) -> dict[str, int]:
    """How many inputs and outputs of the weights `dense_input` takes at once."""
    return {"block": 512, "depth": 128} if ci >= LONG else {"block": 64, "depth": 256}


def dense_weight_sizes(n: int, ci: int, co: int) -> dict[str, int]:
    """The geometry with which `conv_weight` makes ``dweight = dy.T @ x`` and ``dbias``."""
    ones = {f"{name}{axis}": 1 for name in "ioksd" for axis in range(3)}
    pads = {f"p{axis}": 0 for axis in range(3)}
    return {"n": 1, "ci": ci, "co": co, "groups": 1, **ones, **pads, "i2": n, "o2": n}
