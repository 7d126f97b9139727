"""Rows of images side by side, brought to six points and back.

A row falls apart into tiles of ``m`` outputs, which see ``6`` inputs where windows have ``7 - m``
taps. Tile by tile ``y = AT [(G w) * (BT x)]`` as in `netdsl.backends.cpu.winograd_forms`, but along
rows alone, and for windows of three to five taps.
"""

from __future__ import annotations

from netdsl.backends.cpu.across import put_zeros
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.cpu.winograd_forms import P, Q, error4, input4
from netdsl.backends.cpu.winograd_tiles import ONE, put6, take6
from netdsl.kernel import device, real, routine


@device
def turned_input4(a, b, c, d, e, f):
    """B, of which `input4` has the transpose."""
    even, odd, wide_even, wide_odd = b + c, b - c, d + e, d - e
    both, half, near, far = vall(real(-2.5)), vall(real(-0.5)), vall(real(P)), vall(real(Q))
    odd, wide_odd = near * odd, far * wide_odd
    return (
        a,
        vfma(vall(real(-2)), odd, vfma(half, wide_odd, f)),
        vfma(both, a, vfma(vall(real(-2)), even, half * wide_even)),
        vfma(both, f, odd + wide_odd),
        a + (even + wide_even),
        f,
    )


@routine
def input_row(out, o, apart, x, i, tiles, m):
    """The tiles of a row of the input at all points, ``apart`` from each other."""
    for t in range(tiles):
        a, b, c, d, e, f = take6(x, i + t * m * LANES, ONE * LANES)
        put6(out, o + t * LANES, apart, input4(a, b, c, d, e, f))


@routine
def output_row(out, o, columns, x, i, apart, tiles, m, shift):
    """A row of outputs from the products at all points, and what is added to each."""
    two, half, plus = vall(real(2)), vall(real(0.5)), vall(shift)
    for t in range(tiles):
        a, b, c, d, e, f = take6(x, i + t * LANES, apart)
        even, wide_even = b + c, d + e
        odd, wide_odd = vall(real(P)) * (b - c), vall(real(Q)) * (d - e)
        at, left = o + t * m * LANES, columns - t * m
        vstore(out, at, a + (even + wide_even) + plus)
        if left > 1:
            y = odd + wide_odd + plus
            vstore(out, at + LANES, y + f if m == 2 else y)
        if left > 2 and m > 2:
            y = vfma(two, wide_even, vfma(half, even, plus))
            vstore(out, at + 2 * LANES, y + f if m == 3 else y)
        if left > 3 and m > 3:
            vstore(out, at + 3 * LANES, vfma(two, wide_odd, vfma(half, odd, f)) + plus)


@routine
def error_row(out, o, apart, x, i, tiles, m):
    """The tiles of a row of the gradient by the output at all points."""
    none = vall(real(0))
    for t in range(tiles):
        at = i + t * m * LANES
        a, b = vload(x, at), vload(x, at + LANES)
        c = vload(x, at + 2 * LANES) if m > 2 else none
        d = vload(x, at + 3 * LANES) if m > 3 else none
        v = error4(a, b, c, d)
        last = b if m == 2 else c if m == 3 else d
        put6(out, o + t * LANES, apart, (v[0], v[1], v[2], v[3], v[4], last))


@routine
def back_row(out, o, x, i, apart, tiles, m):
    """A row of the gradient by the input, with its padding, from its tiles at all points."""
    put_zeros(out, o, tiles * m + 6 - m)
    for t in range(tiles):
        a, b, c, d, e, f = take6(x, i + t * LANES, apart)
        a, b, c, d, e, f = turned_input4(a, b, c, d, e, f)
        at = o + t * m * LANES
        vstore(out, at, vload(out, at) + a)
        vstore(out, at + LANES, vload(out, at + LANES) + b)
        vstore(out, at + 2 * LANES, vload(out, at + 2 * LANES) + c)
        vstore(out, at + 3 * LANES, vload(out, at + 3 * LANES) + d)
        vstore(out, at + 4 * LANES, vload(out, at + 4 * LANES) + e)
        vstore(out, at + 5 * LANES, vload(out, at + 5 * LANES) + f)
