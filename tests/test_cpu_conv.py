"""Convolutions on the CPU against sums over taps in float64, over shapes that nobody chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, Lazy, gaps, lazy, run
from hypothesis import given, settings
from hypothesis import strategies as st

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
from netdsl.backends.cpu.machine import LANES

Triple = tuple[int, int, int]
FORMS = ("plain", "forward", "passed", "backward")


@dataclass(frozen=True)
class Shape:
    """A convolution and its input."""

    n: int
    ci: int
    co: int
    groups: int
    i: Triple
    k: Triple
    s: Triple
    p: Triple
    d: Triple

    @property
    def o(self) -> Triple:
        """The sizes of the output."""
        return tuple(  # type: ignore[return-value]
            (i + 2 * p - d * (k - 1) - 1) // s + 1
            for i, k, s, p, d in zip(self.i, self.k, self.s, self.p, self.d, strict=True)
        )

    @property
    def numbers(self) -> dict[str, int]:
        """The geometry as kernels are told it."""
        axes = {f"{name}{a}": getattr(self, name)[a] for name in "iokspd" for a in range(3)}
        return {"n": self.n, "ci": self.ci, "co": self.co, "groups": self.groups, **axes}

    def some(self, *names: str) -> dict[str, int]:
        """A part of the geometry; a letter stands for its three axes."""
        return {k: v for k, v in self.numbers.items() if k in names or k[0] in names}


@st.composite
def shapes(draw: st.DrawFn, depthwise: bool = False) -> Shape:
    """Shapes of all kinds: many small pictures, few large ones, volumes, groups."""
    volume = draw(st.integers(0, 4)) == 0

    def three(least: int, most: int, flat: int) -> Triple:
        depth = draw(st.integers(least, most)) if volume else flat
        return depth, draw(st.integers(least, most)), draw(st.integers(least, most))

    channels = st.sampled_from([1, 3, 5, 16, 20, 33, 70])
    groups = draw(channels) if depthwise else draw(st.sampled_from([1, 1, 1, 2, 3]))
    ci = groups * (1 if depthwise else draw(channels))
    co = groups * (draw(st.integers(1, 3)) if depthwise else draw(channels))
    n = draw(st.integers(1, 3) if volume else st.sampled_from([1, 2, 3, 7, 9, 16]))
    i = three(1, 5 if volume else draw(st.sampled_from([4, 9, 19])), 1)
    k, d, s = three(1, 4, 1), three(1, 2, 1), three(1, 3, 1)
    # A window must fit into the picture with its zeros.
    p = tuple(
        max(draw(st.integers(0, 2)) if a or volume else 0, -(-(d[a] * (k[a] - 1) + 1 - i[a]) // 2))
        for a in range(3)
    )
    return Shape(n, ci, co, groups, i, k, s, p, d)  # type: ignore[arg-type]


def taps(shape: Shape, padded: np.ndarray) -> Any:
    """For every tap what the windows see there, as a view."""
    for tap in np.ndindex(shape.k):
        at = [
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, shape.d, shape.o, shape.s, strict=True)
        ]
        yield tap, padded[:, at[0], at[1], at[2]]


def parts(shape: Shape) -> Any:
    """The channels of every group."""
    inner, outer = shape.ci // shape.groups, shape.co // shape.groups
    for g in range(shape.groups):
        yield slice(g * inner, (g + 1) * inner), slice(g * outer, (g + 1) * outer)


def around(shape: Shape) -> tuple[Any, ...]:
    """The zeros around a picture, and enough of them behind it."""
    return ((0, 0), *((p, p + s) for p, s in zip(shape.p, shape.s, strict=True)), (0, 0))


def convolution(shape: Shape, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    padded = np.pad(x, around(shape))
    y = np.zeros((shape.n, *shape.o, shape.co))
    for tap, seen in taps(shape, padded):
        for a, b in parts(shape):
            y[..., b] += seen[..., a] @ weight[(b, slice(None), *tap)].T
    return y


def by_input(shape: Shape, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    padded = np.pad(np.zeros((shape.n, *shape.i, shape.ci)), around(shape))
    for tap, seen in taps(shape, padded):
        for a, b in parts(shape):
            seen[..., a] += dy[..., b] @ weight[(b, slice(None), *tap)]
    inside = [slice(p, p + i) for p, i in zip(shape.p, shape.i, strict=True)]
    return padded[:, inside[0], inside[1], inside[2]]


def close(found: np.ndarray, wanted: np.ndarray, rate: float = 2e-5) -> None:
    assert found.shape == wanted.shape
    wrong = np.abs(found - wanted).max()
    assert wrong <= rate * max(1, np.abs(wanted).max())


def packed(shape: Shape, weight: np.ndarray, depthwise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights as the kernels want them, forward and backward."""
    known = shape.some("ci", "co", "groups", "k")
    if depthwise:
        names = shape.some("ci", "co", "k")
        both = np.full((2, depthwise_size(LANES, **names)), np.nan, np.float32)
        run(pack_depthwise, out=both[0], weight=weight, **shape.some("co", "k"))
        run(pack_depthwise_back, out=both[1], weight=weight, **names)
        return both[0], both[1]
    turned = {**known, "ci": shape.co, "co": shape.ci}
    one = np.full(packed_size(LANES, **known), np.nan, np.float32)
    two = np.full(packed_size(LANES, **turned), np.nan, np.float32)
    run(pack_forward, out=one, weight=weight, **known)
    run(pack_backward, out=two, weight=weight, **known, **shape.some("s", "p", "d"))
    return one, two


