"""The ways in which a convolution can be computed, and the rule that chooses one.

Winograd's products where these pay, a kernel for depthwise ones, else the general kernel over
windows. What is chosen depends on the sizes of the layer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netdsl.backends.cpu.conv_backward import conv_backward
from netdsl.backends.cpu.conv_forward import conv_forward, conv_rows
from netdsl.backends.cpu.conv_pack import pack_backward, pack_forward, packed_size
from netdsl.backends.cpu.depthwise import (
    depthwise_forward,
    depthwise_rows,
    depthwise_size,
    pack_depthwise,
    pack_depthwise_back,
)
from netdsl.backends.cpu.depthwise_backward import depthwise_backward
from netdsl.backends.cpu.lower.geometry import at_batch, whole
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.winograd import winograd_forward
from netdsl.backends.cpu.winograd_pack import winograd_pack, winograd_pack_size
from netdsl.backends.cpu.winograd_plan import direct_cost, winograd_cost, winograd_sum_rows
from netdsl.schedule import Number

Geometry = Mapping[str, Number]
TYPICAL = 16
"""The batch for which a way is chosen: no other number is known then."""


@dataclass(frozen=True)
class Way:
    """One way: its kernel, how weights are packed for it, and what both are told besides.

    A gradient is ``turned`` that is made by a forward kernel, as a convolution of ``dy``.
    """

    name: str
    body: Callable[..., Any]
    pack: Callable[..., Any]
    size: int
    numbers: Geometry
    rows: Callable[..., int] | None = None
    turned: bool = False


def forward_way(geometry: Geometry, tile: int) -> Way:
    """How ``y`` is made; ``tile`` is the largest of Winograd's tiles that is allowed, or 0."""
    if m := winograd_tile(geometry, tile):
        return winograd_way(geometry, m)
    if is_depthwise(geometry):
        size = depthwise_size(LANES, **whole(geometry, "ci", "co", "k0", "k1", "k2"))
        return Way("depthwise", depthwise_forward, pack_depthwise, size, geometry, depthwise_rows)
    return direct_forward(geometry)


def winograd_way(geometry: Geometry, m: int) -> Way:
    """Winograd's products with tiles of one size."""
    told = {**geometry, "m": m, "outs": geometry["co"], "ins": geometry["ci"], "back": 0}
    size = at_batch(winograd_pack_size, told, TYPICAL)
    name = f"winograd F({m}x{m})"
    return Way(name, winograd_forward, winograd_pack, size, told, winograd_sum_rows)


def way_for_few(geometry: Geometry, way: Way) -> tuple[Way, int] | None:
    """A faster way for fewer images than some number, and that number.

    Large tiles read more weights: that pays where there are many of them.
    """
    if way.numbers.get("m") != 4:
        return None
    told = [{**geometry, "m": m} for m in (2, 4)]
    for few in (16, 8, 4, 2):
        small, large = (at_batch(winograd_cost, numbers, few // 2) for numbers in told)
        if small < large:
            return winograd_way(geometry, 2), few
    return None


def direct_forward(geometry: Geometry) -> Way:
    """The general kernel over windows."""
    size = packed_size(LANES, **whole(geometry, "ci", "co", "groups", "k0", "k1", "k2"))
    return Way("direct", conv_forward, pack_forward, size, geometry, conv_rows)


def direct_backward(geometry: Geometry) -> Way:
    """Its gradient by the input."""
    channels = {"ci": geometry["co"], "co": geometry["ci"]}
    known = whole({**geometry, **channels}, "ci", "co", "groups", "k0", "k1", "k2")
    return Way("direct", conv_backward, pack_backward, packed_size(LANES, **known), geometry)


def backward_way(geometry: Geometry, tile: int) -> Way:
    """How ``dx`` is made."""
    turned = {**geometry, "ci": geometry["co"], "co": geometry["ci"]}
    for axis in "012":
        turned |= {f"i{axis}": geometry[f"o{axis}"], f"o{axis}": geometry[f"i{axis}"]}
        turned |= {f"p{axis}": int(geometry[f"k{axis}"]) - 1 - int(geometry[f"p{axis}"])}  # type: ignore[arg-type]
    if m := winograd_tile(turned, tile):
        told = {**turned, "m": m, "outs": geometry["ci"], "ins": geometry["co"], "back": 1}
        size = at_batch(winograd_pack_size, told, TYPICAL)
        name = f"winograd F({m}x{m})"
        return Way(name, winograd_forward, winograd_pack, size, told, turned=True)
    if is_depthwise(geometry):
        size = depthwise_size(LANES, **whole(geometry, "ci", "co", "k0", "k1", "k2"))
        return Way("depthwise", depthwise_backward, pack_depthwise_back, size, geometry)
    return direct_backward(geometry)


def winograd_tile(geometry: Geometry, tile: int) -> int:
    """The tile of Winograd's method with which it pays, or 0."""
    if obstacle(geometry):
        return 0
    costs = {0: at_batch(direct_cost, geometry, TYPICAL)}
    for m in (2, 4):
        if m <= tile:
            costs[m] = at_batch(winograd_cost, {**geometry, "m": m}, TYPICAL)
    return min(costs, key=lambda m: costs[m])


def obstacle(geometry: Geometry) -> str:
    """What keeps Winograd's method away, which knows 3x3 windows and stride 1; or nothing."""
    flat = geometry["k0"] == geometry["i0"] == 1 and geometry["p0"] == 0
    axes = "12" if flat else "012"
    window, stride, dilation = ("x".join(str(geometry[f"{n}{a}"]) for a in axes) for n in "ksd")
    if window != "3x3":
        return f"{window} window"
    if stride != "1x1":
        return f"stride {geometry['s1'] if geometry['s1'] == geometry['s2'] else stride}"
    if dilation != "1x1":
        return f"dilation {geometry['d1'] if geometry['d1'] == geometry['d2'] else dilation}"
    if geometry["groups"] != 1:
        return f"{geometry['groups']} groups"
    wide = not all(0 <= int(geometry[name]) <= 2 for name in ("p1", "p2"))  # type: ignore[arg-type]
    return "wide padding" if wide else ""


def reason(geometry: Geometry, tile: int) -> str:
    """The rule that chose a way, in words."""
    if is_depthwise(geometry):
        return "every output sees one channel"
    if kept := obstacle(geometry):
        return f"{kept}: no Winograd"
    if not tile:
        return "precision = exact: no Winograd"
    pays = "Winograd pays" if winograd_tile(geometry, tile) else "no Winograd"
    return f"{geometry['ci']} to {geometry['co']} channels: {pays}"


def is_depthwise(geometry: Geometry) -> bool:
    """Whether each output sees one channel."""
    return geometry["groups"] == geometry["ci"] and geometry["ci"] != 1
