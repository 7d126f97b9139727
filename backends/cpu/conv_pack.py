"""Weights of convolutions as the tiles read them: panels of a few vectors of output channels.

A panel holds, for every tap and every input channel, the weights of ``panel_wide`` vectors of
output channels: ``[group][panel][k0][k1][k2][channels in][wide * LANES]``, with zeros behind the
last channel. For the gradient by the input the two kinds of channels change places and the taps run
backwards. With a stride, positions of the input fall into phases: those of one phase see the same
taps, and each tap belongs to one phase. The panels of the phases follow one another.
"""

from __future__ import annotations

from netdsl.backends.cpu.across_turn import turn_square
from netdsl.backends.cpu.lazy import take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vload, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, routine

SEVERAL = 16
"""The gradient's weights of so many output channels are turned before their taps are told apart."""


def packed_size(lanes: int, ci: int, co: int, groups: int, k0: int, k1: int, k2: int) -> int:
    """How many numbers the packed weights take, for outputs ``co`` and inputs ``ci``.

    For the gradient by the input the two change places.
    """
    vectors = -(-(co // groups) // lanes)
    wide = min(vectors, 2)
    return groups * -(-vectors // wide) * wide * lanes * k0 * k1 * k2 * (ci // groups)


@device
def panel_wide(channels):
    """How many vectors wide the panels of so many output channels are."""
    return 1 if channels <= LANES else 2


@device
def panel_count(channels):
    """How many panels the output channels of a group have."""
    columns = panel_wide(channels) * LANES
    return (channels + columns - 1) // columns


@device
def phase_of(r, k, s, p, d):
    """What the positions ``q * s + r`` of an axis see: a window of stride 1 over the gradient.

    The first of its taps, how far apart they are, how many; and that window's dilation and padding.
    """
    common, rest = s, d
    while rest:
        common, rest = rest, common % rest
    apart, first = s // common, 0
    while first < apart and (r + p - first * d) % s != 0:
        first += 1
    count = max((k - first + apart - 1) // apart, 0) if first < apart else 0
    return first, apart, count, d // common, (count - 1) * (d // common) - (r + p - first * d) // s


def forward_panels(co: int, groups: int) -> int:
    """A task for every panel."""
    return groups * -(-(co // groups) // (LANES if co // groups <= LANES else 2 * LANES))


def forward_memory():
    """A square of weights that is turned."""
    return LANES * LANES


@routine
def pack_outputs(out, o, columns, weight, w, wide, inner, taps, scratch):
    """A vector of output channels, ``wide`` of them: for every tap and input one beside another."""
    deep = inner * taps
    for q in range(0, deep, LANES):
        count = min(LANES, deep - q)
        if taps == 1:
            at = o + q * columns
            turn_square(out, at, columns, weight, w + q, deep, wide, count, LANES, 0)
            continue
        turn_square(scratch, 0, LANES, weight, w + q, deep, wide, count, LANES, 0)
        i, tap = q // taps, q % taps
        for j in range(count):
            vstore(out, o + (tap * inner + i) * columns, vload(scratch, j * LANES))
            tap += 1
            if tap == taps:
                i, tap = i + 1, 0


# fmt: off
@task(tasks=forward_panels, memory=forward_memory)
def pack_forward(
    first, last, scratch, out, weight,
    ci: int, co: int, groups: int, k0: int, k1: int, k2: int,
):
    taps, inner, outer = k0 * k1 * k2, ci // groups, co // groups
    columns, panels = panel_wide(outer) * LANES, panel_count(outer)
    for t in range(first, last):
        for v in range(0, columns, LANES):
            channel = min(t % panels * columns + v, outer)
            wide = min(outer - channel, LANES)
            pack_outputs(
                out, t * taps * inner * columns + v, columns,
                weight, (t // panels * outer + channel) * inner * taps, wide, inner, taps, scratch,
            )
# fmt: on


def backward_panels(ci: int, groups: int) -> int:
    """A task for every panel."""
    return groups * -(-(ci // groups) // (LANES if ci // groups <= LANES else 2 * LANES))


def backward_memory(k0: int, k1: int, k2: int) -> int:
    """A vector of channels of several windows, tap by tap."""
    return SEVERAL * k0 * k1 * k2 * LANES


@routine
def turn_taps(scratch, weight, w, step, wide, taps, count):
    """``count`` times the windows of a vector of channels, ``wide`` of them, tap by tap."""
    for i in range(count):
        at, to = w + i * step, i * taps * LANES
        if taps == 1:
            vstore(scratch, to, take_vector(weight, at, wide))
            continue
        for tap in range(0, taps, LANES):
            some = min(LANES, taps - tap)
            turn_square(
                scratch, to + tap * LANES, LANES, weight, at + tap, taps, wide, some, LANES, 0
            )


@routine
def put_taps(out, panel, every, columns, v, scratch, b, count, outer, taps, k, s, p, d):
    """Write what `turn_taps` has made, the taps of each phase together and backwards."""
    done = 0
    for r in range(s[0] * s[1] * s[2]):
        f0, a0, n0, _, _ = phase_of(r // (s[1] * s[2]), k[0], s[0], p[0], d[0])
        f1, a1, n1, _, _ = phase_of(r // s[2] % s[1], k[1], s[1], p[1], d[1])
        f2, a2, n2, _, _ = phase_of(r % s[2], k[2], s[2], p[2], d[2])
        number = n0 * n1 * n2
        for q in range(number):
            tap0 = f0 + (n0 - 1 - q // (n1 * n2)) * a0
            tap1 = f1 + (n1 - 1 - q // n2 % n1) * a1
            tap = (tap0 * k[1] + tap1) * k[2] + f2 + (n2 - 1 - q % n2) * a2
            target = (done * every + panel * number + q) * outer + b
            for i in range(count):
                value = vload(scratch, (i * taps + tap) * LANES)
                vstore(out, (target + i) * columns + v, value)
        done += number


# fmt: off
@task(tasks=backward_panels, memory=backward_memory)
def pack_backward(
    first, last, scratch, out, weight,
    ci: int, co: int, groups: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
):
    taps, inner, outer = k0 * k1 * k2, ci // groups, co // groups
    columns, panels = panel_wide(inner) * LANES, panel_count(inner)
    for t in range(first, last):
        for b in range(0, outer, SEVERAL):
            count = min(SEVERAL, outer - b)
            for v in range(0, columns, LANES):
                channel = min(t % panels * columns + v, inner)
                wide = min(inner - channel, LANES)
                place = ((t // panels * outer + b) * inner + channel) * taps
                turn_taps(scratch, weight, place, inner * taps, wide, taps, count)
                put_taps(
                    out, t, groups * panels, columns, v, scratch, b, count, outer, taps,
                    (k0, k1, k2), (s0, s1, s2), (p0, p1, p2), (d0, d1, d2),
                )
# fmt: on
