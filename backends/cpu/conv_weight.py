"""The gradient of a convolution by its weights: ``dweight[o, i, window] = sum of x * dy``.

It is a product of two matrices that are as long as there are positions. The work falls apart in two
ways: into blocks of input and output channels, and into chunks of the positions, each with sums of
its own. A task goes over its chunk piece by piece: it brings the numbers of a piece into its own
memory, as they are there already or made on the way, and adds the products of all taps to sums
there, which are put into their place after every ``span`` pieces, so that no sum gets long.

Vectors go over the input channels (``across``) or over the output channels. A tap is a product of
its own over the positions where it meets the picture, so nothing is padded; where channels are few
the taps of a row are one product (``joint``), over rows that are padded. `weight_plan` chooses.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight_plan import PLANNED, weight_numbers
from netdsl.backends.cpu.conv_weight_turn import put_windows
from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.matmul import add_columns, clear, copy_rows, place_rows, product
from netdsl.backends.cpu.tile import ROWS
from netdsl.backends.override import task
from netdsl.kernel import device, routine

NEAR = 32
"""Positions that are no farther apart than this are read where they are."""
RUN = 16
"""So many positions are made at once: what they are read from comes in the order of memory."""


def weight_tasks(ci, co, groups, block_i, block_o, chunks):
    """A task for every chunk of the positions and every block of channels."""
    inner = (ci // groups + block_i - 1) // block_i
    return chunks * groups * inner * ((co // groups + block_o - 1) // block_o)


def weight_memory(k0, k1, k2, s1, s2, d1, d2, block_i, block_o, planes, rows, cols, x_row, y_row):
    """A piece of both pictures, and the sums."""
    high = (rows - 1) * s1 + (k1 - 1) * d1 + 1 if k1 > 1 else rows
    wide = (cols - 1) * s2 + (k2 - 1) * d2 + 1 if k2 > 1 else cols
    sums = k0 * k1 * k2 * block_i * block_o + block_o
    return planes * (high * wide * x_row + rows * cols * y_row) + sums


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


@device
def full(size, places, s, p):
    """Whether a window of one tap lies inside at all places."""
    return p == 0 and (places - 1) * s < size


@device
def sums_steps(across, joint, block_i, block_o, k2):
    """How far outputs, inputs, taps and rows of taps are apart in the sums."""
    if not across:
        return 1, block_o, block_i * block_o, k2 * block_i * block_o
    if joint:
        return k2 * block_i, 1, block_i, k2 * block_i * block_o
    return block_i, 1, block_i * block_o, k2 * block_i * block_o


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


@device
def part(index, parts, size):
    """The first place of a part of an axis, and the place behind its last."""
    return index * size // parts, (index + 1) * size // parts


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
def pack_y(scratch, at, row, q, planes, piece, outputs, tensor, channel, channels):
    """Bring a piece of the gradient into memory; returns how it lies there."""
    r0, r1, c0, c1 = piece
    area = (r1 - r0) * (c1 - c0)
    for j in range(planes):
        base = ((q + j) * outputs[1] + r0) * outputs[2] + c0
        pack_rows(
            scratch, at + j * area * row, row, c1 - c0, 0, base, outputs[2], 1, r1 - r0, c1 - c0, 1,
            tensor, channel, channels,
        )  # fmt: skip
    return at, area * row, (c1 - c0) * row, row


@routine
def pack_x(
    scratch, row, q, planes, t0, joint, piece, seen, high, cells, depth, i, k, s, p, d, tensor,
    channel, channels,
):  # fmt: skip
    """Bring what a piece sees of the input into memory; returns how it lies there."""
    x1, q1, x2, q2 = seen
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


@routine
def weight_piece(
    scratch, ys, sums, sums0, start, bias, piece, parts, block, steps, plan, n, outputs, i, k, s, p,
    d, x, x_step, y, y_step, tensor_x, tensor_y,
):  # fmt: skip
    """Add the products of a piece to the sums."""
    across, joint, x_row, y_row, x_near, y_near = plan
    row_sums, size, tap_step = steps
    x_channel, ins, y_channel, outs = block
    q, q9 = part(piece // (parts[1] * parts[2]), parts[0], n * outputs[0])
    r0, r1 = part(piece // parts[2] % parts[1], parts[1], outputs[1])
    c0, c1 = part(piece % parts[2], parts[2], outputs[2])
    spot, planes = (r0, r1, c0, c1), q9 - q
    y_from = y if y_near else scratch
    if y_near:
        area = outputs[1] * outputs[2]
        base = ((q * outputs[1] + r0) * outputs[2] + c0) * y_step + y_channel
        y_view = (base, area * y_step, outputs[2] * y_step, y_step)
    else:
        y_view = pack_y(scratch, ys, y_row, q, planes, spot, outputs, tensor_y, y_channel, outs)
    if bias >= 0:
        for j in range(planes):
            for r in range(r1 - r0):
                add_columns(
                    scratch, bias, y_from, y_view[0] + j * y_view[1] + r * y_view[2], y_view[3],
                    c1 - c0, outs,
                )  # fmt: skip
    x1, high, q1 = covered(r0, r1, i[1], k[1], s[1], p[1], d[1])
    x2, cells, q2 = covered(c0, c1, i[2], k[2], s[2], p[2], d[2])
    seen = (0, 1, 0, 1) if x_near else (x1, q1, x2, q2)
    x_from = x if x_near else scratch
    for t0 in range(k[0]):
        if x_near:
            base = q * i[1] * i[2] * x_step + x_channel
            x_view = (base, i[1] * i[2] * x_step, i[2] * x_step, x_step)
        else:
            x_view = pack_x(
                scratch, x_row, q, planes, t0, joint, spot, seen, high, cells, outputs[0], i, k, s,
                p, d, tensor_x, x_channel, ins,
            )  # fmt: skip
        a1, a2, ak = x_view[1], s[1] // seen[1] * x_view[2], s[2] // seen[3] * x_view[3]
        for t in range(k[1] if joint else k[1] * k[2]):
            t1, t2 = (t, 0) if joint else (t // k[2], t % k[2])
            rows, cols, xa, ya = tap_spot(t1, t2, joint, spot, i, k, s, p, d, seen, x_view, y_view)
            at = sums0 + (t0 * k[1] + t1) * size + t2 * tap_step
            wide = ins * k[2] if joint else ins
            if rows == 0 or cols == 0:
                continue
            if across:
                product(
                    sums, at, row_sums, start, sums, at, outs, wide, y_from, ya, 1, y_view[3],
                    x_from, xa, ak, planes, y_view[1], a1, rows, y_view[2], a2, cols,
                )  # fmt: skip
            else:
                product(
                    sums, at, row_sums, start, sums, at, wide, outs, x_from, xa, 1, ak,
                    y_from, ya, y_view[3], planes, a1, y_view[1], rows, a2, y_view[2], cols,
                )  # fmt: skip


@routine
def weight_out(out, o0, pitch, sums, at, outs, o_step, ins, i_step, r, r_step, t, t_step, add):
    """Put sums into the logical layout: outputs, inputs, taps; ``r`` rows of ``t`` taps."""
    if r * t == 1 and i_step == 1:
        place_rows(out, o0, pitch, outs, ins, sums, at, o_step, add)
        return
    taps = r * t
    if r * t == 1:
        put_windows(out, o0, pitch, sums, at, i_step, ins, outs, add)
        return
    if r_step == t * t_step:
        r, t = 1, taps
    for j in range(r):
        put, get = o0 + j * t, at + j * r_step
        if i_step == 1:
            for o in range(outs):
                put_windows(out, put + o * pitch, taps, sums, get + o * o_step, t_step, t, ins, add)
        else:
            for i in range(ins):
                put_windows(
                    out, put + i * taps, pitch, sums, get + i * i_step, t_step, t, outs, add
                )


# fmt: off
@task(tasks=weight_tasks, memory=weight_memory, writes=("out", "dbias", "parts"),
      plan=weight_numbers, planned=PLANNED)
def conv_weight(
    first, last, scratch, out, dbias, parts, x, ref, coef, y, y_ref, y_coef,
    n: int, ci: int, co: int, groups: int, i0: int, i1: int, i2: int, o0: int, o1: int, o2: int,
    k0: int, k1: int, k2: int, s0: int, s1: int, s2: int, p0: int, p1: int, p2: int,
    d0: int, d1: int, d2: int, x_step: int, ref_step: int, y_step: int, y_ref_step: int, add: int,
    block_i: int, block_o: int, chunks: int, across: int, joint: int,
    planes: int, rows: int, cols: int, x_row: int, y_row: int, span: int,
    lo: float, hi: float, y_lo: float, y_hi: float,
):
    """The gradients by weights and biases; sums of a chunk go to ``parts`` if there are several."""
    i, outputs, k, s = (i0, i1, i2), (o0, o1, o2), (k0, k1, k2), (s0, s1, s2)
    p, d = (p0, p1, p2), (d0, d1, d2)
    tensor_x = (x, x_step, ref, ref_step, coef, ci, lo, hi)
    tensor_y = (y, y_step, y_ref, y_ref_step, y_coef, co, y_lo, y_hi)
    once = across and k0 * k1 * k2 == 1 and block_o <= ROWS[1]  # is read
    x_near = (x_step <= NEAR or once) and coef.size + ref.size == 0 and i0 * k0 == 1 and not joint
    y_near = y_step <= NEAR and y_coef.size + y_ref.size == 0
    plan = (across, joint, x_row, y_row, x_near, y_near)
    cig, cog, taps = ci // groups, co // groups, k0 * k1 * k2
    blocks_i, blocks_o = -(-cig // block_i), -(-cog // block_o)
    shares = (-(-n * o0 // planes), -(-o1 // rows), -(-o2 // cols))
    pieces = shares[0] * shares[1] * shares[2]
    high = (rows - 1) * s1 + (k1 - 1) * d1 + 1 if k1 > 1 else rows
    wide = (cols - 1) * s2 + (k2 - 1) * d2 + 1 if k2 > 1 else cols
    ys = planes * high * wide * x_row
    own = ys + planes * rows * cols * y_row
    whole = taps * block_i * block_o
    o_step, i_step, tap_step, row_step = sums_steps(across, joint, block_i, block_o, k2)
    direct = across and taps == 1 and chunks == 1 and pieces <= span
    fresh = taps == 1 and full(i0, o0, s0, p0) and full(i1, o1, s1, p1) and full(i2, o2, s2, p2)
    for t in range(first, last):
        chunk = t // (groups * blocks_i * blocks_o)
        to = t % (groups * blocks_i * blocks_o)
        g, o, c = to // blocks_o // blocks_i, to % blocks_o * block_o, to // blocks_o % blocks_i
        c *= block_i
        block = (g * cig + c, min(block_i, cig - c), g * cog + o, min(block_o, cog - o))
        put = ((g * cog + o) * cig + c) * taps
        begin, end = part(chunk, chunks, pieces)
        bias = own + whole if dbias.size and c == 0 else -1
        for from_ in range(begin, end, span):
            if not direct:
                sums, sums0, steps = (
                    scratch,
                    own,
                    (o_step if across else i_step, row_step, tap_step),
                )
                clear(scratch, own, whole, 1, 0 if fresh else whole)
            else:
                sums, sums0, steps = out, put, (cig, 0, 0)
                clear(out, put, cig, 0 if fresh or add else block[3], block[1])
            clear(scratch, own + whole, block_o, 1, block_o)
            start = add if direct and fresh else not fresh
            for piece in range(from_, min(from_ + span, end)):
                weight_piece(
                    scratch, ys, sums, sums0, start, bias, piece, shares, block, steps, plan, n,
                    outputs, i, k, s, p, d, x, x_step, y, y_step, tensor_x, tensor_y,
                )  # fmt: skip
                start = 1
            more = from_ > begin
            if chunks > 1:
                place_rows(parts, t * whole, whole, 1, whole, scratch, own, whole, more)
                if bias >= 0:
                    at = chunks * groups * blocks_i * blocks_o * whole + chunk * co + block[2]
                    place_rows(parts, at, co, 1, block[3], scratch, bias, block_o, more)
                continue
            if not direct:
                weight_out(
                    out, put, cig * taps, scratch, own, block[3], o_step, block[1], i_step,
                    k0 * k1, row_step, k2, tap_step, add or more,
                )  # fmt: skip
            if bias >= 0:
                place_rows(dbias, block[2], co, 1, block[3], scratch, bias, block_o, add or more)
# fmt: on
