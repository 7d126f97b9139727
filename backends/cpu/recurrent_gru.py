"""Gated recurrent units: see `netdsl.backends.cpu.recurrent_parts` for how tasks go.

Blocks of a line are what the input gives to g, the gates r and z, and what the hidden state gives
to g: so the input, which makes the first three, and the hidden state, which makes the last three,
each find theirs side by side.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.recurrent_parts import (
    enter,
    flush,
    from_above,
    give,
    panels_product,
    place,
    put_bias,
    put_state,
    recurrent_memory,
    recurrent_tasks,
    sigmoid_at,
    tanh_at,
)
from netdsl.backends.cpu.recurrent_plan import PLANNED, recurrent_numbers
from netdsl.backends.cpu.simd import vall, vfma, vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real

KEPT = 4
"""What is kept of a position: the gates r and z, the candidate g, its recurrent part."""


@device
def gru_states(
    scratch, e, h, spare, out, hidden, kept, begin, lines, s, steps, p, units, wide, row, step,
    all, double,
):  # fmt: skip
    """Gates and hidden states of a step from what enters them."""
    one, pitch = vall(real(1)), wide + LANES
    for r in range(lines):
        n = begin + r
        at, put = n * steps + p, (n * steps + p) * KEPT * units
        for u in range(0, units, LANES):
            left, get = units - u, e + r * row + u
            reset = sigmoid_at(scratch, spare, vload(scratch, get + wide), double)
            z = sigmoid_at(scratch, spare, vload(scratch, get + 2 * wide), double)
            b = vload(scratch, get + 3 * wide)
            g = tanh_at(scratch, spare, vfma(reset, b, vload(scratch, get)), double)
            state = (one - z) * g
            if s > 0:
                state = vfma(z, vload(scratch, h + r * pitch + u), state)
            vstore(scratch, h + r * pitch + u, state)
            put_state(
                out, hidden, at * step + u, at * units + u, n * step + u, state, all, s, steps, left
            )
            if kept.size:
                put_vector(kept, put + u, reset, left)
                put_vector(kept, put + units + u, z, left)
                put_vector(kept, put + 2 * units + u, g, left)
                put_vector(kept, put + 3 * units + u, b, left)


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "hidden", "kept"),
    plan=recurrent_numbers, planned=PLANNED,
)
def gru_forward(
    first, last, scratch, out, hidden, kept, x, ih, hh, bias_ih, bias_hh,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, all: int,
    reverse: int, double: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """Hidden states, in ``out`` those of ``all`` steps or the last one, and what is kept."""
    # fmt: on
    xs = span * block * row
    h, pitch = xs + span * block * x_row, wide + LANES
    start = h + 2 * block * pitch
    spare = start + 4 * wide
    put_bias(scratch, start, wide, bias_ih[:0], 4, units, 0, True)
    put_bias(scratch, start, wide, bias_ih, 3, units, 2, False)
    put_bias(scratch, start + wide, wide, bias_hh, 3, units, 0, False)
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for s in range(steps):
            e = s % span * lines * row
            if s % span == 0:
                count = min(span, steps - s)
                enter(
                    scratch, 0, row, start, 3 * wide // LANES, xs, x_row, x, x_step, ih,
                    begin, lines, s, count, steps, reverse, ci,
                )  # fmt: skip
                for k in range(count * lines):
                    for u in range(0, wide, LANES):
                        v = vload(scratch, start + 3 * wide + u)
                        vstore(scratch, k * row + 3 * wide + u, v)
            if s > 0:
                panels_product(
                    scratch, e + wide, row, 1, scratch, 0, lines, 3 * wide // LANES, scratch, h,
                    pitch, 0, hh, 1, units,
                )  # fmt: skip
            gru_states(
                scratch, e, h, spare, out, hidden, kept, begin, lines, s, steps,
                place(s, steps, reverse), units, wide, row, step, all, double,
            )  # fmt: skip


@device
def gru_slopes(
    scratch, d, dh, carry, out, recurrent, dy, hidden, h_step, kept, begin, lines, s, steps, p,
    before, units, wide, row, y_step, all, near,
):  # fmt: skip
    """The gradients by what enters the gates at a step."""
    one, pitch = vall(real(1)), wide + LANES
    for r in range(lines):
        n = begin + r
        at, get = n * steps + p, (n * steps + p) * KEPT * units
        old, put = (n * steps + before) * h_step, (n * steps + p) * 3 * units
        for u in range(0, units, LANES):
            left = units - u
            slope = from_above(dy, at * y_step + u, n * y_step + u, all, s, steps, left)
            state = vall(real(0))
            if s < steps - 1:
                slope = slope + vload(scratch, dh + r * pitch + u)
                slope = slope + vload(scratch, carry + r * pitch + u)
            if s > 0:
                state = take_vector(hidden, old + u, left)
            reset = take_vector(kept, get + u, left)
            z = take_vector(kept, get + units + u, left)
            g = take_vector(kept, get + 2 * units + u, left)
            b = take_vector(kept, get + 3 * units + u, left)
            da = slope * (one - z) * (one - g * g)
            dr = flush(da * b * reset * (one - reset))
            dz = flush(slope * (state - g) * z * (one - z))
            dg, db = flush(da), flush(da * reset)
            vstore(scratch, carry + r * pitch + u, flush(slope) * z)
            to = d + r * row + u
            vstore(scratch, to, dg)
            vstore(scratch, to + wide, dr)
            vstore(scratch, to + 2 * wide, dz)
            vstore(scratch, to + 3 * wide, db)
            if not near:
                put_vector(out, put + u, dr, left)
                put_vector(out, put + units + u, dz, left)
                put_vector(out, put + 2 * units + u, dg, left)
                put_vector(recurrent, put + u, dr, left)
                put_vector(recurrent, put + units + u, dz, left)
                put_vector(recurrent, put + 2 * units + u, db, left)


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "recurrent", "dx"),
    plan=recurrent_numbers, planned=PLANNED,
)
def gru_backward(
    first, last, scratch, out, recurrent, dx, dy, x, hidden, kept, ih, hh,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, h_step: int,
    y_step: int, all: int, reverse: int, add: int, near: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """The gradients by what the input, and what the hidden state gives to the gates, position by
    position, or, if the weights are ``near``, those by weights and biases of every task; and ``dx``
    if it is wanted."""
    # fmt: on
    xs = span * block * row
    dh, pitch = xs + span * block * x_row, wide + LANES
    carry = dh + block * pitch
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for back in range(steps):
            s, slot = steps - 1 - back, back % span
            if back > 0:
                later = (back - 1) % span * lines * row + wide
                panels_product(
                    scratch, dh, pitch, 0, scratch, 0, lines, wide // LANES, scratch, later, row,
                    wide, hh, 3, units,
                )  # fmt: skip
            p, before = place(s, steps, reverse), place(max(s - 1, 0), steps, reverse)
            gru_slopes(
                scratch, slot * lines * row, dh, carry, out, recurrent, dy, hidden, h_step, kept,
                begin, lines, s, steps, p, before, units, wide, row, y_step, all, near,
            )  # fmt: skip
            if slot == span - 1 or s == 0:
                give(
                    out, dx, step, add, near, t, back < span, scratch, row, wide, 3, units, 2, wide,
                    xs, x_row, x, x_step, hidden, h_step, ih, begin, lines, s, slot + 1, steps,
                    reverse, ci,
                )  # fmt: skip
