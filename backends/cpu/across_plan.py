"""How convolutions across images are computed: rules of the sizes alone."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES

POINTS = 6
"""Rows are multiplied at so many points: see `netdsl.backends.cpu.across_six`."""
CLOSE_BY = 120
"""So many vectors of a channel's gradient meet all taps before the next ones do: they stay near."""
INTO, OUT = 24, 60
"""Bringing a tile of the input into their form, or one of the output out of it, takes as long as so
many products."""


def outputs_at_once(
    ci: int, co: int, i0: int, i1: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s2: int, d2: int,
) -> int:  # fmt: skip
    """How many outputs of a row are made of ``POINTS`` products; 0 where that does not pay."""
    if s2 != 1 or d2 != 1 or not 3 <= k2 <= 5:
        return 0
    m = POINTS + 1 - k2
    tiles, rows, each = -(-o2 // m), o0 * o1, ci * co * k0 * k1
    forms = INTO * ci * i0 * i1 + OUT * co * rows
    return m if tiles * (POINTS * rows * each + forms) < rows * o2 * k2 * each else 0


def sixth_form_size(ci: int, co: int, k0: int, k1: int) -> int:
    """How many numbers weights take at all points."""
    return POINTS * co * ci * k0 * k1


def part_size(m: int, ci: int, co: int, k0: int, k1: int, k2: int) -> int:
    """How many numbers a block of images leaves of the gradients by weights and bias."""
    return co * (ci * k0 * k1 * (POINTS if m else k2) + 1)


def across_parts(n: int, m: int, ci: int, co: int, k0: int, k1: int, k2: int) -> int:
    """How many numbers all blocks leave."""
    return -(-n // LANES) * part_size(m, ci, co, k0, k1, k2)


def input_numbers(
    m: int, ci: int, i0: int, i1: int, i2: int, o1: int, o2: int,
    k1: int, k2: int, s1: int, s2: int, p1: int, p2: int, d1: int, d2: int,
) -> dict[str, int]:  # fmt: skip
    """How a block of the input lies in scratch.

    Rows are ``width`` long with the padding that windows reach, at the begin of scratch if that is
    more than they have. Behind them, from ``x_at`` on, its ``tiles`` lie at all points, in planes
    of ``high`` rows.
    """
    tiles = -(-o2 // m) if m else 0
    reach = tiles * m + k2 - 1 if m else (o2 - 1) * s2 + (k2 - 1) * d2 + 1
    width, high = max(p2 + i2, reach), max(p1 + i1, (o1 - 1) * s1 + (k1 - 1) * d1 + 1)
    at = ci * i0 * i1 * width * LANES if width > i2 else 0
    end = at + POINTS * ci * i0 * high * tiles * LANES
    return {"tiles": tiles, "width": width, "high": high, "x_at": at, "y_at": end}


def forward_numbers(
    m: int, ci: int, co: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k1: int, k2: int, s1: int, s2: int, p1: int, p2: int, d1: int, d2: int,
) -> dict[str, int]:  # fmt: skip
    """The same, and ``size``: behind the input, from ``y_at`` on, lie the products."""
    numbers = input_numbers(m, ci, i0, i1, i2, o1, o2, k1, k2, s1, s2, p1, p2, d1, d2)
    products = POINTS * co * o0 * o1 * numbers["tiles"] * LANES
    return {**numbers, "size": numbers["y_at"] + products}


def backward_numbers(
    m: int, ci: int, co: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s1: int, s2: int, p1: int, p2: int, d1: int, d2: int,
    qo2: int, back: int,
) -> dict[str, int]:  # fmt: skip
    """The same for the backward pass.

    From ``y_at`` on lies the gradient by the output (rows of ``wide`` vectors, with a zero on both
    sides if the input's gradient is wanted ``back``, or its tiles at all points), from ``dx_at`` on
    that by the input at all points, from ``row_at`` on rows that are being made, and from
    ``sums_at`` on are sums.
    """
    numbers = input_numbers(m, ci, i0, i1, i2, o1, o2, k1, k2, s1, s2, p1, p2, d1, d2)
    tiles = numbers["tiles"]
    wide = tiles * m if m else o2 + 2 * back
    dx = numbers["y_at"] + co * o0 * o1 * LANES * (POINTS * tiles if m else wide)
    row = dx + POINTS * ci * i0 * i1 * tiles * LANES
    near = max(wide * max(1, min(o1, CLOSE_BY // wide)), numbers["width"])
    sums = row + (near + qo2) * LANES
    size = sums + ((5 * k1 if m else 6 * k1 * k2) * ci * k0 + co) * LANES
    places = {"dx_at": dx, "row_at": row, "sums_at": sums, "size": size}
    return {**numbers, **places, "wide": wide}
