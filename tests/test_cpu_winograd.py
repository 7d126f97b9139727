"""Winograd's convolutions on the CPU against plain sums in double precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.build import build
from netdsl.backends.cpu.lower.lazy import COUNT
from netdsl.backends.cpu.lower.ways import winograd_tile
from netdsl.backends.cpu.winograd import winograd_forward
from netdsl.backends.cpu.winograd_pack import winograd_pack, winograd_pack_size
from netdsl.backends.cpu.winograd_plan import (
    winograd_parts_size,
    winograd_sum_rows,
)
from netdsl.backends.cpu.winograd_weight import winograd_weight, winograd_weight_sum

BOUNDS = {("f4", 2): 6e-7, ("f4", 4): 2.5e-6, ("f8", 2): 2e-15, ("f8", 4): 1e-14}
"""How far a convolution may be off, root mean square over that of the outcome."""
TYPES = {"f4": np.float32, "f8": np.float64}

build = cache(build)


@dataclass(frozen=True)
class Layer:
    """A convolution and how its tensors lie."""

    m: int
    n: int = 1
    ci: int = 3
    co: int = 5
    size: tuple[int, int] = (7, 9)
    pad: tuple[int, int] = (1, 1)
    lazy: str = ""  # any of "coef" and "ref"
    extra: int = 0  # channels that a tensor is more than the part that is meant
    add: int = 0
    bias: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    real: str = "f4"
    threads: int = 1
    seed: int = 0
    rng: np.random.Generator = field(init=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "rng", np.random.default_rng(self.seed))

    @property
    def out(self):
        return self.size[0] + 2 * self.pad[0] - 2, self.size[1] + 2 * self.pad[1] - 2

    @property
    def geometry(self) -> dict[str, Any]:
        return {
            "m": self.m, "n": self.n, "ci": self.ci, "co": self.co,
            "i1": self.size[0], "i2": self.size[1], "o1": self.out[0], "o2": self.out[1],
            "p1": self.pad[0], "p2": self.pad[1],
        }  # fmt: skip

    def draw(self, *shape):
        return self.rng.standard_normal(shape).astype(TYPES[self.real])

    def run(self, kernel, **operands):
        build(kernel, real=self.real)(threads=self.threads, **operands)


@st.composite
def layers(draw):
    whole = st.integers
    m = draw(st.sampled_from([2, 4]))
    return Layer(
        m=m, n=draw(whole(1, 3)), ci=draw(whole(1, 70)), co=draw(whole(1, 70)),
        size=draw(st.tuples(whole(2, 19), whole(2, 75))), pad=draw(st.tuples(*[whole(1, 2)] * 2)),
        lazy=draw(st.sampled_from(["", "coef", "ref", "coef ref"])), extra=draw(whole(0, 5)),
        add=draw(whole(0, 1)), bias=draw(st.booleans()), seed=draw(whole(0, 99)),
        bounds=draw(st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 1.5)])),
        real=draw(st.sampled_from(["f4", "f4", "f8"])), threads=draw(whole(1, 2)),
    )  # fmt: skip


def lazy_tensor(layer, channels, size, prefix=""):
    """A tensor that is made while it is read: its operands, and what it is."""
    none = np.zeros(0, TYPES[layer.real])
    step = channels + layer.extra
    whole = layer.draw(layer.n, *size, step)
    ref = layer.draw(layer.n, *size, step) if "ref" in layer.lazy else none
    coef = layer.draw(5 if ref.size else 2, channels) if "coef" in layer.lazy else none
    lo, hi = (-0.5, 1.0) if layer.lazy else (-np.inf, np.inf)
    x = whole[..., :channels].astype(np.float64)
    at = ref[..., :channels].astype(np.float64) if ref.size else x
    made = at * coef[0] + coef[1] if coef.size else at
    if ref.size:
        made = np.where((lo < made) & (made < hi), x, 0)
        made = made * coef[2] + at * coef[3] + coef[4] if coef.size else made
    elif coef.size:
        made = np.clip(made, lo, hi)
    names = (prefix, f"{prefix}_ref", f"{prefix}_coef") if prefix == "y" else ("x", "ref", "coef")
    operands = dict(zip(names, (whole.ravel(), ref.ravel(), coef.ravel()), strict=True))
    under = "y_" if prefix == "y" else ""
    bounds = {f"{under}lo": lo, f"{under}hi": hi}
    return {**operands, **bounds, f"{prefix or 'x'}_step": step, f"{under}ref_step": step}, made


def windows(x, pad, out):
    """What the nine weights of a window meet: (3, 3, n, height, width, channels)."""
    x = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0)))
    return np.array([[x[:, a : a + out[0], b : b + out[1]] for b in range(3)] for a in range(3)])


def same(layer, got, want, scale=1.0):
    """Rounding apart, and what is far off as a whole is wrong."""
    size = np.sqrt((want**2).mean()) + 1e-30
    off = np.sqrt(((got - want) ** 2).mean()) / size
    assert off < scale * BOUNDS[layer.real, layer.m]


def convolve(layer, geometry, weight, back, out, lazy, bias, bounds, sums):
    """Pack and run the kernel."""
    g = geometry
    packed = np.full(winograd_pack_size(layer.m, g["co"], g["ci"]), np.nan, out.dtype)
    channels = {"outs": g["co"], "ins": g["ci"]}
    layer.run(winograd_pack, out=packed, weight=weight.ravel(), m=layer.m, back=back, **channels)
    layer.run(
        winograd_forward, **g, **lazy, out=out, weight=packed, bias=bias, sums=sums, add=layer.add,
        step=g["co"] + layer.extra, out_lo=bounds[0], out_hi=bounds[1],
    )  # fmt: skip


def check_forward(layer):
    lazy, x = lazy_tensor(layer, layer.ci, layer.size)
    weight = layer.draw(layer.co, layer.ci, 3, 3)
    none = np.zeros(0, weight.dtype)
    bias = layer.draw(layer.co) if layer.bias else none
    out = layer.draw(layer.n, *layer.out, layer.co + layer.extra)
    want = np.einsum("abnhwi,oiab->nhwo", windows(x, layer.pad, layer.out), weight, optimize=True)
    scale = np.sqrt((want**2).mean() / ((np.clip(want, *layer.bounds) ** 2).mean() + 1e-30))
    want = want + (bias if layer.bias else 0)
    want = want + (out[..., : layer.co].astype(np.float64) if layer.add else 0)
    want = np.clip(want, *layer.bounds)
    rows = winograd_sum_rows(layer.m, layer.n, layer.ci, layer.co, *layer.out)
    sums, rest = np.zeros((rows, 2 * layer.co + 1), out.dtype), out[..., layer.co :].copy()
    flat = out.reshape(-1)
    convolve(layer, layer.geometry, weight, 0, flat, lazy, bias, layer.bounds, sums.reshape(-1))
    got = out[..., : layer.co]
    same(layer, got, want, scale * 2)
    assert np.array_equal(out[..., layer.co :], rest)
    check_sums(sums.astype(np.float64), got.astype(np.float64).reshape(-1, layer.co))


def check_sums(sums, values):
    """Rows of sums, squared deviations and counts, combined, are those of all values."""
    c = values.shape[1]
    counts = sums[:, -1:]
    assert counts.sum() == len(values)
    mean = sums[:, :c].sum(0) / len(values)
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-6 * abs(values).max())
    between = (counts * (sums[:, :c] / counts - mean) ** 2).sum(0)
    squares = sums[:, c : 2 * c].sum(0) + between
    np.testing.assert_allclose(
        squares, ((values - mean) ** 2).sum(0), rtol=1e-4, atol=1e-5 * (values**2).sum()
    )


def check_backward(layer):
    lazy, dy = lazy_tensor(layer, layer.co, layer.out)
    weight = layer.draw(layer.co, layer.ci, 3, 3)
    out = layer.draw(layer.n, *layer.size, layer.ci + layer.extra)
    before = out[..., : layer.ci].astype(np.float64) if layer.add else 0
    pad = (2 - layer.pad[0], 2 - layer.pad[1])
    turned = weight[:, :, ::-1, ::-1]
    want = np.einsum("abnhwo,oiab->nhwi", windows(dy, pad, layer.size), turned, optimize=True)
    geometry = {
        **layer.geometry, "ci": layer.co, "co": layer.ci, "p1": pad[0], "p2": pad[1],
        "i1": layer.out[0], "i2": layer.out[1], "o1": layer.size[0], "o2": layer.size[1],
    }  # fmt: skip
    none, all = np.zeros(0, out.dtype), (-np.inf, np.inf)
    convolve(layer, geometry, weight, 1, out.reshape(-1), lazy, none, all, none)
    same(layer, out[..., : layer.ci], want + before)


def weight_gradient(layer, x, y, out, bias):
    """Run both kernels of the gradient by the weights, and by the bias if there is one."""
    geometry = {name: layer.geometry[name] for name in ("m", "n", "ci", "co", "o1", "o2")}
    parts = np.full(winograd_parts_size(**geometry), np.nan, out.dtype)
    sizes = {**layer.geometry, "add": layer.add, "dbias": bias, "parts": parts}
    layer.run(winograd_weight, **sizes, **x, **y, out=out)
    layer.run(winograd_weight_sum, **sizes, out=out)


def check_weight(layer):
    x, made_x = lazy_tensor(layer, layer.ci, layer.size)
    y, made_y = lazy_tensor(layer, layer.co, layer.out, "y")
    out = layer.draw(layer.co * layer.ci * 9)
    bias = layer.draw(layer.co if layer.bias else 0)
    before, bias_before = [a.astype(np.float64) if layer.add else 0 for a in (out, bias)]
    met = windows(made_x, layer.pad, layer.out)
    want = np.einsum("abnhwi,nhwo->oiab", met, made_y, optimize=True).ravel()
    scale = 1 + np.sqrt(layer.n * layer.out[0] * layer.out[1]) / 16
    weight_gradient(layer, x, y, out, bias)
    same(layer, out, want + before, scale)
    if layer.bias:
        most = abs(made_y).sum((0, 1, 2)).max()
        assert abs(bias - made_y.sum((0, 1, 2)) - bias_before).max() < BOUNDS[layer.real, 2] * most


CHECKS = {"forward": check_forward, "backward": check_backward, "weight": check_weight}
quiet = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow], database=None
)


@pytest.mark.parametrize("way", CHECKS)
@quiet
@given(layer=layers())
def test_any_layer(way, layer):
    CHECKS[way](layer)


@pytest.mark.slow
@pytest.mark.parametrize("way", CHECKS)
@settings(quiet, max_examples=400)
@given(layer=layers())
def test_many_layers(way, layer):
    CHECKS[way](layer)


@pytest.mark.parametrize("way", CHECKS)
@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(
    "sizes",
    [
        {"n": 40, "ci": 16, "co": 16, "size": (32, 32)},  # several blocks, several chunks
        {"n": 9, "ci": 300, "co": 270, "size": (32, 32)},  # a long sum in a single chunk
        {"n": 2, "ci": 200, "co": 300, "size": (4, 4)},  # several shares, several parts
        {"n": 1, "ci": 1, "co": 1, "size": (1, 80), "pad": (2, 0)},  # an axis of one
        {"n": 1, "ci": 2, "co": 2, "size": (3, 3), "pad": (0, 0)},  # a single output
    ],
    ids=lambda sizes: "x".join(map(str, (sizes["n"], sizes["ci"], sizes["co"], *sizes["size"]))),
)
def test_large_and_small(way, m, sizes):
    CHECKS[way](Layer(m=m, **sizes))


@pytest.mark.parametrize("m", [2, 4])
def test_threads_change_no_bit(m):
    outcomes = []
    for threads in (1, 2, 3):
        layer = Layer(m=m, n=7, ci=20, co=40, size=(21, 19), threads=threads)
        x, _ = lazy_tensor(layer, layer.ci, layer.size)
        y, _ = lazy_tensor(layer, layer.co, layer.out, "y")
        gradient = np.zeros(layer.co * layer.ci * 9, np.float32)
        bias = np.zeros(layer.co, np.float32)
        weight_gradient(layer, x, y, gradient, bias)
        outcomes.append(gradient.tobytes() + bias.tobytes())
    assert len(set(outcomes)) == 1


@pytest.mark.parametrize(
    ("channels", "size", "best"),
    [
        ((64, 64), 32, 4),
        ((256, 256), 4, 2),  # few tiles: the forms of the weights are much of the work
        ((3, 64), 32, 0),  # few channels: all goes into the form
        ((512, 512), 2, 0),  # tiles that are mostly outside of the picture
    ],
)
def test_where_it_pays(channels, size, best):
    axes = {f"{name}{axis}": 1 for name in "iokds" for axis in range(3)} | {"groups": 1, "p0": 0}
    for axis in "12":
        axes |= {f"i{axis}": size, f"o{axis}": size, f"k{axis}": 3, f"p{axis}": 1}
    geometry = {"n": COUNT, "ci": channels[0], "co": channels[1], **axes}
    assert winograd_tile(geometry, 4) == best
    assert winograd_tile(geometry, 2) == min(best, 2)
    assert winograd_tile(geometry, 0) == 0
