"""Weights of convolutions as the tiles read them: panels of a few vectors of output channels.

A panel holds, for every tap and every input channel, the weights of ``panel_wide`` vectors of
output channels: ``[group][panel][k0][k1][k2][channels in][wide * LANES]``, with zeros behind the
last channel. For the gradient by the input the two kinds of channels change places and the taps run
backwards. With a stride, positions of the input fall into phases: those of one phase see the same
taps, and each tap belongs to one phase. The panels of the phases follow one another.
"""

from __future__ import annotations

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.override import task
from netdsl.kernel import device, real

SEVERAL = 9
"""Numbers of so many rows of weights are copied at once, so that what is written stays near."""


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


# fmt: off
@task(tasks=forward_panels)
def pack_forward(
    first, last, scratch, out, weight,
    ci: int, co: int, groups: int, k0: int, k1: int, k2: int,
):
    taps, inner, outer = k0 * k1 * k2, ci // groups, co // groups
    columns, panels = panel_wide(outer) * LANES, panel_count(outer)
    for t in range(first, last):
        channel = t % panels * columns
        here = min(columns, outer - channel)
        source = (t // panels * outer + channel) * inner * taps
        target = t * taps * inner * columns
        if here < columns:
            out[target : target + taps * inner * columns] = real(0)
        for c in range(0, inner, SEVERAL):
            for j in range(here):
                for i in range(c, min(c + SEVERAL, inner)):
                    place = source + (j * inner + i) * taps
                    for tap in range(taps):
                        out[target + (tap * inner + i) * columns + j] = weight[place + tap]
# fmt: on


def backward_panels(ci: int, groups: int) -> int:
    """A task for every panel."""
    return groups * -(-(ci // groups) // (LANES if ci // groups <= LANES else 2 * LANES))


# fmt: off
@task(tasks=backward_panels)
def pack_backward(
    first, last, scratch, out, weight,
    ci: int, co: int, groups: int, k0: int, k1: int, k2: int,
    s0: int, s1: int, s2: int, p0: int, p1: int, p2: int, d0: int, d1: int, d2: int,
):
    taps, inner, outer = k0 * k1 * k2, ci // groups, co // groups
    columns, panels = panel_wide(inner) * LANES, panel_count(inner)
    for t in range(first, last):
        done = 0
        for r in range(s0 * s1 * s2):
            f0, a0, n0, _, _ = phase_of(r // (s1 * s2), k0, s0, p0, d0)
            f1, a1, n1, _, _ = phase_of(r // s2 % s1, k1, s1, p1, d1)
            f2, a2, n2, _, _ = phase_of(r % s2, k2, s2, p2, d2)
            count = n0 * n1 * n2
            channel = t % panels * columns
            here = min(columns, inner - channel)
            target = (done * groups * panels + t * count) * outer * columns
            for q in range(count):
                tap0 = f0 + (n0 - 1 - q // (n1 * n2)) * a0
                tap1 = f1 + (n1 - 1 - q // n2 % n1) * a1
                tap2 = f2 + (n2 - 1 - q % n2) * a2
                place = (t // panels * outer * inner + channel) * taps
                place += (tap0 * k1 + tap1) * k2 + tap2
                for _ in range(outer):
                    for j in range(here):
                        out[target + j] = weight[place + j * taps]
                    for j in range(here, columns):
                        out[target + j] = real(0)
                    place += inner * taps
                    target += columns
            done += count
# fmt: on
