"""Elman's recurrent layer: see `netdsl.backends.cpu.recurrent_parts` for how tasks go."""

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
    tanh_at,
)
from netdsl.backends.cpu.recurrent_plan import PLANNED, recurrent_numbers
from netdsl.backends.cpu.simd import vall, vload, vmost, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real


@device
def rnn_states(
    scratch, e, h, spare, out, hidden, begin, lines, s, steps, p, units, wide, row, step, all,
    relu, double,
):  # fmt: skip
    """Hidden states of a step from what enters them."""
    zero = vall(real(0))
    for r in range(lines):
        n = begin + r
        at = n * steps + p
        for u in range(0, units, LANES):
            state = vload(scratch, e + r * row + u)
            if relu:
                state = vmost(state, zero, zero, state)
            else:
                state = tanh_at(scratch, spare, state, double)
            vstore(scratch, h + r * (wide + LANES) + u, state)
            put_state(
                out, hidden, at * step + u, at * units + u, n * step + u, state, all, s, steps,
                units - u,
            )  # fmt: skip


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "hidden"),
    plan=recurrent_numbers, planned=PLANNED,
)
def rnn_forward(
    first, last, scratch, out, hidden, x, ih, hh, bias,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, all: int,
    reverse: int, relu: int, double: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """Hidden states: in ``out`` those of ``all`` steps or the last one."""
    # fmt: on
    xs = span * block * row
    h, pitch = xs + span * block * x_row, wide + LANES
    start = h + block * pitch
    spare = start + wide
    put_bias(scratch, start, wide, bias, 1, units, 0, True)
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for s in range(steps):
            e = s % span * lines * row
            if s % span == 0:
                enter(
                    scratch, 0, row, start, wide // LANES, xs, x_row, x, x_step, ih,
                    begin, lines, s, min(span, steps - s), steps, reverse, ci,
                )  # fmt: skip
            if s > 0:
                panels_product(
                    scratch, e, row, 1, scratch, 0, lines, wide // LANES, scratch, h, pitch, 0,
                    hh, 1, units,
                )  # fmt: skip
            rnn_states(
                scratch, e, h, spare, out, hidden, begin, lines, s, steps,
                place(s, steps, reverse), units, wide, row, step, all, relu, double,
            )  # fmt: skip


@device
def rnn_slopes(
    scratch, d, dh, out, dy, hidden, h_step, begin, lines, s, steps, p, units, wide, row, y_step,
    all, near, relu,
):  # fmt: skip
    """The gradients by what enters the hidden states of a step."""
    zero, one = vall(real(0)), vall(real(1))
    for r in range(lines):
        n = begin + r
        at = n * steps + p
        for u in range(0, units, LANES):
            left = units - u
            slope = from_above(dy, at * y_step + u, n * y_step + u, all, s, steps, left)
            if s < steps - 1:
                slope = slope + vload(scratch, dh + r * (wide + LANES) + u)
            state = take_vector(hidden, at * h_step + u, left)
            steep = vmost(state, zero, zero, one) if relu else one - state * state
            slope = flush(slope * steep)
            vstore(scratch, d + r * row + u, slope)
            if not near:
                put_vector(out, at * units + u, slope, left)


# fmt: off
@task(
    tasks=recurrent_tasks, memory=recurrent_memory, writes=("out", "dx"),
    plan=recurrent_numbers, planned=PLANNED,
)
def rnn_backward(
    first, last, scratch, out, dx, dy, x, hidden, ih, hh,
    n: int, steps: int, ci: int, units: int, blocks: int, step: int, x_step: int, h_step: int,
    y_step: int, all: int, reverse: int, add: int, near: int, relu: int,
    parts: int, block: int, span: int, wide: int, row: int, x_row: int,
):
    """The gradients by what enters, position by position, or, if the weights are ``near``, those by
    weights and biases of every task; and ``dx`` if it is wanted."""
    # fmt: on
    xs = span * block * row
    dh, pitch = xs + span * block * x_row, wide + LANES
    for t in range(first, last):
        begin = t * n // parts
        lines = (t + 1) * n // parts - begin
        for back in range(steps):
            s, slot = steps - 1 - back, back % span
            if back > 0:
                later = (back - 1) % span * lines * row
                panels_product(
                    scratch, dh, pitch, 0, scratch, 0, lines, wide // LANES, scratch, later, row,
                    0, hh, 1, units,
                )  # fmt: skip
            rnn_slopes(
                scratch, slot * lines * row, dh, out, dy, hidden, h_step, begin, lines, s, steps,
                place(s, steps, reverse), units, wide, row, y_step, all, near, relu,
            )  # fmt: skip
            if slot == span - 1 or s == 0:
                give(
                    out, dx, step, add, near, t, back < span, scratch, row, wide, 1, units, 0, 0,
                    xs, x_row, x, x_step, hidden, h_step, ih, begin, lines, s, slot + 1, steps,
                    reverse, ci,
                )  # fmt: skip
