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

from netdsl.backends.cpu.conv_weight_piece import part, weight_piece
from netdsl.backends.cpu.conv_weight_plan import PLANNED, weight_numbers
from netdsl.backends.cpu.conv_weight_turn import put_windows
from netdsl.backends.cpu.matmul import clear, place_rows
from netdsl.backends.cpu.tile import ROWS
from netdsl.backends.override import task
from netdsl.kernel import device, routine

NEAR = 32
"""Positions that are no farther apart than this are read where they are."""


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
def full(size, places, s, p):
    """Whether a window of one tap lies inside at all places."""
    return p == 0 and (places - 1) * s < size


@device
def block_of(index, groups, cig, cog, block_i, block_o):
    """The channels of a block: the first input and how many, the first output and how many."""
    inner, outer = -(-cig // block_i), -(-cog // block_o)
    g, c, o = index // outer // inner, index // outer % inner * block_i, index % outer * block_o
    return g * cig + c, min(block_i, cig - c), g * cog + o, min(block_o, cog - o)


@device
def sums_steps(across, joint, block_i, block_o, k2):
    """How far outputs, inputs, taps and rows of taps are apart in the sums."""
    if not across:
        return 1, block_o, block_i * block_o, k2 * block_i * block_o
    if joint:
        return k2 * block_i, 1, block_i, k2 * block_i * block_o
    return block_i, 1, block_i * block_o, k2 * block_i * block_o


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


@device
def put_sums(out, o, pitch, sums, at, block, apart, k, add):
    """Put the sums of a block into their place: ``apart`` as `sums_steps` says."""
    _, ins, _, outs = block
    o_step, i_step, tap_step, row_step = apart
    weight_out(
        out, o, pitch, sums, at, outs, o_step, ins, i_step, k[0] * k[1], row_step, k[2], tap_step,
        add,
    )  # fmt: skip


@routine
def weight_span(
    scratch, ys, sums, sums0, direct, fresh, add, biases, bias, first, last, parts, block, steps,
    plan, n, outputs, i, k, s, p, d, x, y, tensor_x, tensor_y, cig, whole, block_o,
):  # fmt: skip
    """The sums over some pieces; those that go ``direct`` to the weights are added to them."""
    if direct:
        clear(sums, sums0, cig, 0 if fresh or add else block[3], block[1])
    else:
        clear(sums, sums0, whole, 1, 0 if fresh else whole)
    clear(scratch, biases, block_o, 1, block_o)
    start = add if direct and fresh else not fresh
    for piece in range(first, last):
        weight_piece(
            scratch, ys, sums, sums0, start, bias, piece, parts, block, steps, plan, n, outputs,
            i, k, s, p, d, x, y, tensor_x, tensor_y,
        )  # fmt: skip
        start = 1


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
    blocks = groups * -(-cig // block_i) * -(-cog // block_o)
    shares = (-(-n * o0 // planes), -(-o1 // rows), -(-o2 // cols))
    pieces = shares[0] * shares[1] * shares[2]
    high = (rows - 1) * s1 + (k1 - 1) * d1 + 1 if k1 > 1 else rows
    wide = (cols - 1) * s2 + (k2 - 1) * d2 + 1 if k2 > 1 else cols
    ys = planes * high * wide * x_row
    own = ys + planes * rows * cols * y_row
    whole = taps * block_i * block_o
    direct = across and taps == 1 and chunks == 1 and pieces <= span
    apart = sums_steps(across, joint, block_i, block_o, k2)
    steps = (cig, 0, 0) if direct else (apart[0 if across else 1], apart[3], apart[2])
    fresh = taps == 1 and full(i0, o0, s0, p0) and full(i1, o1, s1, p1) and full(i2, o2, s2, p2)
    for t in range(first, last):
        chunk, block = t // blocks, block_of(t % blocks, groups, cig, cog, block_i, block_o)
        put = (block[2] * cig + block[0] % cig) * taps
        begin, end = part(chunk, chunks, pieces)
        bias = own + whole if dbias.size and block[0] % cig == 0 else -1
        for from_ in range(begin, end, span):
            weight_span(
                scratch, ys, out if direct else scratch, put if direct else own, direct, fresh,
                add, own + whole, bias, from_, min(from_ + span, end), shares, block, steps, plan,
                n, outputs, i, k, s, p, d, x, y, tensor_x, tensor_y, cig, whole, block_o,
            )
            more = from_ > begin
            if chunks > 1:
                place_rows(parts, t * whole, whole, 1, whole, scratch, own, whole, more)
            elif not direct:
                put_sums(out, put, cig * taps, scratch, own, block, apart, k, add or more)
            if bias >= 0:
                at = chunks * blocks * whole + chunk * co if chunks > 1 else 0
                place_rows(
                    parts if chunks > 1 else dbias, at + block[2], co, 1, block[3],
                    scratch, bias, block_o, more or (add and chunks == 1),
                )
# fmt: on
