"""Sums over windows brought into the layout of weights: window by window, not tap by tap."""

from __future__ import annotations

from netdsl.backends.cpu.across_turn import turn_square
from netdsl.backends.cpu.machine import LANES
from netdsl.kernel import routine


@routine
def put_windows(out, o, step, x, i, x_step, taps, channels, add):
    """``out[o + k * step + w] = x[i + w * x_step + k]`` for taps ``w`` and channels ``k``.

    With ``add`` it is added to what is there.
    """
    for w in range(0, taps, LANES):
        rows = min(LANES, taps - w)
        for k in range(0, channels, LANES):
            turn_square(
                out, o + k * step + w, step, x, i + w * x_step + k, x_step,
                rows, min(LANES, channels - k), rows, add,
            )  # fmt: skip
