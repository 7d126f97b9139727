"""Weights of 3x3 windows in Winograd's form: ``[product][panel of outputs][input][output]``."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.winograd_forms import filter2, filter4
from netdsl.backends.cpu.winograd_tiles import ONE, put4, put6, take3
from netdsl.backends.override import task
from netdsl.kernel import device, real


def winograd_pack_size(m, outs, ins):
    """How many numbers packed weights take, for ``outs`` channels made of ``ins``."""
    return (m + 2) ** 2 * ins * (-(-outs // 16) * 16)


@device
def pack_vector4(out, o, apart, x, i, own, w):
    """``G g GT`` of a vector of windows, m = 4; ``own`` holds the rows from ``w`` on meanwhile."""
    for r in range(3):
        a, b, c = take3(x, i + r * 3 * LANES, ONE * LANES)
        put6(own, w + r * 6 * LANES, ONE * LANES, filter4(a, b, c))
    for k in range(6):
        a, b, c = take3(own, w + k * LANES, 6 * LANES)
        put6(out, o + k * apart, 6 * apart, filter4(a, b, c))


@device
def pack_vector2(out, o, apart, x, i, own, w):
    """``G g GT`` of a vector of windows, m = 2."""
    for r in range(3):
        a, b, c = take3(x, i + r * 3 * LANES, ONE * LANES)
        put4(own, w + r * 4 * LANES, ONE * LANES, filter2(a, b, c))
    for k in range(4):
        a, b, c = take3(own, w + k * LANES, 4 * LANES)
        put4(out, o + k * apart, 4 * apart, filter2(a, b, c))


@device
def pack_block(out, weight, scratch, m, outs, ins, c, k, back):
    """Pack a panel of outputs from ``c`` on for the inputs from ``k`` on, at most ``LANES``."""
    total = (outs + LANES - 1) // LANES * LANES
    width, count = min(2 * LANES, total - c), min(LANES, ins - k)
    for b in range(0, width, LANES):
        part = b * 9 * LANES
        wide = min(LANES, outs - c - b)
        for i in range(count):
            for j in range(wide):
                o, at = c + b + j, part + i * 9 * LANES + j
                if back:
                    source = ((k + i) * outs + o) * 9
                    for w in range(9):
                        scratch[at + (8 - w) * LANES] = weight[source + w]
                else:
                    source = (o * ins + k + i) * 9
                    for w in range(9):
                        scratch[at + w * LANES] = weight[source + w]
            for j in range(wide, LANES):
                for w in range(9):
                    scratch[part + (i * 9 + w) * LANES + j] = real(0)
    own = 18 * LANES * LANES
    for i in range(count):
        for b in range(0, width, LANES):
            o, at = c * ins + (k + i) * width + b, (b + i) * 9 * LANES
            if m == 4:
                pack_vector4(out, o, total * ins, scratch, at, scratch, own)
            else:
                pack_vector2(out, o, total * ins, scratch, at, scratch, own)


def pack_tasks(outs, ins):
    """A task is a panel of outputs and a vector of inputs."""
    return -(-outs // (2 * LANES)) * -(-ins // LANES)


def pack_memory():
    """The windows of a task, with the outputs side by side."""
    return (18 * LANES + 18) * LANES


@task(tasks=pack_tasks, memory=pack_memory)
def winograd_pack(first, last, scratch, out, weight, m: int, outs: int, ins: int, back: int):
    inner = (ins + LANES - 1) // LANES
    for t in range(first, last):
        c, k = t // inner * 2 * LANES, t % inner * LANES
        pack_block(out, weight, scratch, m, outs, ins, c, k, back)
