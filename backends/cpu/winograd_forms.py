"""Winograd's small convolutions: m outputs of a window of three with m + 2 products instead of 3m.

``y = AT [(G g) * (BT d)]`` for m = 2 and m = 4, and the same along both axes of a picture; the
gradient by ``g`` is ``GT [(BT d) * (A dy)]``. The matrices are those of Lavin and Gray 2015 (Fast
algorithms for convolutional neural networks); here they are as sums, one function for each.
"""

from __future__ import annotations

from netdsl.backends.cpu.simd import vall, vfma
from netdsl.kernel import device, real


@device
def input2(a, b, c, d):
    """BT, m = 2: 1 0 -1 0 | 0 1 1 0 | 0 -1 1 0 | 0 1 0 -1."""
    return a - c, b + c, c - b, b - d


@device
def input4(a, b, c, d, e, f):
    """BT, m = 4.

    4 0 -5 0 1 0 | 0 -4 -4 1 1 0 | 0 4 -4 -1 1 0 | 0 -2 -1 2 1 0 | 0 2 -1 -2 1 0 | 0 4 0 -5 0 1.
    """
    two, four, five = vall(real(2)), vall(real(4)), vall(real(-5))
    less = vall(real(-4))
    even, odd = vfma(less, c, e), vfma(less, b, d)
    near, far = e - c, two * (d - b)
    first, last = vfma(four, a, vfma(five, c, e)), vfma(four, b, vfma(five, d, f))
    return first, even + odd, even - odd, near + far, near - far, last


@device
def output2(a, b, c, d):
    """AT, m = 2: 1 1 1 0 | 0 1 -1 -1."""
    return a + (b + c), (b - c) - d


@device
def output4(a, b, c, d, e, f):
    """AT, m = 4: 1 1 1 1 1 0 | 0 1 -1 2 -2 0 | 0 1 1 4 4 0 | 0 1 -1 8 -8 1."""
    even, odd, wide_even, wide_odd = b + c, b - c, d + e, d - e
    two, four, eight = vall(real(2)), vall(real(4)), vall(real(8))
    first, second = a + (even + wide_even), vfma(two, wide_odd, odd)
    return first, second, vfma(four, wide_even, even), vfma(eight, wide_odd, odd) + f


@device
def error2(a, b):
    """A, m = 2: 1 0 | 1 1 | 1 -1 | 0 -1."""
    return a, a + b, a - b, vall(real(0)) - b


@device
def error4(a, b, c, d):
    """A, m = 4: 1 0 0 0 | 1 1 1 1 | 1 -1 1 -1 | 1 2 4 8 | 1 -2 4 -8 | 0 0 0 1."""
    two, four, eight = vall(real(2)), vall(real(4)), vall(real(8))
    even, odd = a + c, b + d
    wide_even, wide_odd = vfma(four, c, a), vfma(eight, d, two * b)
    return a, even + odd, even - odd, wide_even + wide_odd, wide_even - wide_odd, d


@device
def filter2(a, b, c):
    """G, m = 2: 1 0 0 | 1/2 1/2 1/2 | 1/2 -1/2 1/2 | 0 0 1."""
    half = vall(real(0.5))
    return a, half * ((a + c) + b), half * ((a + c) - b), c


@device
def filter4(a, b, c):
    """G, m = 4: 1/4 0 0 | -1/6 -1/6 -1/6 | -1/6 1/6 -1/6 | 1/24 1/12 1/6 | 1/24 -1/12 1/6 | 0 0 1."""
    quarter, half = vall(real(0.25)), vall(real(0.5))
    sixth, less = vall(real(1 / 6)), vall(real(-1 / 6))
    even, odd = vfma(quarter, a, c), half * b
    return (
        quarter * a,
        less * ((a + c) + b),
        less * ((a + c) - b),
        sixth * (even + odd),
        sixth * (even - odd),
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

    1/4 -1/6 -1/6 1/24 1/24 0 | 0 -1/6 1/6 1/12 -1/12 0 | 0 -1/6 -1/6 1/6 1/6 1.
    """
    quarter, sixth, half = vall(real(0.25)), vall(real(1 / 6)), vall(real(0.5))
    near, far = b + c, d + e
    first = vfma(sixth, vfma(quarter, far, vall(real(0)) - near), quarter * a)
    return first, sixth * vfma(half, d - e, c - b), vfma(sixth, far - near, f)
