"""The gradients by weights of all chunks together: added in their order, in the logical layout."""

from __future__ import annotations

from netdsl.backends.cpu.conv_weight import sums_steps, weight_out
from netdsl.backends.cpu.conv_weight_plan import weight_numbers
from netdsl.backends.cpu.lazy import put_or_add
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import sum_of_rows
from netdsl.backends.override import task
from netdsl.kernel import routine

SLAB = 16
"""So many outputs are a task."""


def sum_tasks(ci, co, groups, block_i, block_o, chunks):
    """A task for some outputs of every block; none where there is nothing to add."""
    if chunks == 1:
        return 0
    blocks = ((ci // groups + block_i - 1) // block_i) * ((co // groups + block_o - 1) // block_o)
    return groups * blocks * ((block_o + SLAB - 1) // SLAB)


def sum_memory(k0, k1, k2, block_i):
    """The sums of a task."""
    return k0 * k1 * k2 * block_i * SLAB


@routine
def sum_chunks(out, o, step, x, i, x_step, rows, count, chunks, whole, add):
    """The sum of the chunks of some rows, ``whole`` apart."""
    for r in range(rows):
        for j in range(0, count, LANES):
            total = sum_of_rows(x, i + r * x_step + j, whole, chunks, count - j)
            put_or_add(out, o + r * step + j, total, add, count - j)


# fmt: off
@task(tasks=sum_tasks, memory=sum_memory, writes=("out", "dbias"), plan=weight_numbers,
      planned=("block_i", "block_o", "chunks", "across", "joint"))
def conv_weight_sum(
    first, last, scratch, out, dbias, parts, ci: int, co: int, groups: int,
    k0: int, k1: int, k2: int, add: int, block_i: int, block_o: int, chunks: int,
    across: int, joint: int,
):
    """Follows `conv_weight` where that has several chunks."""
    cig, cog, taps = ci // groups, co // groups, k0 * k1 * k2
    blocks_i, blocks_o = -(-cig // block_i), -(-cog // block_o)
    slabs = -(-block_o // SLAB)
    whole = taps * block_i * block_o
    blocks = groups * blocks_i * blocks_o
    o_step, i_step, tap_step, row_step = sums_steps(across, joint, block_i, SLAB, k2)
    for t in range(first, last):
        block, o = t // slabs, t % slabs * SLAB
        g, c = block // blocks_o // blocks_i, block // blocks_o % blocks_i * block_i
        start = block % blocks_o * block_o
        outs, ins = min(SLAB, block_o - o, cog - start - o), min(block_i, cig - c)
        if outs <= 0:
            continue
        at = block * whole
        if across:
            sum_chunks(
                scratch, 0, SLAB * o_step, parts, at + o * o_step, block_o * o_step,
                taps * block_i // o_step, outs * o_step, chunks, blocks * whole, 0,
            )  # fmt: skip
        else:
            sum_chunks(
                scratch, 0, SLAB, parts, at + o, block_o, taps * block_i, outs, chunks,
                blocks * whole, 0,
            )  # fmt: skip
        channel = g * cog + start + o
        weight_out(
            out, (channel * cig + c) * taps, cig * taps, scratch, 0, outs, o_step, ins, i_step,
            k0 * k1, row_step, k2, tap_step, add,
        )  # fmt: skip
        if dbias.size and c == 0:
            bias = chunks * blocks * whole + channel
            sum_chunks(dbias, channel, 1, parts, bias, 1, 1, outs, chunks, co, add)
# fmt: on
