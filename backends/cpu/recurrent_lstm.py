"""Long short-term memory: see `netdsl.backends.cpu.recurrent_parts` for how tasks go."""

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

KEPT = 5
"""What is kept of a position: the gates i, f, g and o, and the cell."""


@device
def lstm_cells(
    scratch, e, h, c, spare, out, hidden, kept, begin, lines, s, steps, p, units, wide, row, step,
    all, double,
):  # fmt: skip
    """Gates, cells and hidden states of a step from what enters them."""
    pitch = wide + LANES
    for r in range(lines):
        n = begin + r
        at, put = n * steps + p, (n * steps + p) * KEPT * units
        for u in range(0, units, LANES):
            left, get = units - u, e + r * row + u
            i = sigmoid_at(scratch, spare, vload(scratch, get), double)
            f = sigmoid_at(scratch, spare, vload(scratch, get + wide), double)
            g = tanh_at(scratch, spare, vload(scratch, get + 2 * wide), double)
            o = sigmoid_at(scratch, spare, vload(scratch, get + 3 * wide), double)
            cell = i * g
            if s > 0:
                cell = vfma(f, vload(scratch, c + r * pitch + u), cell)
            state = o * tanh_at(scratch, spare, cell, double)
            vstore(scratch, c + r * pitch + u, cell)
            vstore(scratch, h + r * pitch + u, state)
            put_state(
                out, hidden, at * step + u, at * units + u, n * step + u, state, all, s, steps, left
            )
            if kept.size:
                put_vector(kept, put + u, i, left)
                put_vector(kept, put + units + u, f, left)
                put_vector(kept, put + 2 * units + u, g, left)
                put_vector(kept, put + 3 * units + u, o, left)
                put_vector(kept, put + 4 * units + u, cell, left)


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "hidden", "kept"),
    plan=recurrent_numbers, planned=PLANNED,
)
def lstm_forward(
    first, last, scratch, out, hidden, kept, x, ih, hh, bias,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, all: int,
    reverse: int, double: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """Hidden states, in ``out`` those of ``all`` steps or the last one, and what is kept."""
    # fmt: on
    xs = span * block * row
    h = xs + span * block * x_row
    c, pitch = h + block * (wide + LANES), wide + LANES
    start = c + block * pitch
    spare = start + 4 * wide
    put_bias(scratch, start, wide, bias, 4, units, 0, True)
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for s in range(steps):
            e = s % span * lines * row
            if s % span == 0:
                enter(
                    scratch, 0, row, start, 4 * wide // LANES, xs, x_row, x, x_step, ih,
                    begin, lines, s, min(span, steps - s), steps, reverse, ci,
                )  # fmt: skip
            if s > 0:
                panels_product(
                    scratch, e, row, 1, scratch, 0, lines, 4 * wide // LANES, scratch, h, pitch, 0,
                    hh, 1, units,
                )  # fmt: skip
            lstm_cells(
                scratch, e, h, c, spare, out, hidden, kept, begin, lines, s, steps,
                place(s, steps, reverse), units, wide, row, step, all, double,
            )  # fmt: skip


@device
def lstm_slopes(
    scratch, d, dh, dc, spare, out, dy, kept, begin, lines, s, steps, p, before, units, wide, row,
    y_step, all, near, double,
):  # fmt: skip
    """The gradients by what enters the gates at a step."""
    one, pitch = vall(real(1)), wide + LANES
    for r in range(lines):
        n = begin + r
        at, get = n * steps + p, (n * steps + p) * KEPT * units
        old, put = (n * steps + before) * KEPT * units + 4 * units, (n * steps + p) * 4 * units
        for u in range(0, units, LANES):
            left = units - u
            slope = from_above(dy, at * y_step + u, n * y_step + u, all, s, steps, left)
            dcell, remembered = vall(real(0)), vall(real(0))
            if s < steps - 1:
                slope = slope + vload(scratch, dh + r * pitch + u)
                dcell = vload(scratch, dc + r * pitch + u)
            if s > 0:
                remembered = take_vector(kept, old + u, left)
            i, f = take_vector(kept, get + u, left), take_vector(kept, get + units + u, left)
            g = take_vector(kept, get + 2 * units + u, left)
            o = take_vector(kept, get + 3 * units + u, left)
            c = tanh_at(scratch, spare, take_vector(kept, get + 4 * units + u, left), double)
            dcell = vfma(slope * o, one - c * c, dcell)
            di = flush(dcell * g * i * (one - i))
            df = flush(dcell * remembered * f * (one - f))
            dg = flush(dcell * i * (one - g * g))
            do = flush(slope * c * o * (one - o))
            vstore(scratch, dc + r * pitch + u, flush(dcell) * f)
            to = d + r * row + u
            vstore(scratch, to, di)
            vstore(scratch, to + wide, df)
            vstore(scratch, to + 2 * wide, dg)
            vstore(scratch, to + 3 * wide, do)
            if not near:
                put_vector(out, put + u, di, left)
                put_vector(out, put + units + u, df, left)
                put_vector(out, put + 2 * units + u, dg, left)
                put_vector(out, put + 3 * units + u, do, left)


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "dx"),
    plan=recurrent_numbers, planned=PLANNED,
)
def lstm_backward(
    first, last, scratch, out, dx, dy, x, hidden, kept, ih, hh,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, h_step: int,
    y_step: int, all: int, reverse: int, add: int, near: int, double: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """The gradients by what enters the gates, position by position, or, if the weights are
    ``near``, those by weights and biases of every task; and ``dx`` if it is wanted."""
    # fmt: on
    xs = span * block * row
    dh = xs + span * block * x_row
    dc, pitch = dh + block * (wide + LANES), wide + LANES
    spare = dc + block * pitch + 4 * wide
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for back in range(steps):
            s, slot = steps - 1 - back, back % span
            if back > 0:
                later = (back - 1) % span * lines * row
                panels_product(
                    scratch, dh, pitch, 0, scratch, 0, lines, wide // LANES, scratch, later, row,
                    wide, hh, 4, units,
                )  # fmt: skip
            p, before = place(s, steps, reverse), place(max(s - 1, 0), steps, reverse)
            lstm_slopes(
                scratch, slot * lines * row, dh, dc, spare, out, dy, kept, begin, lines, s, steps,
                p, before, units, wide, row, y_step, all, near, double,
            )  # fmt: skip
            if slot == span - 1 or s == 0:
                give(
                    out, dx, step, add, near, t, back < span, scratch, row, wide, 4, units, 0, 0,
                    xs, x_row, x, x_step, hidden, h_step, ih, begin, lines, s, slot + 1, steps,
                    reverse, ci,
                )  # fmt: skip
