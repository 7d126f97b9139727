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

from netdsl.backends.cpu.lazy import fetch
from netdsl.backends.cpu.matmul import add_columns, add_rows, clear, product
from netdsl.backends.override import task
from netdsl.kernel import device, routine

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
            add_rows(scratch, put, row, cells, channels, x, at_x, step, 0)
            cells_done = cells
        for cell in range(cells_done, cells, RUN):
            fetch(
                scratch, put + cell * row, row, min(RUN, cells - cell), channels, x,
                at_x + cell * step, step, ref, (here + cell * q2) * ref_step + c, ref_step * q2,
                coef, c, all, lo, hi,
            )  # fmt: skip
        clear(scratch, line + (left + cells) * row, row, wide - left - cells, channels)


@routine
def weight_taps(
    scratch, sums, sums0, start, ys, t01, t1, block, steps, plan, piece, seen, k, s, p, d, i, wide
):
    """Add the products of a row of taps over a piece to the sums."""
    across, joint, x_row, y_row = plan
    count, r0, r1, c0, c1, high = piece
    x1, q1, x2, q2 = seen
    row_sums, size, step = steps
    ins, outs = block[1] * (k[2] if joint else 1), block[3]
    first = begin_of(t1, r0, s[1], p[1], d[1])
    rows = end_of(t1, r1, i[1], s[1], p[1], d[1]) - first
    if rows <= 0:
        return
    line = (first * s[1] + t1 * d[1] - p[1] - x1) // q1 * wide
    b1, b2 = (r1 - r0) * (c1 - c0) * y_row, (c1 - c0) * y_row
    a1, a2, ak = high * wide * x_row, s[1] // q1 * wide * x_row, s[2] // q2 * x_row
    for t2 in range(1 if joint else k[2]):
        begin = c0 if joint else begin_of(t2, c0, s[2], p[2], d[2])
        cols = (c1 if joint else end_of(t2, c1, i[2], s[2], p[2], d[2])) - begin
        if cols <= 0:
            continue
        inside = 0 if joint else (begin * s[2] + t2 * d[2] - p[2] - x2) // q2
        xa = (line + inside) * x_row
        ya = ys + ((first - r0) * (c1 - c0) + begin - c0) * y_row
        at = sums0 + t01 * size + t2 * step
        if across:
            product(
                sums, at, row_sums, start, sums, at, outs, ins, scratch, ya, 1, y_row,
                scratch, xa, ak, count, b1, a1, rows, b2, a2, cols,
            )  # fmt: skip
        else:
            product(
                sums, at, row_sums, start, sums, at, ins, outs, scratch, xa, 1, ak,
                scratch, ya, y_row, count, a1, b1, rows, a2, b2, cols,
            )  # fmt: skip


@device
def part(index, parts, size):
    """The first place of a part of an axis, and the place behind its last."""
    return index * size // parts, (index + 1) * size // parts


@routine
def weight_piece(
    scratch, ys, sums, sums0, start, bias, piece, parts, block, steps, plan, n, outputs, i, k, s, p,
    d, tensor_x, tensor_y,
):
    """Bring a piece of both pictures into memory and add its products to the sums."""
    joint, x_row, y_row = plan[1:]
    x_channel, ins, y_channel, outs = block
    q, q9 = part(piece // (parts[1] * parts[2]), parts[0], n * outputs[0])
    r0, r1 = part(piece // parts[2] % parts[1], parts[1], outputs[1])
    c0, c1 = part(piece % parts[2], parts[2], outputs[2])
    area = (r1 - r0) * (c1 - c0)
    for j in range(q9 - q):
        pack_rows(
            scratch, ys + j * area * y_row, y_row, c1 - c0, 0,
            ((q + j) * outputs[1] + r0) * outputs[2] + c0, outputs[2], 1, r1 - r0, c1 - c0, 1,
            tensor_y, y_channel, outs,
        )  # fmt: skip
    if bias >= 0:
        add_columns(scratch, bias, scratch, ys, y_row, (q9 - q) * area, outs)
    x1, high, q1 = covered(r0, r1, i[1], k[1], s[1], p[1], d[1])
    x2, cells, q2 = covered(c0, c1, i[2], k[2], s[2], p[2], d[2])
    wide = (c1 - c0 - 1) * s[2] + k[2] if joint else cells
    left = min(wide, max(0, p[2] - c0 * s[2])) if joint else 0
    for t0 in range(k[0]):
        for j in range(q9 - q):
            z = (q + j) % outputs[0] * s[0] + t0 * d[0] - p[0]
            there = 0 <= z < i[0]
            base = (((q + j) // outputs[0] * i[0] + z) * i[1] + x1) * i[2] + x2
            pack_rows(
                scratch, j * high * wide * x_row, x_row, wide, left if there else wide,
                base, i[2], q1, high, cells if there else 0, q2, tensor_x, x_channel, ins,
            )  # fmt: skip
        for t1 in range(k[1]):
            weight_taps(
                scratch, sums, sums0, start, ys, t0 * k[1] + t1, t1, block, steps, plan,
                (q9 - q, r0, r1, c0, c1, high), (x1, q1, x2, q2), k, s, p, d, i, wide,
            )  # fmt: skip


@routine
def weight_out(out, o0, pitch, sums, at, outs, o_step, ins, i_step, r, r_step, t, t_step, add):
    """Put sums into the logical layout: outputs, inputs, taps; ``r`` rows of ``t`` taps."""
    if r * t == 1 and i_step == 1:
        add_rows(out, o0, pitch, outs, ins, sums, at, o_step, add)
        return
    taps = r * t
    for o in range(outs):
        for j in range(taps):
            put = o0 + o * pitch + j
            get = at + o * o_step + j // t * r_step + j % t * t_step
            if add:
                for i in range(ins):
                    out[put + i * taps] += sums[get + i * i_step]
            else:
                for i in range(ins):
                    out[put + i * taps] = sums[get + i * i_step]


@task(tasks=weight_tasks, memory=weight_memory, writes=("out", "dbias", "parts"))
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
    plan = (across, joint, x_row, y_row)
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
                sums, sums0, steps = scratch, own, (o_step if across else i_step, row_step, tap_step)
                clear(scratch, own, whole, 1, 0 if fresh else whole)
            else:
                sums, sums0, steps = out, put, (cig, 0, 0)
                clear(out, put, cig, 0 if fresh or add else block[3], block[1])
            clear(scratch, own + whole, block_o, 1, block_o)
            start = add if direct and fresh else not fresh
            for piece in range(from_, min(from_ + span, end)):
                weight_piece(
                    scratch, ys, sums, sums0, start, bias, piece, shares, block, steps, plan, n,
                    outputs, i, k, s, p, d, tensor_x, tensor_y,
                )  # fmt: skip
                start = 1
            more = from_ > begin
            if chunks > 1:
                add_rows(parts, t * whole, whole, 1, whole, scratch, own, whole, more)
                if bias >= 0:
                    at = chunks * groups * blocks_i * blocks_o * whole + chunk * co + block[2]
                    add_rows(parts, at, co, 1, block[3], scratch, bias, block_o, more)
                continue
            if not direct:
                weight_out(
                    out, put, cig * taps, scratch, own, block[3], o_step, block[1], i_step,
                    k0 * k1, row_step, k2, tap_step, add or more,
                )  # fmt: skip
            if bias >= 0:
                add_rows(dbias, block[2], co, 1, block[3], scratch, bias, block_o, add or more)
