"""Weights of 3x3 windows in Winograd's form: ``[product][panel of outputs][input][output]``."""

from __future__ import annotations

from netdsl.backends.cpu.across_turn import turn_square
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.winograd_forms import filter2, filter4
from netdsl.backends.cpu.winograd_tiles import ONE, put4, put6, take3
from netdsl.backends.override import task
from netdsl.kernel import device, routine


def winograd_pack_size(m, outs, ins):
    """How many numbers packed weights take, for ``outs`` channels made of ``ins``."""
    return (m + 2) ** 2 * ins * (-(-outs // LANES) * LANES)


@device
def pack_vector4(out, o, apart, x, i, down, right, own, w):
    """``G g GT`` of a vector of windows, m = 4; ``own`` holds the rows from ``w`` on meanwhile."""
    for r in range(3):
        a, b, c = take3(x, i + r * down, right)
        put6(own, w + r * 6 * LANES, ONE * LANES, filter4(a, b, c))
    for k in range(6):
        a, b, c = take3(own, w + k * LANES, 6 * LANES)
        put6(out, o + k * apart, 6 * apart, filter4(a, b, c))


@device
def pack_vector2(out, o, apart, x, i, down, right, own, w):
    """``G g GT`` of a vector of windows, m = 2."""
    for r in range(3):
        a, b, c = take3(x, i + r * down, right)
        put4(own, w + r * 4 * LANES, ONE * LANES, filter2(a, b, c))
    for k in range(4):
        a, b, c = take3(own, w + k * LANES, 4 * LANES)
        put4(out, o + k * apart, 4 * apart, filter2(a, b, c))


@routine
def turn_windows(scratch, s, weight, w, step, numbers, wide):
    """Bring ``wide`` channels side by side: ``numbers`` of each, from ``w`` on, ``step`` apart."""
    for j in range(0, numbers, LANES):
        turn_square(
            scratch, s + j * LANES, LANES, weight, w + j, step,
            wide, min(LANES, numbers - j), LANES, 0,
        )  # fmt: skip


@routine
def pack_vectors(out, weight, scratch, m, outs, ins, c, k, count, back):
    """Pack a vector of outputs from ``c`` on for ``count`` inputs from ``k`` on."""
    total = (outs + LANES - 1) // LANES * LANES
    panel = c // (2 * LANES) * 2 * LANES
    width, wide = min(2 * LANES, total - panel), min(LANES, outs - c)
    down, right, first = 3 * LANES, ONE * LANES, 0 * ONE
    if back:
        down, right, first = -down, -right, 8 * LANES
        for i in range(count):
            at = ((k + i) * outs + c) * 9
            for j in range(0, 9, LANES):
                turn_square(
                    scratch, (i * 9 + j) * LANES, LANES, weight, at + j, 9,
                    wide, min(LANES, 9 - j), LANES, 0,
                )  # fmt: skip
    else:
        turn_windows(scratch, 0 * ONE, weight, (c * ins + k) * 9, ins * 9, count * 9, wide)
    own = 9 * LANES * LANES
    for i in range(count):
        o, at = panel * ins + (k + i) * width + c - panel, i * 9 * LANES + first
        if m == 4:
            pack_vector4(out, o, total * ins, scratch, at, down, right, scratch, own)
        else:
            pack_vector2(out, o, total * ins, scratch, at, down, right, scratch, own)


def pack_tasks(outs, ins):
    """A task is a panel of outputs and a vector of inputs."""
    return -(-outs // (2 * LANES)) * -(-ins // LANES)


def pack_memory():
    """The windows of a task, with the outputs side by side."""
    return (9 * LANES + 18) * LANES


@task(tasks=pack_tasks, memory=pack_memory)
def winograd_pack(first, last, scratch, out, weight, m: int, outs: int, ins: int, back: int):
    inner = (ins + LANES - 1) // LANES
    for t in range(first, last):
        panel, k = t // inner * 2 * LANES, t % inner * LANES
        for c in range(panel, min(outs, panel + 2 * LANES), LANES):
            pack_vectors(out, weight, scratch, m, outs, ins, c, k, min(LANES, ins - k), back)