def check(
    shape: Shape, forms: tuple[str, str], gap: int, add: int, rich: bool, depthwise: bool = False
) -> None:
    rng = np.random.default_rng(gap + 7 * shape.n)
    weight = rng.standard_normal((shape.co, shape.ci // shape.groups, *shape.k)).astype(np.float32)
    weight /= np.sqrt(weight[0].size, dtype=np.float32)
    one, two = packed(shape, weight, depthwise)
    check_forward(shape, rng, weight, one, forms[0], gap, add, rich, depthwise)
    check_backward(shape, rng, weight, two, forms[1], gap, add, depthwise)


def reads(made: Lazy, name: str, step: int) -> dict[str, Any]:
    """A lazy tensor as operands."""
    x, before = ("x", "") if name == "x" else (name, f"{name}_")
    ref = gaps(made.ref, step + 1) if made.ref.size else NOTHING
    arrays = {x: gaps(made.x, step), f"{before}ref": ref, f"{before}coef": made.coef}
    steps = {f"{x}_step": step, f"{before}ref_step": step + 1}
    return {**arrays, **steps, f"{before}lo": made.lo, f"{before}hi": made.hi}


def geometry(shape: Shape, depthwise: bool) -> dict[str, int]:
    return {k: v for k, v in shape.numbers.items() if not (depthwise and k == "groups")}


def check_forward(
    shape: Shape, rng: Any, weight: Any, panels: Any, form: str, gap: int, add: int, rich: bool,
    depthwise: bool,
) -> None:  # fmt: skip
    x = lazy(rng, shape.n * int(np.prod(shape.i)), shape.ci, form)
    count = shape.n * int(np.prod(shape.o))
    old = rng.standard_normal((count, shape.co)).astype(np.float32)
    bias = rng.standard_normal(shape.co).astype(np.float32) if rich else NOTHING
    rows = depthwise_rows if depthwise else conv_rows
    asked = {k: shape.numbers[k] for k in rows.__annotations__ if k != "return"}
    sums = np.full((rows(**asked), 2 * shape.co + 1) if rich else 0, np.nan, np.float32)
    bounds = (-1.0, 2.0) if rich else (-np.inf, np.inf)
    body = depthwise_forward if depthwise else conv_forward
    found = []
    for threads in (1, 2):
        out = gaps(old, shape.co + gap)
        run(
            body, out=out, weight=panels, bias=bias, sums=sums, **reads(x, "x", shape.ci + gap),
            **geometry(shape, depthwise), step=shape.co + gap, add=add,
            out_lo=bounds[0], out_hi=bounds[1], threads=threads,
        )  # fmt: skip
        found.append((out, sums.copy()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    wanted = convolution(shape, x.value.reshape(shape.n, *shape.i, -1).astype(float), weight)
    wanted = wanted.reshape(count, -1) + add * old + (bias if rich else 0)
    close(out[:, : shape.co], np.clip(wanted, *bounds))
    assert np.isnan(out[:, shape.co :]).all()
    if rich:
        check_sums(sums, out[:, : shape.co].astype(float))


def check_sums(sums: np.ndarray, out: np.ndarray) -> None:
    """Means and deviations of blocks make those of the whole."""
    c = out.shape[1]
    total, spread, count = sums[:, :c], sums[:, c:-1], sums[:, -1:]
    assert count.sum() == len(out)
    mean = out.mean(0)
    close(total.sum(0) / len(out), mean)
    between = np.divide(total, count, where=count > 0, out=np.zeros_like(total)) - mean
    close((spread + count * between**2).sum(0) / len(out), out.var(0))


def check_backward(
    shape: Shape, rng: Any, weight: Any, panels: Any, form: str, gap: int, add: int,
    depthwise: bool,
) -> None:  # fmt: skip
    dy = lazy(rng, shape.n * int(np.prod(shape.o)), shape.co, form)
    old = rng.standard_normal((shape.n * int(np.prod(shape.i)), shape.ci)).astype(np.float32)
    found = []
    for threads in (1, 2):
        out = gaps(old, shape.ci + gap)
        run(
            depthwise_backward if depthwise else conv_backward, out=out, weight=panels,
            **reads(dy, "y", shape.co + gap), **geometry(shape, depthwise),
            step=shape.ci + gap, add=add, threads=threads,
        )  # fmt: skip
        found.append(out)
    np.testing.assert_array_equal(*found)
    wanted = by_input(shape, dy.value.reshape(shape.n, *shape.o, -1).astype(float), weight)
    close(out[:, : shape.ci], wanted.reshape(len(old), -1) + add * old)
    assert np.isnan(out[:, shape.ci :]).all()


forms = st.tuples(st.sampled_from(FORMS), st.sampled_from(FORMS))


@settings(deadline=None, max_examples=40)
@given(shapes(), forms, st.integers(0, 2), st.integers(0, 1), st.booleans())
def test_convolutions(shape: Shape, forms: Any, gap: int, add: int, rich: bool) -> None:
    check(shape, forms, gap, add, rich)


@settings(deadline=None, max_examples=30)
@given(shapes(depthwise=True), forms, st.integers(0, 2), st.integers(0, 1), st.booleans())
def test_depthwise(shape: Shape, forms: Any, gap: int, add: int, rich: bool) -> None:
    check(shape, forms, gap, add, rich, depthwise=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=500)
@given(shapes(), forms, st.integers(0, 2), st.integers(0, 1), st.booleans())
def test_convolutions_of_many_shapes(
    shape: Shape, forms: Any, gap: int, add: int, rich: bool
) -> None:
    check(shape, forms, gap, add, rich)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(shapes(depthwise=True), forms, st.integers(0, 2), st.integers(0, 1), st.booleans())
def test_depthwise_of_many_shapes(shape: Shape, forms: Any, gap: int, add: int, rich: bool) -> None:
    check(shape, forms, gap, add, rich, depthwise=True)


ONE, NONE = (1, 1, 1), (0, 0, 0)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(3, 300, 200, 1, (1, 9, 9), (1, 3, 3), ONE, (0, 1, 1), ONE),  # deep rows
        Shape(2, 1024, 70, 1, (1, 5, 5), (1, 1, 1), ONE, NONE, ONE),  # a matrix as it is
        Shape(1, 260, 40, 1, (1, 4, 4), (1, 3, 3), (1, 2, 2), (0, 1, 1), ONE),  # a deep matrix
        Shape(15, 40, 130, 1, (1, 6, 6), (1, 3, 3), ONE, (0, 1, 1), ONE),  # pictures
        Shape(16, 3, 20, 1, (1, 40, 40), (1, 7, 7), (1, 2, 2), (0, 3, 3), ONE),  # many blocks
    ],
)
def test_large_convolutions(shape: Shape) -> None:
    check(shape, ("forward", "backward"), 1, 0, True)


def test_large_depthwise() -> None:
    shape = Shape(2, 300, 300, 300, (1, 30, 30), (1, 3, 3), (1, 2, 2), (0, 1, 1), ONE)
    check(shape, ("forward", "backward"), 1, 0, True, depthwise=True)
