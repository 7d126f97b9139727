"""What kernels of recurrent layers are made of.

A task has some samples for itself, and goes with them through all steps, so no thread ever waits
for another. At a step the hidden states of its samples are multiplied by all of the recurrent
weights, which lie in panels of three vectors and come from the second cache as fast as tiles of
eight lines want them. The input is independent of the steps before: it is multiplied for some
steps at once.

Gates lie side by side, each in whole vectors. What a task computes with stays in its own memory;
what the backward pass reads again is written position by position, the samples outermost.
"""

from __future__ import annotations

import math

from netdsl.backends.cpu.activation import power_of_e, tanh_of
from netdsl.backends.cpu.lazy import put_or_add, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.matmul import add_columns, clear, copy_rows, place_rows, product
from netdsl.backends.cpu.recurrent_plan import recurrent_numbers
from netdsl.backends.cpu.rows import sum_of_rows
from netdsl.backends.cpu.simd import vall, vless, vload, vmax, vmost, vstore
from netdsl.backends.cpu.tile import ROWS, packed_1, packed_2, packed_3
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PANEL = 3
"""So many vectors is a panel wide; the last one may be narrower."""
PIECE = 1 << 12
"""Of so many weights a task adds the gradients."""


def recurrent_tasks(parts):
    """A task for some samples."""
    return parts


def recurrent_memory(block, span, wide, row, x_row):
    """Gates and inputs of some steps; hidden states and cells, or gradients; a bias; a vector."""
    return span * block * (row + x_row) + 2 * block * (wide + LANES) + 4 * wide + LANES


# ---- weights -------------------------------------------------------------------------------------


