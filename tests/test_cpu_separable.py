"""Depthwise convolutions in one with their neighbours against sums in float64, for any shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, gaps, lazy, run
from hypothesis import given, settings
from hypothesis import strategies as st

import netdsl
from netdsl.backends.cpu import CPU
from netdsl.backends.cpu.conv_pack import pack_forward, packed_size
from netdsl.backends.cpu.depthwise import depthwise_size, pack_depthwise
from netdsl.backends.cpu.lower import lower
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.separable import separable_forward, separable_sum
from netdsl.backends.cpu.separable_plan import separable_numbers
from netdsl.backends.emit import emit_cached
from netdsl.backends.loader import load

Pair = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """``ci`` channels, of which the convolution before makes ``c`` and the one behind ``co``."""

    n: int
    ci: int
    c: int
    co: int
    i: Pair
    k: Pair
    s: Pair
    p: Pair
    d: Pair
    before: bool
    after: bool

    @property
    def o(self) -> Pair:
        """The sizes of the output."""
        axes = zip(self.i, self.k, self.s, self.p, self.d, strict=True)
        return tuple((i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, d in axes)  # type: ignore[return-value]

    @property
    def numbers(self) -> dict[str, int]:
        """The geometry as the kernels are told it."""
        axes = {f"{name}{a + 1}": getattr(self, name)[a] for name in "iokspd" for a in range(2)}
        flags = {"before": int(self.before), "after": int(self.after)}
        return {"n": self.n, "ci": self.ci, "c": self.c, "co": self.co, **axes, **flags}


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Shapes of all kinds."""

    def two(least: int, most: int) -> Pair:
        return draw(st.integers(least, most)), draw(st.integers(least, most))

    channels = st.sampled_from([1, 3, 16, 20, 33, 70])
    before, after = draw(st.booleans()), draw(st.booleans())
    ci, c = draw(channels), draw(st.sampled_from([1, 5, 16, 20, 64, 70, 130, 200]))
    i, k, d, s = two(1, draw(st.sampled_from([4, 9, 31]))), two(1, 4), two(1, 2), two(1, 3)
    # A window must fit into the picture with its zeros.
    p = tuple(
        max(draw(st.integers(0, 3)), -(-(dd * (kk - 1) + 1 - ii) // 2))
        for ii, kk, dd in zip(i, k, d, strict=True)
    )
    co = draw(channels) if after else c
    n = draw(st.sampled_from([1, 1, 2, 5]))
    return Shape(n, ci if before else c, c, co, i, k, s, p, d, before, after)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Layer:
    """A convolution with what follows it: weights as they are, and as the kernels want them."""

    weight: np.ndarray
    packed: np.ndarray
    bias: np.ndarray
    lo: float
    hi: float

    def settled(self, y: np.ndarray) -> np.ndarray:
        """Bias and activation."""
        return np.clip(y + self.bias if self.bias.size else y, self.lo, self.hi)


def layer(rng: Any, ci: int, co: int, k: Pair, rich: bool, depthwise: bool = False) -> Layer:
    """Random weights, and if it is ``rich`` all that can follow."""
    weight = rng.standard_normal((co, 1 if depthwise else ci, 1, *k)).astype(np.float32)
    weight /= np.sqrt(weight[0].size, dtype=np.float32)
    known = {"ci": ci, "co": co, "k0": 1, "k1": k[0], "k2": k[1]}
    if depthwise:
        packed = np.full(depthwise_size(LANES, **known), np.nan, np.float32)
        del known["ci"]
        run(pack_depthwise, out=packed, weight=weight, **known)
    else:
        packed = np.full(packed_size(LANES, groups=1, **known), np.nan, np.float32)
        run(pack_forward, out=packed, weight=weight, groups=1, **known)
    bias = rng.standard_normal(co).astype(np.float32) if rich else NOTHING
    return Layer(weight, packed, bias, *((-1.0, 2.0) if rich else (-np.inf, np.inf)))


def windows(shape: Shape, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The depthwise convolution, tap by tap."""
    around = [(p, p + s) for p, s in zip(shape.p, shape.s, strict=True)]
    padded = np.pad(x, ((0, 0), *around, (0, 0)))
    y = np.zeros((shape.n, *shape.o, shape.c))
    for a, b in np.ndindex(*shape.k):
        at = [
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip((a, b), shape.d, shape.o, shape.s, strict=True)
        ]
        y += padded[:, at[0], at[1]] * weight[:, 0, 0, a, b]
    return y


def operands(weight: str, name: str, bounds: str, made: Layer | None) -> dict[str, Any]:
    """A layer as operands, which may not be there."""
    known = made or Layer(NOTHING, NOTHING, NOTHING, -np.inf, np.inf)
    arrays = {weight: known.packed, name: known.bias}
    return {**arrays, f"{bounds}_lo": known.lo, f"{bounds}_hi": known.hi}


def check(shape: Shape, form: str, gap: int, rich: bool, added: str) -> None:
    rng = np.random.default_rng(gap + 7 * shape.n)
    x = lazy(rng, shape.n * int(np.prod(shape.i)), shape.ci, form)
    before = layer(rng, shape.ci, shape.c, (1, 1), rich) if shape.before else None
    own = layer(rng, shape.c, shape.c, shape.k, rich, depthwise=True)
    after = layer(rng, shape.c, shape.co, (1, 1), rich) if shape.after else None
    wanted = x.value.reshape(shape.n, *shape.i, -1).astype(float)
    wanted = before.settled(wanted @ before.weight[:, :, 0, 0, 0].T) if before else wanted
    wanted = own.settled(windows(shape, wanted, own.weight)).reshape(-1, shape.c)
    plus = rng.standard_normal((len(wanted), shape.co + 2)).astype(np.float32)
    if after:
        more = plus[:, : shape.co] if added else 0
        wanted = after.settled(wanted @ after.weight[:, :, 0, 0, 0].T + more)
    numbers = shape.numbers
    asked = {k: numbers[k] for k in separable_numbers.__annotations__ if k != "return"}
    parts = np.full((separable_numbers(**asked)["pieces"] - 1) * wanted.size, np.nan, np.float32)
    found = []
    for threads in (1, 2):
        out = gaps(plus[:, : shape.co], shape.co + gap)
        other, apart = (out, shape.co + gap) if added == "in place" else (plus, shape.co + 2)
        layers = (
            operands("wide", "wide_bias", "wide", before) | operands("weight", "bias", "own", own)
            | operands("slim", "slim_bias", "out", after)
        )  # fmt: skip
        known = {**numbers, **layers, "out": out, "parts": parts, "step": shape.co + gap}
        run(
            separable_forward, x=gaps(x.x, shape.ci + gap), coef=x.coef, x_step=shape.ci + gap,
            lo=x.lo, hi=x.hi, plus=other if added else NOTHING, plus_step=apart, threads=threads,
            **known,
        )  # fmt: skip
        run(separable_sum, threads=threads, **known)
        found.append(out)
    np.testing.assert_array_equal(*found)
    wrong = np.abs(out[:, : shape.co] - wanted).max()
    assert wrong <= 2e-5 * max(1, np.abs(wanted).max())
    assert np.isnan(out[:, shape.co :]).all()


drawn = (
    shapes(),
    st.sampled_from(["plain", "forward"]),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["", "beside", "in place"]),
)


@settings(deadline=None, max_examples=40)
@given(*drawn)
def test_separable(shape: Shape, form: str, gap: int, rich: bool, added: str) -> None:
    check(shape, form, gap, rich, added)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(*drawn)
def test_separable_of_many_shapes(
    shape: Shape, form: str, gap: int, rich: bool, added: str
) -> None:
    check(shape, form, gap, rich, added)


ONE, TWO = (1, 1), (2, 2)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(1, 16, 96, 24, (112, 112), (3, 3), TWO, ONE, ONE, True, True),  # strips
        Shape(1, 64, 384, 64, (14, 14), (3, 3), ONE, ONE, ONE, True, True),  # pieces in strips
        Shape(2, 32, 32, 16, (40, 300), (5, 5), ONE, TWO, ONE, False, True),  # long rows
    ],
)
def test_large_separable(shape: Shape) -> None:
    check(shape, "forward", 1, True, "beside")


INVERTED = """
net A {
  input x(3x12x12)
  conv(16, 3, pad=1, bias=false) -> bn -> relu6
  conv(16, 3, pad=1, groups=16, bias=false) -> bn -> relu6 -> conv(24, 1, bias=false) -> bn
  residual {
    conv(70, 1) -> bn -> relu6 -> conv(70, 3, pad=1, groups=70) -> bn -> relu6 -> conv(24, 1) -> bn
  }
  conv(40, 1) -> relu -> conv(40, 3, stride=2, pad=1, groups=40) -> relu -> global_maxpool
  dense(4)
}
"""
APART = """
net A {
  input x(3x12x12)
  conv(8, 1) -> tanh -> conv(8, 3, pad=1, groups=8) -> tanh
  residual { conv(8, 1) } -> conv(16, 3, groups=8) -> relu -> conv(4, 1) -> flatten -> dense(4)
}
"""


@pytest.mark.parametrize("text", [INVERTED, APART])
def test_networks_predict_the_same(text: str) -> None:
    net = netdsl.loads(text)
    engines = [
        load(emit_cached(net.schedule(), target, "A")).Model(seed=0, batch=3)
        for target in (CPU, replace(CPU, lower=lambda schedule, real: schedule))
    ]
    for n in (3, 1):
        x = np.random.default_rng(n).standard_normal((n, 3, 12, 12), dtype=np.float32)
        one, two = (engine.forward(x) for engine in engines)
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def kernels(text: str, part: str) -> list[str]:
    """The convolutions' kernels of a pass."""
    calls = getattr(lower(netdsl.loads(text).schedule(), "f4"), part)
    names = [call.kernel.makes for call in calls]
    return [
        n for n in names if n.startswith(("conv_f", "depthwise_f", "separable_f", "winograd_f"))
    ]


def test_what_is_made_in_one() -> None:
    assert kernels(INVERTED, "predict").count("separable_forward") == 3
    assert "depthwise_forward" not in kernels(INVERTED, "predict")
    assert "separable_forward" not in kernels(APART, "predict")
    assert "separable_forward" not in kernels(INVERTED, "train")
