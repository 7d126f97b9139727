"""Loops that LLVM turns into SIMD: what the faster CPU kernels are made of.

Rows are contiguous; four are taken at a time, so that what is loaded is used more than once.
"""

from __future__ import annotations

from netdsl.kernel import device, real


@device
def add_rows(out, factors, rows, first, stride, count):
    """``out += sum over k of factors[first + k * stride] * rows[k]``, for ``count`` rows."""
    size = out.shape[0]
    k = 0
    while k + 4 <= count:
        f0 = factors[first + k * stride]
        f1 = factors[first + (k + 1) * stride]
        f2 = factors[first + (k + 2) * stride]
        f3 = factors[first + (k + 3) * stride]
        r0, r1, r2, r3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        for i in range(size):
            out[i] += f0 * r0[i] + f1 * r1[i] + f2 * r2[i] + f3 * r3[i]
        k += 4
    while k < count:
        f0 = factors[first + k * stride]
        r0 = rows[k]
        for i in range(size):
            out[i] += f0 * r0[i]
        k += 1


@device
def dot_rows(out, row, rows, count):
    """``out[k] += row . rows[k]``, for ``count`` rows."""
    size = row.shape[0]
    k = 0
    while k + 4 <= count:
        r0, r1, r2, r3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        s0 = real(0)
        s1 = real(0)
        s2 = real(0)
        s3 = real(0)
        for i in range(size):
            s0 += row[i] * r0[i]
            s1 += row[i] * r1[i]
            s2 += row[i] * r2[i]
            s3 += row[i] * r3[i]
        out[k] += s0
        out[k + 1] += s1
        out[k + 2] += s2
        out[k + 3] += s3
        k += 4
    while k < count:
        r0 = rows[k]
        s0 = real(0)
        for i in range(size):
            s0 += row[i] * r0[i]
        out[k] += s0
        k += 1