def pack_tasks(gates, units, width, turned):
    """A task for every panel."""
    count, each = (gates, units) if turned else (1, width)
    return (count * ((each + LANES - 1) // LANES) + PANEL - 1) // PANEL


# fmt: off
@task(tasks=pack_tasks)
def recurrent_pack(
    first, last, scratch, out, weight, gates: int, units: int, width: int, shift: int, turned: int
):
    """Weights ``(gates * units, width)`` as panels: ``out[panel, k, column]``.

    ``turned`` ones have a column for every gate and unit, else a column of the weights is one of a
    panel. The first gate is the one at ``shift``, and the last before it comes last.
    """
    # fmt: on
    per_gate = -(-units // LANES) * LANES
    vectors = gates * per_gate // LANES if turned else -(-width // LANES)
    depth = width if turned else gates * units
    for t in range(first, last):
        begin, o = t * PANEL, t * PANEL * LANES * depth
        wide = min(PANEL, vectors - begin) * LANES
        if turned:
            for j in range(wide):
                q, u = (begin * LANES + j) // per_gate, (begin * LANES + j) % per_gate
                get = ((q + shift) % gates * units + u) * width
                for k in range(depth):
                    out[o + j + k * wide] = weight[get + k] if u < units else real(0)
            continue
        for k in range(depth):
            get = ((k // units + shift) % gates * units + k % units) * width
            for j in range(0, wide, LANES):
                left = width - begin * LANES - j
                v = take_vector(weight, get + begin * LANES + j, left)
                vstore(out, o + k * wide + j, v)


@device
def put_bias(scratch, o, wide, bias, gates, units, shift, first):
    """The bias of every gate in whole vectors; it is added to what is there unless ``first``."""
    zero = vall(real(0))
    for q in range(gates):
        get = (q + shift) % gates * units
        for u in range(0, wide, LANES):
            v = zero if first else vload(scratch, o + q * wide + u)
            if bias.size:
                v = v + take_vector(bias, get + u, units - u)
            vstore(scratch, o + q * wide + u, v)


# ---- products ------------------------------------------------------------------------------------


@routine
def panels_product(c, c0, ci, start, d, d0, lines, vectors, a, a0, ai, a1, packed, gates, depth):
    """Lines times packed weights; lines have ``depth`` numbers for each of so many gates.

    ``start`` is that of the tiles, the gates of a line are ``a1`` apart.
    """
    for j in range(0, vectors, PANEL):
        wide = min(PANEL, vectors - j)
        groups = -(-lines // ROWS[wide - 1])
        w = j * LANES * gates * depth
        for g in range(groups):
            i = g * lines // groups
            r = (g + 1) * lines // groups - i
            at, get, row = c0 + i * ci + j * LANES, a0 + i * ai, wide * LANES
            if wide == 3:
                packed_3(
                    c, at, ci, start, d, d0 + j * LANES, row, r, a, get, ai, 1, packed, w, row,
                    gates, a1, depth * row, 1, 0, 0, depth,
                )  # fmt: skip
            elif wide == 2:
                packed_2(
                    c, at, ci, start, d, d0 + j * LANES, row, r, a, get, ai, 1, packed, w, row,
                    gates, a1, depth * row, 1, 0, 0, depth,
                )  # fmt: skip
            else:
                packed_1(
                    c, at, ci, start, d, d0 + j * LANES, row, r, a, get, ai, 1, packed, w, row,
                    gates, a1, depth * row, 1, 0, 0, depth,
                )  # fmt: skip


@device
def place(step, steps, reverse):
    """The position that a step reads."""
    return steps - 1 - step if reverse else step


@routine
def bring(
    scratch, o, row, x, x_step, begin, lines, s, count, way, steps, reverse, channels
):  # fmt: skip
    """Rows of a sequence at some steps from ``s`` on, or back: a line for every sample."""
    for k in range(count):
        get = (begin * steps + place(s + way * k, steps, reverse)) * x_step
        put = o + k * lines * row
        copy_rows(scratch, put, row, lines, channels, x, get, steps * x_step)


@routine
def enter(
    scratch, e, row, bias, vectors, xs, x_row, x, x_step, packed,
    begin, lines, s0, count, steps, reverse, ci,
):  # fmt: skip
    """What the input gives to the gates at some steps, with the bias: a line for every sample."""
    bring(scratch, xs, x_row, x, x_step, begin, lines, s0, count, 1, steps, reverse, ci)
    panels_product(
        scratch, e, row, 2, scratch, bias, lines * count, vectors, scratch, xs, x_row, 0,
        packed, 1, ci,
    )  # fmt: skip


@routine
def leave(
    dx, step, add, scratch, row, wide, gates, units, xs, x_row, packed,
    begin, lines, s, slots, steps, reverse, ci,
):  # fmt: skip
    """The gradient by the input at some steps, the last of which is ``s``."""
    panels_product(
        scratch, xs, x_row, 0, scratch, 0, lines * slots, -(-ci // LANES), scratch, 0, row, wide,
        packed, gates, units,
    )  # fmt: skip
    for k in range(slots):
        put = (begin * steps + place(s + slots - 1 - k, steps, reverse)) * step
        get = xs + k * lines * x_row
        place_rows(dx, put, steps * step, lines, ci, scratch, get, x_row, add)


@routine
def learn(
    sums, at, start, scratch, d, row, wide, gates, units, shift, xs, x_row, x, x_step, back,
    begin, lines, s, slots, steps, reverse, channels, bias,
):  # fmt: skip
    """Add to the gradients by a weight, and by the bias behind it, what some steps give.

    The last of the steps is ``s``. The weight is that of ``x``, read ``back`` steps before.
    """
    count = slots - (1 if s < back else 0)
    bring(
        scratch, xs, x_row, x, x_step, begin, lines, s + slots - 1 - back, count, -1, steps,
        reverse, channels,
    )  # fmt: skip
    for q in range(gates):
        gate = (q + shift) % gates * units
        product(
            sums, at + gate * channels, channels, start, sums, 0, units, channels,
            scratch, d + q * wide, 1, row, scratch, xs, x_row, 1, 0, 0, 1, 0, 0, count * lines,
        )  # fmt: skip
        if start == 0:
            clear(sums, bias + gate, units, 1, units)
        add_columns(sums, bias + gate, scratch, d + q * wide, row, slots * lines, units)


@routine
def give(
    out, dx, step, add, near, t, fresh, scratch, row, wide, gates, units, shift, far, xs, x_row,
    x, x_step, hidden, h_step, packed, begin, lines, s, slots, steps, reverse, ci,
):  # fmt: skip
    """What some steps give: to the weights of task ``t`` if they are ``near``, and to ``dx``.

    The first gate of the input's weights is the one at ``shift``; what the hidden state gives
    begins ``far`` behind what the input does.
    """
    if near:
        start, made = 0 if fresh else 1, gates * units
        at = t * made * (ci + units + 2)
        bias = at + made * (ci + units)
        learn(
            out, at, start, scratch, 0, row, wide, gates, units, shift, xs, x_row, x, x_step, 0,
            begin, lines, s, slots, steps, reverse, ci, bias,
        )  # fmt: skip
        learn(
            out, at + made * ci, start, scratch, far, row, wide, gates, units, 0, xs, x_row,
            hidden, h_step, 1, begin, lines, s, slots, steps, reverse, units, bias + made,
        )  # fmt: skip
    if dx.size:
        leave(
            dx, step, add, scratch, row, wide, gates, units, xs, x_row, packed, begin, lines, s,
            slots, steps, reverse, ci,
        )  # fmt: skip


def total_tasks(size):
    """A task for every so many weights."""
    return (size + PIECE - 1) // PIECE


# fmt: off
@task(tasks=total_tasks, plan=recurrent_numbers, planned=("parts",))
def recurrent_total(
    first, last, scratch, out, sums,
    n: int, steps: int, ci: int, units: int, blocks: int, at: int, whole: int, size: int, add: int,
    parts: int,
):
    """The sums of all tasks from ``at`` on, in their order."""
    # fmt: on
    for j in range(first * PIECE, min(last * PIECE, size), LANES):
        total = sum_of_rows(sums, at + j, whole, parts, size - j)
        put_or_add(out, j, total, add, size - j)


# ---- curves --------------------------------------------------------------------------------------


@device
def tanh_at(memory, spare, x, double):
    """``tanh`` of a vector; in double precision number by number, in the ``spare`` memory."""
    if double:
        vstore(memory, spare, x)
        for k in range(LANES):
            memory[spare + k] = math.tanh(memory[spare + k])
        return vload(memory, spare)
    return vmost(x, x, tanh_of(x), x)


@device
def sigmoid_at(memory, spare, x, double):
    """``1 / (1 + exp(-x))`` of a vector, in the same way."""
    zero, one = vall(real(0)), vall(real(1))
    small = vmax(x, zero - x)
    if double:
        vstore(memory, spare, small)
        for k in range(LANES):
            memory[spare + k] = math.exp(-memory[spare + k])
        small = vload(memory, spare)
    else:
        small = power_of_e(small)
    return vmost(zero, x, one, small) / (one + small)


@device
def flush(x):
    """0 for what is too small to matter: see `netdsl.recurrent.flushed`."""
    zero = vall(real(0))
    return vless(vmax(x, zero - x), vall(real(1e-30)), zero, x)


@device
def from_above(dy, at, last, all, s, steps, left):
    """The gradient by a hidden state that comes from above: at all steps, or at the last one."""
    if all:
        return take_vector(dy, at, left)
    if s == steps - 1:
        return take_vector(dy, last, left)
    return vall(real(0))


@device
def put_state(out, hidden, at_out, at_hidden, last, h, all, s, steps, left):
    """Write a hidden state where it is wanted."""
    if all:
        put_vector(out, at_out, h, left)
    elif s == steps - 1:
        put_vector(out, last, h, left)
    if hidden.size:
        put_vector(hidden, at_hidden, h, left)
