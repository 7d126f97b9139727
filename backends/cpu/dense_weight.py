"""Dense layers: the gradients by weights and biases, ``dweight = dy.T @ x`` and the sums of ``dy``.

Vectors go over the inputs; of the gradient single numbers are spread. A task goes over some outputs
and some inputs. It brings some samples of both into panels in its own memory, so that what is read
one after the other lies so: the gradient into panels of as many outputs as a tile has rows, the
inputs into panels of two vectors. Where there would be too few tasks, each takes only a chunk of
the samples, and `dense_weight_sum` adds the chunks.
"""

from __future__ import annotations

from netdsl.backends.cpu.dense_plan import BLOCK, HIGH, SIDE, weight_numbers
from netdsl.backends.cpu.lazy import fetch, put_or_add
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import add_columns, copy_rows, product
from netdsl.backends.cpu.rows import sum_of_rows
from netdsl.backends.cpu.tile import packed_1, packed_2
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PITCH = (HIGH + 7) // 8 * 8
"""So far apart are the numbers of two samples in a panel of outputs."""
DEPTH = 128
"""So many samples are near by at once."""
RUN = 16
"""So many samples are copied in a row."""
PANELS = DEPTH * ((BLOCK + 1) * PITCH + SIDE + 2 * LANES)
"""So many numbers the panels of both take."""
SELDOM = 2
"""Inputs that meet no more panels of outputs are read where they are."""
FLAT = 1 << 13
"""Of so many weights a task adds the chunks."""


def dense_weight_tasks(high, wide, chunks):
    """A task for every block of outputs, block of inputs and chunk of the samples."""
    return chunks * high * wide


def dense_weight_memory():
    """Panels of both, for some samples."""
    return PANELS


@routine
def pack_outputs(
    scratch, begin, end, panels, deep, co, y, at, y_step, ref, at_ref, ref_step, coef, lo, hi
):
    """Some panels of the gradient, made a few samples at a time, as they lie in memory."""
    for m in range(0, deep, RUN):
        for g in range(begin, end):
            o = g * co // panels
            fetch(
                scratch, ((g - begin) * DEPTH + m) * PITCH, PITCH, min(RUN, deep - m),
                (g + 1) * co // panels - o, y, at + m * y_step + o, y_step,
                ref, at_ref + m * ref_step + o, ref_step, coef, o, co, lo, hi,
            )  # fmt: skip


@routine
def pack_inputs(scratch, base, count, deep, x, at, x_step):
    """Some inputs in panels, a few samples at a time."""
    panel = 2 * LANES
    for m in range(0, deep, RUN):
        for i in range(0, count, panel):
            copy_rows(
                scratch, base + i * DEPTH + m * panel, panel, min(RUN, deep - m),
                min(panel, count - i), x, at + m * x_step + i, x_step,
            )  # fmt: skip


