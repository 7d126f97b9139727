"""Winograd's small convolutions: m outputs of a window of three with m + 2 products instead of 3m.

``y = AT [(G g) * (BT d)]`` for m = 2 and m = 4, and the same along both axes of a picture; the
gradient by ``g`` is ``GT [(BT d) * (A dy)]`` (Lavin and Gray 2015, Fast algorithms for
convolutional neural networks). Here the matrices are as sums, one function for each. For m = 4
polynomials are taken at 0, -p, p, -q, q and infinity. Lavin and Gray have 1 and 2 for p and q; with
the roots of 1/2 and 2 the rounding errors are half as large.
"""

from __future__ import annotations

from netdsl.backends.cpu.simd import vall, vfma
from netdsl.kernel import device, real

P, Q = 0.5**0.5, 2.0**0.5


@device
def input2(a, b, c, d):
    """BT, m = 2: 1 0 -1 0 | 0 1 1 0 | 0 -1 1 0 | 0 1 0 -1."""
    return a - c, b + c, c - b, b - d


@device
def input4(a, b, c, d, e, f):
    """BT, m = 4.

    1 0 -5/2 0 1 0 | 0 -2p -2 p 1 0 | 0 2p -2 -p 1 0 | 0 -q/2 -1/2 q 1 0 | 0 q/2 -1/2 -q 1 0 |
    0 1 0 -5/2 0 1.
    """
    both, two, half = vall(real(-2.5)), vall(real(-2)), vall(real(-0.5))
    even, odd = vfma(two, c, e), vfma(two, b, d)
    wide_even, wide_odd = vfma(half, c, e), vfma(half, b, d)
    return (
        vfma(both, c, a + e),
        vfma(vall(real(P)), odd, even),
        vfma(vall(real(-P)), odd, even),
        vfma(vall(real(Q)), wide_odd, wide_even),
        vfma(vall(real(-Q)), wide_odd, wide_even),
        vfma(both, d, b + f),
    )


@device
def output2(a, b, c, d):
    """AT, m = 2: 1 1 1 0 | 0 1 -1 -1."""
    return a + (b + c), (b - c) - d


@device
def output4(a, b, c, d, e, f):
    """AT, m = 4: 1 1 1 1 1 0 | 0 p -p q -q 0 | 0 1/2 1/2 2 2 0 | 0 p/2 -p/2 2q -2q 1."""
    even, odd, wide_even, wide_odd = b + c, b - c, d + e, d - e
    two, half = vall(real(2)), vall(real(0.5))
    odd, wide_odd = vall(real(P)) * odd, vall(real(Q)) * wide_odd
    return (
        a + (even + wide_even),
        odd + wide_odd,
        vfma(two, wide_even, half * even),
        vfma(two, wide_odd, vfma(half, odd, f)),
    )


@device
def error2(a, b):
    """A, m = 2: 1 0 | 1 1 | 1 -1 | 0 -1."""
    return a, a + b, a - b, vall(real(0)) - b


@device
def error4(a, b, c, d):
    """A, m = 4.

    1 0 0 0 | 1 p 1/2 p/2 | 1 -p 1/2 -p/2 | 1 q 2 2q | 1 -q 2 -2q | 0 0 0 1.
    """
    two, half = vall(real(2)), vall(real(0.5))
    even, odd = vfma(half, c, a), vfma(half, d, b)
    wide_even, wide_odd = vfma(two, c, a), vfma(two, d, b)
    return (
        a,
        vfma(vall(real(P)), odd, even),
        vfma(vall(real(-P)), odd, even),
        vfma(vall(real(Q)), wide_odd, wide_even),
        vfma(vall(real(-Q)), wide_odd, wide_even),
        d,
    )


@device
def filter2(a, b, c):
    """G, m = 2: 1 0 0 | 1/2 1/2 1/2 | 1/2 -1/2 1/2 | 0 0 1."""
    half = vall(real(0.5))
    return a, half * ((a + c) + b), half * ((a + c) - b), c


@device
def filter4(a, b, c):
    """G, m = 4.

    1 0 0 | -2/3 -2p/3 -1/3 | -2/3 2p/3 -1/3 | 1/6 q/6 1/3 | 1/6 -q/6 1/3 | 0 0 1.
    """
    thirds, sixth = vall(real(-2 / 3)), vall(real(1 / 6))
    even, wide = vfma(vall(real(0.5)), c, a), vfma(vall(real(2)), c, a)
    return (
        a,
        thirds * vfma(vall(real(P)), b, even),
        thirds * vfma(vall(real(-P)), b, even),
        sixth * vfma(vall(real(Q)), b, wide),
        sixth * vfma(vall(real(-Q)), b, wide),
        c,
    )


@device
def weight2(a, b, c, d):
    """GT, m = 2: 1 1/2 1/2 0 | 0 1/2 -1/2 0 | 0 1/2 1/2 1."""
    half = vall(real(0.5))
    return vfma(half, b + c, a), half * (b - c), vfma(half, b + c, d)


@device
def weight4(a, b, c, d, e, f):
    """GT, m = 4.

    1 -2/3 -2/3 1/6 1/6 0 | 0 -2p/3 2p/3 q/6 -q/6 0 | 0 -1/3 -1/3 1/3 1/3 1.
    """
    thirds, sixth, third = vall(real(-2 / 3)), vall(real(1 / 6)), vall(real(1 / 3))
    near, far = b + c, d + e
    return (
        vfma(thirds, near, vfma(sixth, far, a)),
        vfma(vall(real(-2 / 3 * P)), b - c, vall(real(1 / 6 * Q)) * (d - e)),
        vfma(third, far - near, f),
    )
