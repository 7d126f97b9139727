"""What follows a convolution while its block is still near: bias and bounds, and statistics."""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vmax, vmin
from netdsl.kernel import device, real, routine


@device
def sum_of(x, i, step, count, channels):
    """The sum over positions, a vector of channels."""
    a = b = c = d = vall(real(0))
    for p in range(0, count - 3, 4):
        a = a + take_vector(x, i + p * step, channels)
        b = b + take_vector(x, i + (p + 1) * step, channels)
        c = c + take_vector(x, i + (p + 2) * step, channels)
        d = d + take_vector(x, i + (p + 3) * step, channels)
    for p in range(count - count % 4, count):
        a = a + take_vector(x, i + p * step, channels)
    return (a + b) + (c + d)


@device
def spread_of(x, i, step, count, channels, mean):
    """The sum of squared deviations over positions, a vector of channels."""
    a = b = c = d = vall(real(0))
    for p in range(0, count - 3, 4):
        e = take_vector(x, i + p * step, channels) - mean
        f = take_vector(x, i + (p + 1) * step, channels) - mean
        g = take_vector(x, i + (p + 2) * step, channels) - mean
        h = take_vector(x, i + (p + 3) * step, channels) - mean
        a, b, c, d = vfma(e, e, a), vfma(f, f, b), vfma(g, g, c), vfma(h, h, d)
    for p in range(count - count % 4, count):
        e = take_vector(x, i + p * step, channels) - mean
        a = vfma(e, e, a)
    return (a + b) + (c + d)


@routine
def finish(out, i, step, count, channels, bias, k, biased, bounded, lo, hi, sums, s, all):
    """Bias and bounds for some channels of ``count`` positions, and what statistics want."""
    low, high = vall(real(lo)), vall(real(hi))
    for c in range(0, channels, LANES):
        left = channels - c
        if biased or bounded:
            more = take_vector(bias, k + c, left) if biased else vall(real(0))
            for p in range(count):
                v = take_vector(out, i + p * step + c, left) + more
                put_vector(out, i + p * step + c, vmin(high, vmax(low, v)), left)
        if sums.size > 0:
            total = sum_of(out, i + c, step, count, left)
            put_vector(sums, s + k + c, total, left)
            mean = total * vall(real(1 / count))
            spread = spread_of(out, i + c, step, count, left, mean)
            put_vector(sums, s + all + k + c, spread, left)
