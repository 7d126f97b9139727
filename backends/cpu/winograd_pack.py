"""Weights of 3x3 windows in Winograd's form: ``[product][panel of outputs][input][output]``."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vload, vstore
from netdsl.backends.cpu.winograd_forms import filter2, filter4
from netdsl.backends.cpu.winograd_tiles import put4, put6
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


def winograd_pack_forward_size(m, ci, co):
    """How many numbers the packed weights take that `winograd_forward` reads."""
    return (m + 2) ** 2 * ci * (-(-co // LANES) * LANES)


def winograd_pack_backward_size(m, ci, co):
    """How many numbers the packed weights take that `winograd_backward` reads."""
    return (m + 2) ** 2 * co * (-(-ci // LANES) * LANES)


@routine
def pack_vector4(out, o, apart, x, i):
    """``G g GT``, m = 4, of the windows of a vector of outputs."""
    r0 = filter4(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    i += 3 * LANES
    r1 = filter4(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    i += 3 * LANES
    r2 = filter4(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    far = 6 * apart
    put6(out, o, far, filter4(r0[0], r1[0], r2[0]))
    put6(out, o + apart, far, filter4(r0[1], r1[1], r2[1]))
    put6(out, o + 2 * apart, far, filter4(r0[2], r1[2], r2[2]))
    put6(out, o + 3 * apart, far, filter4(r0[3], r1[3], r2[3]))
    put6(out, o + 4 * apart, far, filter4(r0[4], r1[4], r2[4]))
    put6(out, o + 5 * apart, far, filter4(r0[5], r1[5], r2[5]))


@routine
def pack_vector2(out, o, apart, x, i):
    """``G g GT``, m = 2, of the windows of a vector of outputs."""
    r0 = filter2(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    i += 3 * LANES
    r1 = filter2(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    i += 3 * LANES
    r2 = filter2(vload(x, i), vload(x, i + LANES), vload(x, i + 2 * LANES))
    far = 4 * apart
    put4(out, o, far, filter2(r0[0], r1[0], r2[0]))
    put4(out, o + apart, far, filter2(r0[1], r1[1], r2[1]))
    put4(out, o + 2 * apart, far, filter2(r0[2], r1[2], r2[2]))
    put4(out, o + 3 * apart, far, filter2(r0[3], r1[3], r2[3]))


@routine
def pack_block(out, weight, scratch, m, outs, ins, c, k, back):
    """Pack a vector of outputs from ``c`` on for the inputs from ``k`` on, at most ``LANES``."""
    taps, wide = (m + 2) * (m + 2), min(LANES, outs - c)
    count = min(LANES, ins - k)
    for j in range(9 * LANES * LANES):
        scratch[j] = real(0)
    if back:
        for i in range(count):
            for j in range(wide):
                at = ((k + i) * outs + c + j) * 9
                for w in range(9):
                    scratch[(i * 9 + 8 - w) * LANES + j] = weight[at + w]
    else:
        for j in range(wide):
            for i in range(count):
                at = ((c + j) * ins + k + i) * 9
                for w in range(9):
                    scratch[(i * 9 + w) * LANES + j] = weight[at + w]
    total = (outs + LANES - 1) // LANES * LANES
    panel = c // (2 * LANES) * 2 * LANES
    width = min(2 * LANES, total - panel)
    for i in range(count):
        at = panel * ins + (k + i) * width + c - panel
        if m == 4:
            pack_vector4(out, at, total * ins, scratch, i * 9 * LANES)
        else:
            pack_vector2(out, at, total * ins, scratch, i * 9 * LANES)


def pack_tasks(ci, co):
    """A task is a vector of inputs and a vector of outputs."""
    return -(-co // LANES) * -(-ci // LANES)


def pack_memory():
    """The windows of a task, with the channels that the panel has side by side."""
    return 9 * LANES * LANES


@task(tasks=pack_tasks, memory=pack_memory)
def winograd_pack_forward(first, last, scratch, out, weight, m: int, ci: int, co: int):
    inner = (ci + LANES - 1) // LANES
    for t in range(first, last):
        pack_block(out, weight, scratch, m, co, ci, t // inner * LANES, t % inner * LANES, False)


@task(tasks=pack_tasks, memory=pack_memory)
def winograd_pack_backward(first, last, scratch, out, weight, m: int, ci: int, co: int):
    inner = (co + LANES - 1) // LANES
    for t in range(first, last):
        pack_block(out, weight, scratch, m, ci, co, t // inner * LANES, t % inner * LANES, True)
