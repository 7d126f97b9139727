"""A piece of the positions of a gradient by weights: both pictures, and the products of all taps.

What may be read where it is stays there; the rest is brought into the thread's own memory.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.matmul import add_columns, clear, copy_rows, product
from netdsl.kernel import device, routine

RUN = 16
"""So many positions are made at once: what they are read from comes in the order of memory."""


@device
def part(index, parts, size):
    """The first place of a part of an axis, and the place behind its last."""
    return index * size // parts, (index + 1) * size // parts


@device
def begin_of(t, begin, stride, pad, dilation):
    """The first place from ``begin`` on where a tap meets the picture."""
    return max(begin, -((t * dilation - pad) // stride))


@device
def end_of(t, end, size, stride, pad, dilation):
    """The place behind the last one before ``end`` where a tap meets the picture."""
    return min(end, (size - 1 + pad - t * dilation) // stride + 1)


@device
def covered(begin, end, size, k, s, p, d):
    """What a window sees of an axis from places ``begin`` to ``end``: first, count, step."""
    if k == 1:  # nothing that lies between
        first = begin_of(0, begin, s, p, d)
        return first * s - p, max(0, end_of(0, end, size, s, p, d) - first), s
    first = max(0, begin * s - p)
    return first, max(0, min(size, (end - 1) * s - p + (k - 1) * d + 1) - first), 1


@routine
def pack_rows(scratch, at, row, wide, left, base, pitch, q1, high, cells, q2, tensor, c, channels):
    """Bring rows of a plane into memory; ``wide`` cells are a row, what is not there is zero."""
    x, x_step, ref, ref_step, coef, all, lo, hi = tensor
    if wide == cells and pitch == cells and q1 == 1 and q2 == 1:
        high, cells, wide = min(high, 1), cells * high, wide * high
    cells_done = 0
    for j in range(high):
        line, here = at + j * wide * row, base + j * q1 * pitch
        clear(scratch, line, row, left, channels)
        at_x, put, step = here * x_step + c, line + left * row, x_step * q2
        if coef.size == 0 and ref.size == 0:
            copy_rows(scratch, put, row, cells, channels, x, at_x, step)
            cells_done = cells
        for cell in range(cells_done, cells, RUN):
            fetch(
                scratch, put + cell * row, row, min(RUN, cells - cell), channels, x,
                at_x + cell * step, step, ref, (here + cell * q2) * ref_step + c, ref_step * q2,
                coef, c, all, lo, hi,
            )  # fmt: skip
        clear(scratch, line + (left + cells) * row, row, wide - left - cells, channels)


@routine
def bring_y(scratch, at, row, q, planes, piece, outputs, near, tensor, channel, channels):
    """Bring a piece of the gradient into memory unless it is ``near``; returns how it lies."""
    r0, r1, c0, c1 = piece
    if near:
        _, y_step, _, _, _, _, _, _ = tensor
        base = ((q * outputs[1] + r0) * outputs[2] + c0) * y_step + channel
        return base, outputs[1] * outputs[2] * y_step, outputs[2] * y_step, y_step
    area = (r1 - r0) * (c1 - c0)
    for j in range(planes):
        base = ((q + j) * outputs[1] + r0) * outputs[2] + c0
        pack_rows(
            scratch, at + j * area * row, row, c1 - c0, 0, base, outputs[2], 1, r1 - r0, c1 - c0, 1,
            tensor, channel, channels,
        )  # fmt: skip
    return at, area * row, (c1 - c0) * row, row


@routine
def bring_x(
    scratch, row, q, planes, t0, joint, piece, seen, high, cells, depth, i, k, s, p, d, near,
    tensor, channel, channels,
):  # fmt: skip
    """Bring what a piece sees of the input into memory unless it is ``near``; how it lies."""
    x1, q1, x2, q2 = seen
    if near:
        _, x_step, _, _, _, _, _, _ = tensor
        return q * i[1] * i[2] * x_step + channel, i[1] * i[2] * x_step, i[2] * x_step, x_step
    c0, c1 = piece[2], piece[3]
    wide = (c1 - c0 - 1) * s[2] + k[2] if joint else cells
    left = min(wide, max(0, p[2] - c0 * s[2])) if joint else 0
    for j in range(planes):
        z = (q + j) % depth * s[0] + t0 * d[0] - p[0]
        there = 0 <= z < i[0]
        base = (((q + j) // depth * i[0] + z) * i[1] + x1) * i[2] + x2
        pack_rows(
            scratch, j * high * wide * row, row, wide, left if there else wide, base, i[2], q1,
            high, cells if there else 0, q2, tensor, channel, channels,
        )  # fmt: skip
    return 0, high * wide * row, wide * row, row


@device
def add_biases(scratch, at, y, y_view, planes, rows, cols, outs):
    """Add the gradient of a piece to the sums for the biases."""
    for j in range(planes):
        for r in range(rows):
            line = y_view[0] + j * y_view[1] + r * y_view[2]
            add_columns(scratch, at, y, line, y_view[3], cols, outs)


@routine
def tap_spot(t1, t2, joint, piece, i, k, s, p, d, seen, x_view, y_view):
    """Where the products of a tap lie: rows and columns, and the first numbers of both pictures."""
    r0, r1, c0, c1 = piece
    x1, q1, x2, q2 = seen
    row = begin_of(t1, r0, s[1], p[1], d[1])
    rows = end_of(t1, r1, i[1], s[1], p[1], d[1]) - row
    col = c0 if joint else begin_of(t2, c0, s[2], p[2], d[2])
    cols = (c1 if joint else end_of(t2, c1, i[2], s[2], p[2], d[2])) - col
    down = (row * s[1] + t1 * d[1] - p[1] - x1) // q1
    over = 0 if joint else (col * s[2] + t2 * d[2] - p[2] - x2) // q2
    x_at = x_view[0] + down * x_view[2] + over * x_view[3]
    y_at = y_view[0] + (row - r0) * y_view[2] + (col - c0) * y_view[3]
    return max(0, rows), max(0, cols), x_at, y_at


@routine
def weight_piece(
    scratch, ys, sums, sums0, start, bias, piece, parts, block, steps, plan, n, outputs, i, k, s, p,
    d, x, y, tensor_x, tensor_y,
):  # fmt: skip
    """Add the products of a piece to the sums."""
    across, joint, x_row, y_row, x_near, y_near = plan
    row_sums, size, tap_step = steps
    x_channel, ins, y_channel, outs = block
    q, q9 = part(piece // (parts[1] * parts[2]), parts[0], n * outputs[0])
    r0, r1 = part(piece // parts[2] % parts[1], parts[1], outputs[1])
    c0, c1 = part(piece % parts[2], parts[2], outputs[2])
    spot, planes = (r0, r1, c0, c1), q9 - q
    x_from, y_from = x if x_near else scratch, y if y_near else scratch
    wide = ins * k[2] if joint else ins
    lines, columns = (outs, wide) if across else (wide, outs)
    a, b = (y_from, x_from) if across else (x_from, y_from)
    y_view = bring_y(
        scratch, ys, y_row, q, planes, spot, outputs, y_near, tensor_y, y_channel, outs
    )  # fmt: skip
    y_steps = y_view[1], y_view[2], y_view[3]
    if bias >= 0:
        add_biases(scratch, bias, y_from, y_view, planes, r1 - r0, c1 - c0, outs)
    x1, high, q1 = covered(r0, r1, i[1], k[1], s[1], p[1], d[1])
    x2, cells, q2 = covered(c0, c1, i[2], k[2], s[2], p[2], d[2])
    seen = (0, 1, 0, 1) if x_near else (x1, q1, x2, q2)
    for t0 in range(k[0]):
        x_view = bring_x(
            scratch, x_row, q, planes, t0, joint, spot, seen, high, cells, outputs[0], i, k, s, p,
            d, x_near, tensor_x, x_channel, ins,
        )  # fmt: skip
        x_steps = x_view[1], s[1] // seen[1] * x_view[2], s[2] // seen[3] * x_view[3]
        (a1, a2, ak), (b1, b2, bk) = (y_steps, x_steps) if across else (x_steps, y_steps)
        for t in range(k[1] if joint else k[1] * k[2]):
            t1, t2 = (t, 0) if joint else (t // k[2], t % k[2])
            rows, cols, xa, ya = tap_spot(t1, t2, joint, spot, i, k, s, p, d, seen, x_view, y_view)
            if rows > 0 and cols > 0:
                at = sums0 + (t0 * k[1] + t1) * size + t2 * tap_step
                a0, b0 = (ya, xa) if across else (xa, ya)
                product(
                    sums, at, row_sums, start, sums, at, lines, columns, a, a0, 1, ak, b, b0, bk,
                    planes, a1, b1, rows, a2, b2, cols,
                )  # fmt: skip
