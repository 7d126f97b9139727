"""Depthwise convolution: every channel has windows of its own; vectors go over the channels.

An output channel ``o`` sees the input channel ``o // (co // ci)``. A task makes some rows of a
plane, of some channels: what they see comes into the thread's own memory, with zeros around.
"""

from __future__ import annotations

from netdsl.backends.cpu.conv_block import place_of
from netdsl.backends.cpu.conv_finish import finish
from netdsl.backends.cpu.conv_gather import gather_row
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vfma, vload, vmax, vmin
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

PLACES = 224
"""A task makes about so many positions."""
VECTORS = 8
"""A task makes at most so many vectors of channels."""


def depthwise_size(lanes: int, ci: int, co: int, k0: int, k1: int, k2: int) -> int:
    """How many numbers the packed weights take, forward and backward."""
    return max(-(-co // lanes), co // ci * -(-ci // lanes)) * lanes * k0 * k1 * k2


@routine
def pack_channels(out, weight, channels, many, taps):
    """Of every ``many`` rows of weights the first, the second, ...: vectors of channels by taps."""
    at = 0
    for j in range(many):
        for c in range(0, channels, LANES):
            for tap in range(taps):
                for lane in range(LANES):
                    inside = c + lane < channels
                    place = ((c + lane) * many + j) * taps + tap
                    out[at + lane] = weight[place] if inside else real(0)
                at += LANES


# fmt: off
@task()
def pack_depthwise(
    first, last, scratch, out, weight, co: int, k0: int, k1: int, k2: int
):
    pack_channels(out, weight, co, 1, k0 * k1 * k2)
# fmt: on
# fmt: off
@task()
def pack_depthwise_back(
    first, last, scratch, out, weight, ci: int, co: int, k0: int, k1: int, k2: int
):
    pack_channels(out, weight, ci, co // ci, k0 * k1 * k2)
# fmt: on


@routine
def gather_channels(
    out, far, row, count, channel, wide, step, over, under, turn, sizes, made, taps, strides, pads,
    apart, x, x_step, ref, ref_step, coef, all, lo, hi,
):  # fmt: skip
    """What some rows of a plane see, of ``wide`` channels.

    Channel ``c`` reads channel ``c * over // under + turn``; ``far`` is room for a row.
    """
    width = (made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1
    lines = (count - 1) * strides[1] + (taps[1] - 1) * apart[1] + 1
    first = channel * over // under + turn
    several = (channel + wide - 1) * over // under + turn + 1 - first
    for line in range(taps[0] * lines):
        plane = row // made[1]
        depth = plane % made[0] * strides[0] - pads[0] + line // lines * apart[0]
        high = row % made[1] * strides[1] - pads[1] + line % lines
        inside = 0 <= depth < sizes[0] and 0 <= high < sizes[1]
        place = ((plane // made[0] * sizes[0] + depth) * sizes[1] + high) * sizes[2]
        same = over == 1 and under == 1
        gather_row(
            out,
            line * width * step if same else far,
            step if same else several,
            width,
            several,
            -pads[2],
            1,
            sizes[2] if inside else 0,
            place,
            x,
            x_step,
            ref,
            ref_step,
            coef,
            first,
            all,
            lo,
            hi,
        )
        if not same:
            for p in range(width):
                for c in range(wide):
                    source = (channel + c) * over // under + turn - first
                    out[(line * width + p) * step + c] = out[far + p * several + source]


@device
def settle(out, at, v, add, low, high, channels):
    """Write a vector, within bounds."""
    if add:
        v = v + take_vector(out, at, channels)
    put_vector(out, at, vmin(high, vmax(low, v)), channels)


@device
def settle_four(out, at, far, a, b, c, d, add, low, high, left, channels):
    """Write a vector of four positions, or of the ``left`` that there are."""
    if left > 0:
        settle(out, at, a, add, low, high, channels)
    if left > 1:
        settle(out, at + far, b, add, low, high, channels)
    if left > 2:
        settle(out, at + 2 * far, c, add, low, high, channels)
    if left > 3:
        settle(out, at + 3 * far, d, add, low, high, channels)


@device
def three_taps(a, b, c, d, e, f, g, h, x, i, near, weight, w, far):
    """Three taps of eight positions that lie side by side: neighbours see the same numbers."""
    p, q, r = vload(weight, w), vload(weight, w + far), vload(weight, w + 2 * far)
    u, v, z = vload(x, i), vload(x, i + near), vload(x, i + 2 * near)
    a = vfma(r, z, vfma(q, v, vfma(p, u, a)))
    u = vload(x, i + 3 * near)
    b = vfma(r, u, vfma(q, z, vfma(p, v, b)))
    v = vload(x, i + 4 * near)
    c = vfma(r, v, vfma(q, u, vfma(p, z, c)))
    z = vload(x, i + 5 * near)
    d = vfma(r, z, vfma(q, v, vfma(p, u, d)))
    u = vload(x, i + 6 * near)
    e = vfma(r, u, vfma(q, z, vfma(p, v, e)))
    v = vload(x, i + 7 * near)
    f = vfma(r, v, vfma(q, u, vfma(p, z, f)))
    z = vload(x, i + 8 * near)
    g = vfma(r, z, vfma(q, v, vfma(p, u, g)))
    u = vload(x, i + 9 * near)
    h = vfma(r, u, vfma(q, z, vfma(p, v, h)))
    return a, b, c, d, e, f, g, h


@routine
def eight_windows(
    out, o, far, bias, k, channels, add, lo, hi, left, x, i, near, weight, w, every_w,
    n0, a0, b0, n1, a1, b1, n2, a2, b2,
):  # fmt: skip
    """All channels of eight positions of a row, or of the ``left`` that there are."""
    low, high = vall(real(lo)), vall(real(hi))
    for k_ in range(0, channels, LANES):
        many = channels - k_
        start = take_vector(bias, k + k_, many) if bias.size > 0 else vall(real(0))
        a, b, c, d, e, f, g, h = start, start, start, start, start, start, start, start
        for t0 in range(n0):
            for t1 in range(n1):
                place = i + k_ + t0 * a0 + t1 * a1
                at = w + k_ // LANES * every_w + t0 * b0 + t1 * b1
                if n2 == 3 and near == a2:
                    a, b, c, d, e, f, g, h = three_taps(
                        a, b, c, d, e, f, g, h, x, place, near, weight, at, b2
                    )
                    continue
                for _ in range(n2):
                    v = vload(weight, at)
                    a = vfma(v, vload(x, place), a)
                    b = vfma(v, vload(x, place + near), b)
                    c = vfma(v, vload(x, place + 2 * near), c)
                    d = vfma(v, vload(x, place + 3 * near), d)
                    e = vfma(v, vload(x, place + 4 * near), e)
                    f = vfma(v, vload(x, place + 5 * near), f)
                    g = vfma(v, vload(x, place + 6 * near), g)
                    h = vfma(v, vload(x, place + 7 * near), h)
                    place += a2
                    at += b2
        at, more = o + k_, o + k_ + 4 * far
        settle_four(out, at, far, a, b, c, d, add, low, high, left, many)
        settle_four(out, more, far, e, f, g, h, add, low, high, left - 4, many)


@routine
def windows(
    out, step, channel, wide, scratch, weight, w, every_w, bias, add, lo, hi,
    row, count, made, taps, strides, apart, lies, every, begin,
):  # fmt: skip
    """Some rows of a plane, of ``wide`` channels, from what `gather_channels` has brought."""
    wall = (wide + LANES - 1) // LANES * LANES
    width = (made[2] - 1) * strides[2] + (taps[2] - 1) * apart[2] + 1
    lines = (count - 1) * strides[1] + (taps[1] - 1) * apart[1] + 1
    for h in range(count):
        place = place_of(row + h, made, lies, every, begin)
        for p in range(0, made[2], 8):
            eight_windows(
                out, (place + p * every[2]) * step + channel, every[2] * step,
                bias, channel, wide, add, lo, hi, made[2] - p,
                scratch, (h * strides[1] * width + p * strides[2]) * wall, strides[2] * wall,
                weight, w, every_w[3],
                taps[0], lines * width * wall, every_w[0],
                taps[1], apart[1] * width * wall, every_w[1], taps[2], apart[2] * wall, every_w[2],
            )  # fmt: skip


def depthwise_rows(n: int, o0: int, o1: int, o2: int) -> int:
    """How many rows the statistics have: one for each block of positions."""
    return n * o0 * -(-o1 // max(PLACES // o2, 1))


def depthwise_tasks(n: int, co: int, o0: int, o1: int, o2: int) -> int:
    """A task for some rows of a plane and some channels."""
    return n * o0 * -(-o1 // max(PLACES // o2, 1)) * -(-co // (VECTORS * LANES))


def depthwise_memory(
    o1: int, o2: int, k0: int, k1: int, k2: int, s1: int, s2: int, d1: int, d2: int
) -> int:
    """What some rows see; a row that they make; and a row that is read."""
    width = (o2 - 1) * s2 + (k2 - 1) * d2 + 1
    lines = k0 * ((min(max(PLACES // o2, 1), o1) - 1) * s1 + (k1 - 1) * d1 + 1)
    return (lines * width + 8 * s2 + o2 + 8 + width) * VECTORS * LANES


# fmt: off
@task(tasks=depthwise_tasks, memory=depthwise_memory, writes=("out", "sums"))
def depthwise_forward(
    first, last, scratch, out, x, ref, coef, weight, bias, sums,
    n: int, ci: int, co: int,
    i0: int, i1: int, i2: int, o0: int, o1: int, o2: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
    step: int, x_step: int, ref_step: int, add: int,
    lo: float, hi: float, out_lo: float, out_hi: float,
):
    # With ``add`` the bounds are those of the sum: clamp(out + convolution + bias).
    few = max(PLACES // o2, 1)
    blocks, parts = (o1 + few - 1) // few, (co + VECTORS * LANES - 1) // (VECTORS * LANES)
    taps = k0 * k1 * k2 * LANES
    sizes, made, window = (i0, i1, i2), (o0, o1, o2), (k0, k1, k2)
    strides, pads, apart = (s0, s1, s2), (p0, p1, p2), (d0, d1, d2)
    for t in range(first, last):
        plane, block, part = t // (blocks * parts), t // parts % blocks, t % parts
        begin = o1 * block // blocks
        row, count = plane * o1 + begin, o1 * (block + 1) // blocks - begin
        channel = part * VECTORS * LANES
        wide = min(VECTORS * LANES, co - channel)
        wall = (wide + LANES - 1) // LANES * LANES
        gather_channels(
            scratch, scratch.size - ((o2 - 1) * s2 + (k2 - 1) * d2 + 1) * VECTORS * LANES,
            row, count, channel, wide, wall, 1, co // ci, 0, sizes, made, window, strides, pads,
            apart, x, x_step, ref, ref_step, coef, ci, lo, hi,
        )
        windows(
            out, step, channel, wide, scratch, weight, channel // LANES * taps,
            (k1 * k2 * LANES, k2 * LANES, LANES, taps), bias, add, out_lo, out_hi,
            row, count, made, window, strides, apart, made, (1, 1, 1), (0, 0, 0),
        )
        if sums.size > 0:
            at = (plane * blocks + block) * (2 * co + 1)
            finish(
                out, row * o2 * step + channel, step, count * o2, wide, bias, channel,
                False, False, out_lo, out_hi, sums, at, co,
            )
            sums[at + 2 * co] = real(count * o2) if part == 0 else sums[at + 2 * co]
# fmt: on
