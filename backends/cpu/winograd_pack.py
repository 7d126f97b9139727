"""Weights of 3x3 windows in Winograd's form: ``[product][panel of outputs][input][output]``."""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vload, vstore
from netdsl.backends.cpu.winograd_forms import filter2, filter4
from netdsl.backends.cpu.winograd_tiles import put4, put6
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine


def winograd_pack_size(m, outs, ins):
    """How many numbers packed weights take, for ``outs`` channels made of ``ins``."""
    return (m + 2) ** 2 * ins * (-(-outs // 16) * 16)


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
    for i in range(count):
        for b in range(0, width, LANES):
            o, at = c * ins + (k + i) * width + b, (b + i) * 9 * LANES
            if m == 4:
                pack_vector4(out, o, total * ins, scratch, at)
            else:
                pack_vector2(out, o, total * ins, scratch, at)


def pack_tasks(outs, ins):
    """A task is a panel of outputs and a vector of inputs."""
    return -(-outs // (2 * LANES)) * -(-ins // LANES)


def pack_memory():
    """The windows of a task, with the outputs side by side."""
    return 2 * 9 * LANES * LANES


@task(tasks=pack_tasks, memory=pack_memory)
def winograd_pack(
    first, last, scratch, out, weight, m: int, outs: int, ins: int, back: int
):
    inner = (ins + LANES - 1) // LANES
    for t in range(first, last):
        c, k = t // inner * 2 * LANES, t % inner * LANES
        pack_block(out, weight, scratch, m, outs, ins, c, k, back)