@device
def block_of(t, ci, co, high, wide):
    """The panels of outputs of a block, its outputs and its inputs: from where to where each."""
    panel, panels = 2 * LANES, -(-co // HIGH)
    block, side, sides = t // wide, t % wide, -(-ci // panel)
    begin, end = block * panels // high, (block + 1) * panels // high
    i0, i1 = side * sides // wide * panel, min(ci, (side + 1) * sides // wide * panel)
    return begin, end, begin * co // panels, end * co // panels, i0, i1


@routine
def weight_block(
    scratch, c, c0, pitch, start, sums, x, y, y_ref, y_coef, ci, co, x_step, y_step, y_ref_step,
    y_lo, y_hi, n0, n1, begin, end, i0, i1,
):  # fmt: skip
    """The gradients of some panels of outputs by some inputs, and the sums for the biases.

    They go to ``c``, whose rows are ``pitch`` apart; unless ``start`` is 0 they are added there.
    """
    panel, panels = 2 * LANES, -(-co // HIGH)
    base = DEPTH * (BLOCK + 1) * PITCH
    for m in range(n0, n1, DEPTH):
        deep = min(DEPTH, n1 - m)
        pack_outputs(
            scratch, begin, end, panels, deep, co, y, m * y_step, y_step,
            y_ref, m * y_ref_step, y_ref_step, y_coef, y_lo, y_hi,
        )  # fmt: skip
        if end - begin > SELDOM:
            pack_inputs(scratch, base, i1 - i0, deep, x, m * x_step + i0, x_step)
        for g in range(begin, end):
            o, a0 = g * co // panels, (g - begin) * DEPTH * PITCH
            outs, to = (g + 1) * co // panels - o, c0 + (o - begin * co // panels) * pitch
            if sums.size:
                add_columns(sums, o, scratch, a0, PITCH, deep, outs)
            if end - begin <= SELDOM:
                product(
                    c, to, pitch, start, c, 0, outs, i1 - i0, scratch, a0, 1, PITCH,
                    x, m * x_step + i0, x_step, 1, 0, 0, 1, 0, 0, deep,
                )  # fmt: skip
                continue
            for i in range(0, i1 - i0, panel):
                b0 = base + i * DEPTH
                if i1 - i0 - i > LANES:
                    packed_2(
                        c, to + i, pitch, start, c, 0, min(panel, i1 - i0 - i), outs,
                        scratch, a0, 1, PITCH, scratch, b0, panel, 1, 0, 0, 1, 0, 0, deep,
                    )  # fmt: skip
                else:
                    packed_1(
                        c, to + i, pitch, start, c, 0, i1 - i0 - i, outs,
                        scratch, a0, 1, PITCH, scratch, b0, panel, 1, 0, 0, 1, 0, 0, deep,
                    )  # fmt: skip
        start = 1


# fmt: off
@task(
    tasks=dense_weight_tasks, memory=dense_weight_memory, writes=("out", "dbias", "parts"),
    plan=weight_numbers, planned=("high", "wide", "chunks"),
)
def dense_weight(
    first, last, scratch, out, dbias, parts, x, y, y_ref, y_coef, n: int, ci: int, co: int,
    x_step: int, y_step: int, y_ref_step: int, add: int, y_lo: float, y_hi: float,
    high: int, wide: int, chunks: int,
):
    """``out[o, i] = sum of dy[n, o] * x[n, i]``, or such sums of every chunk in ``parts``."""
    # fmt: on
    size = co * ci
    for t in range(first, last):
        chunk = t // (high * wide)
        begin, end, o0, o1, i0, i1 = block_of(t % (high * wide), ci, co, high, wide)
        c, c0 = (out, 0) if chunks == 1 else (parts, chunk * (size + co))
        sums = dbias if chunks == 1 else parts[c0 + size : c0 + size + co]
        sums = sums if dbias.size and t % wide == 0 else dbias[:0]
        start = add if chunks == 1 else 0
        if sums.size and not start:
            sums[o0:o1] = real(0)
        weight_block(
            scratch, c, c0 + o0 * ci + i0, ci, start, sums, x, y, y_ref, y_coef, ci, co,
            x_step, y_step, y_ref_step, y_lo, y_hi, chunk * n // chunks, (chunk + 1) * n // chunks,
            begin, end, i0, i1,
        )  # fmt: skip


def dense_sum_tasks(ci, co, chunks):
    """A task for some weights, and one for the biases; none where there is nothing to add."""
    return (ci * co + FLAT - 1) // FLAT + 1 if chunks > 1 else 0


# fmt: off
@task(
    tasks=dense_sum_tasks, writes=("out", "dbias"), plan=weight_numbers, planned=("chunks",)
)
def dense_weight_sum(
    first, last, scratch, out, dbias, parts, n: int, ci: int, co: int, add: int, chunks: int
):
    """Follows `dense_weight` where that has several chunks, and adds them in their order."""
    # fmt: on
    size = ci * co
    for t in range(first, last):
        begin, end, to, from_ = t * FLAT, min((t + 1) * FLAT, size), out, 0
        if t * FLAT >= size:
            begin, end, to, from_ = 0, dbias.size, dbias, size
        for i in range(begin, end, LANES):
            total = sum_of_rows(parts, from_ + i, size + co, chunks, end - i)
            put_or_add(to, i, total, add, end - i)
