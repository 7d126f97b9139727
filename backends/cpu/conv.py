"""Convolution on the CPU: an image is unfolded into rows (im2col), then rows are combined.

``cols[k]`` is what weight ``k`` (a channel and a place in the window) meets at every output
position: ``y[o] = sum over k of weight[o, k] * cols[k]``. All loops run along rows, in SIMD.
"""

from __future__ import annotations

import numpy as np

from netdsl.backends.cpu.blocks import add_rows, dot_rows
from netdsl.backends.override import fast, prange
from netdsl.kernel import device, real
from netdsl.ops.conv import Conv

CHUNKS = 16
"""Weight gradients are summed in this many pieces, whatever the number of threads."""


@device
def bounds(size, out, stride, start):
    """The outputs ``first`` to ``last`` of an axis for which ``start + i * stride`` is inside."""
    first = 0 if start >= 0 else (-start + stride - 1) // stride
    last = min(out, (size - start + stride - 1) // stride) if start < size else 0
    return min(first, out), max(last, min(first, out))


@device
def carry(cols, x, sizes, window, stride, pad, dilation, back):
    """Fill the rows of ``cols`` from the channels ``x`` of an image, or add them ``back`` to it."""
    for k in range(cols.shape[0]):
        d = k % window[2]
        b = k // window[2] % window[1]
        a = k // (window[2] * window[1]) % window[0]
        plane = x[k // (window[2] * window[1] * window[0])]
        shift = d * dilation[2] - pad[2]
        first, last = bounds(plane.shape[2], sizes[2], stride[2], shift)
        for i in range(sizes[0]):
            p = i * stride[0] - pad[0] + a * dilation[0]
            for j in range(sizes[1]):
                q = j * stride[1] - pad[1] + b * dilation[1]
                begin = (i * sizes[1] + j) * sizes[2]
                part = cols[k, begin : begin + sizes[2]]
                inside = 0 <= p < plane.shape[0] and 0 <= q < plane.shape[1]
                if inside and back:
                    carry_back(part, plane[p, q], first, last, stride[2], shift)
                elif inside:
                    carry_line(part, plane[p, q], first, last, stride[2], shift)
                elif not back:
                    part[:] = real(0)


@device
def carry_line(part, line, first, last, stride, shift):
    """``part[r] = line[r * stride + shift]`` from ``first`` to ``last``, and zeros around."""
    part[:first] = real(0)
    part[last:] = real(0)
    if stride == 1:
        part[first:last] = line[first + shift : last + shift]
    else:
        for r in range(first, last):
            part[r] = line[r * stride + shift]


@device
def carry_back(part, line, first, last, stride, shift):
    """``line[r * stride + shift] += part[r]`` from ``first`` to ``last``."""
    if stride == 1:
        source, goal = part[first:last], line[first + shift : last + shift]
        for r in range(goal.shape[0]):
            goal[r] += source[r]
    else:
        for r in range(first, last):
            line[r * stride + shift] += part[r]


@fast(Conv, "y")
def conv_y_rows(out, x, weight, bias, add, window, stride, pad, dilation, groups):
    inner = weight.shape[1]
    each = weight.shape[0] // groups
    sizes = (out.shape[2], out.shape[3], out.shape[4])
    steps = inner * window[0] * window[1] * window[2]
    factors = weight.reshape(weight.size)
    for task in prange(out.shape[0] * groups):
        n = task // groups
        g = task % groups
        cols = np.empty((steps, sizes[0] * sizes[1] * sizes[2]), out.dtype)
        image = x[n, g * inner : (g + 1) * inner]
        carry(cols, image, sizes, window, stride, pad, dilation, False)
        for o in range(g * each, (g + 1) * each):
            row = out[n, o].reshape(cols.shape[1])
            start = bias[o] if bias is not None else real(0)
            for i in range(row.shape[0]):
                row[i] = row[i] + start if add else start
            add_rows(row, factors, cols, o * steps, 1, steps)


@fast(Conv, "dx")
def conv_dx_rows(out, dy, weight, add, window, stride, pad, dilation, groups):
    inner = weight.shape[1]
    each = weight.shape[0] // groups
    sizes = (dy.shape[2], dy.shape[3], dy.shape[4])
    steps = inner * window[0] * window[1] * window[2]
    factors = weight.reshape(weight.size)
    for task in prange(out.shape[0] * groups):
        n = task // groups
        g = task % groups
        cols = np.zeros((steps, sizes[0] * sizes[1] * sizes[2]), out.dtype)
        rows = dy[n, g * each : (g + 1) * each].reshape((each, cols.shape[1]))
        for k in range(steps):
            add_rows(cols[k], factors, rows, g * each * steps + k, steps, each)
        image = out[n, g * inner : (g + 1) * inner]
        if not add:
            image[:] = real(0)
        carry(cols, image, sizes, window, stride, pad, dilation, True)


@fast(Conv, "dweight")
def conv_dweight_rows(out, dy, x, add, stride, pad, dilation, groups):
    window = (out.shape[2], out.shape[3], out.shape[4])
    inner = out.shape[1]
    each = out.shape[0] // groups
    sizes = (dy.shape[2], dy.shape[3], dy.shape[4])
    positions = sizes[0] * sizes[1] * sizes[2]
    steps = inner * window[0] * window[1] * window[2]
    chunks = min(CHUNKS, x.shape[0])
    sums = np.zeros((chunks, out.shape[0], steps), out.dtype)
    for chunk in prange(chunks):
        cols = np.empty((steps, positions), out.dtype)
        for n in range(chunk * x.shape[0] // chunks, (chunk + 1) * x.shape[0] // chunks):
            for g in range(groups):
                image = x[n, g * inner : (g + 1) * inner]
                carry(cols, image, sizes, window, stride, pad, dilation, False)
                for o in range(g * each, (g + 1) * each):
                    dot_rows(sums[chunk, o], dy[n, o].reshape(positions), cols, steps)
    flat = out.reshape((out.shape[0], steps))
    for o in prange(out.shape[0]):
        for k in range(steps):
            acc = sums[0, o, k]
            for chunk in range(1, chunks):
                acc += sums[chunk, o, k]
            flat[o, k] = flat[o, k] + acc if add else acc
