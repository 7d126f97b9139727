"""Kernels that lay images across the lanes, against plain sums in double precision."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.across import across_size, from_across, to_across
from netdsl.backends.cpu.across_conv import across_backward, across_forward
from netdsl.backends.cpu.across_pool import across_pool, across_pool_backward
from netdsl.backends.cpu.across_weight import across_parts, across_weight, across_weight_sum
from netdsl.backends.cpu.machine import LANES
from netdsl.interpret import evaluate
from netdsl.ops.avgpool import AvgPool
from netdsl.ops.maxpool import MaxPool
from netdsl.tensor import Tensor

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
CLAMPS = ((-np.inf, np.inf), (0, np.inf), (0, 6), (-0.5, 1))


@dataclass(frozen=True)
class Case:
    """Windows over images, and an activation."""

    n: int
    ci: int
    co: int
    i: tuple[int, ...]
    o: tuple[int, ...]
    k: tuple[int, ...]
    s: tuple[int, ...]
    p: tuple[int, ...]
    d: tuple[int, ...]
    act: int
    bounds: tuple[float, float]
    given: bool

    @property
    def geometry(self) -> dict[str, int]:
        """The numbers that kernels take."""
        by = {"i": self.i, "o": self.o, "k": self.k, "s": self.s, "p": self.p, "d": self.d}
        return {"n": self.n} | {f"{m}{axis}": v[axis] for m, v in by.items() for axis in range(3)}

    @property
    def channels(self) -> dict[str, int]:
        return {"ci": self.ci, "co": self.co}

    def taps(self, padded: np.ndarray) -> Any:
        """Every tap, and what it sees of a padded input: a view of the size of the output."""
        for tap in product(*map(range, self.k)):
            spans = zip(tap, self.d, self.s, self.o, strict=True)
            cut = [slice(a * d, a * d + (o - 1) * s + 1, s) for a, d, s, o in spans]
            yield tap, padded[:, :, cut[0], cut[1], cut[2]]

    def padded(self, x: np.ndarray, value: float = 0) -> np.ndarray:
        """An input with all padding that windows reach."""
        after = [
            max(0, (o - 1) * s + (k - 1) * d + 1 - p - i)
            for o, s, k, d, p, i in zip(self.o, self.s, self.k, self.d, self.p, self.i, strict=True)
        ]
        wide = [(0, 0), (0, 0), *zip(self.p, after, strict=True)]
        return np.pad(x.astype(np.float64), wide, constant_values=value)

    def inside(self, padded: np.ndarray) -> np.ndarray:
        """A padded input without its padding."""
        (a, b, c), (i, j, k) = self.p, self.i
        return padded[:, :, a : a + i, b : b + j, c : c + k]

    def activated(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x) if self.act else np.clip(x, *self.bounds)

    def slope(self, y: np.ndarray) -> np.ndarray:
        """The derivative of the activation, of what it gave."""
        if not self.given:
            return np.ones_like(y)
        y = y.astype(np.float64)
        return 1 - y * y if self.act else (self.bounds[0] < y) & (y < self.bounds[1])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rank = draw(st.integers(1, 3))

    def sizes(least: int, most: int, missing: int = 1) -> tuple[int, ...]:
        drawn = (draw(st.integers(least, most)) for _ in range(rank))
        return (*(3 - rank) * (missing,), *drawn)

    k, s, d = sizes(1, (7, 5, 3)[rank - 1]), sizes(1, 3), sizes(1, 2)
    p = tuple(draw(st.integers(0, (b - 1) * c)) for b, c in zip(k, d, strict=True))
    o = sizes(1, (13, 6, 3)[rank - 1])
    # Some of the padding before may be missing behind, and some of the input may be left over.
    i = tuple(
        max(
            1,
            (a - 1) * e
            + (b - 1) * c
            + 1
            - q
            - draw(st.integers(0, q))
            + draw(st.integers(0, e - 1)),
        )
        for a, b, c, q, e in zip(o, k, d, p, s, strict=True)
    )
    n = draw(st.integers(1, 2 * LANES + 1))
    ci, co = draw(st.integers(1, 7)), draw(st.integers(1, 17))
    act, given = draw(st.integers(0, 1)), draw(st.booleans())
    return Case(n, ci, co, i, o, k, s, p, d, act, draw(st.sampled_from(CLAMPS)), given)


def real(rng: np.random.Generator, *dims: int) -> np.ndarray:
    return rng.standard_normal(dims).astype(np.float32)


def across(x: np.ndarray, rest: float) -> np.ndarray:
    """A tensor across images; the images behind the last hold a number."""
    n, c, *sizes = x.shape
    positions = int(np.prod(sizes))
    whole = np.full((-(-n // LANES) * LANES, c * positions), rest, np.float32)
    whole[:n] = x.reshape(n, -1)
    return np.ascontiguousarray(whole.reshape(-1, LANES, c * positions).transpose(0, 2, 1))


def empty(n: int, c: int, sizes: tuple[int, ...]) -> np.ndarray:
    """Where a tensor across images goes."""
    return np.full(across_size(n, c, int(np.prod(sizes))), np.nan, np.float32)


def back(x: np.ndarray, n: int, c: int, sizes: tuple[int, ...]) -> np.ndarray:
    """The logical order from across images."""
    whole = x.reshape(-1, c * int(np.prod(sizes)), LANES).transpose(0, 2, 1)
    return whole.reshape(-1, c, *sizes)[:n]


def check_convolution(case: Case) -> None:
    rng = np.random.default_rng(case.n + 10 * case.co)
    n, ci, co = case.n, case.ci, case.co
    x, dy = real(rng, n, ci, *case.i), real(rng, n, co, *case.o)
    weight, bias = real(rng, co, ci, *case.k), real(rng, co)
    y = np.zeros((n, co, *case.o))
    dx, dw = case.padded(np.zeros_like(x)), np.zeros(weight.shape)
    for (tap, seen), (_, into) in zip(case.taps(case.padded(x)), case.taps(dx), strict=True):
        at = (slice(None), slice(None), *tap)
        y += np.einsum("ncxyz,oc->noxyz", seen, weight[at])
        dw[at] = np.einsum("ncxyz,noxyz->oc", seen, dy)
        into += np.einsum("noxyz,oc->ncxyz", dy, weight[at])

    out, geometry = empty(n, co, case.o), case.geometry | case.channels
    shift, steep = (bias, 1) if case.given else (NOTHING, 0)
    run(
        across_forward, out=out, x=across(x, 3), weight=weight, bias=shift, **geometry,
        out_lo=case.bounds[0], out_hi=case.bounds[1], act=case.act,
    )  # fmt: skip
    wanted = case.activated(y + steep * bias[:, None, None, None])
    np.testing.assert_allclose(back(out, n, co, case.o), wanted, **CLOSE)
    assert np.isfinite(out).all()

    # Bounds are met nowhere, where float32 and double would differ.
    made = np.round(real(rng, n, ci, *case.i), 1) + np.float32(0.05)
    out = empty(n, ci, case.i)
    run(
        across_backward, out=out, dy=across(dy, 3), weight=weight,
        y=across(made, 0) if case.given else NOTHING, **geometry,
        y_lo=case.bounds[0], y_hi=case.bounds[1], act=case.act,
    )  # fmt: skip
    wanted = case.inside(dx) * case.slope(made)
    np.testing.assert_allclose(back(out, n, ci, case.i), wanted, rtol=1e-4, atol=1e-3)

    windows = {name: geometry[name] for name in ("n", "ci", "co", "k0", "k1", "k2")}
    parts = np.full(across_parts(**windows), np.nan, np.float32)
    run(across_weight, parts=parts, x=across(x, 3), dy=across(dy, 7), **geometry)
    old, old_bias = real(rng, *weight.shape), real(rng, co)
    out, dbias = old.copy(), old_bias.copy() if case.given else NOTHING
    run(across_weight_sum, out=out, dbias=dbias, parts=parts, **windows, add=case.act)
    np.testing.assert_allclose(out, dw + case.act * old, rtol=1e-4, atol=2e-3)
    if case.given:
        wanted = dy.astype(np.float64).sum((0, 2, 3, 4)) + case.act * old_bias
        np.testing.assert_allclose(dbias, wanted, rtol=1e-4, atol=2e-3)


def pool_of(case: Case, maximum: bool) -> tuple[Any, tuple[int, ...]]:
    """The layer of a case, and the sizes of its output; padding is at most half of a window."""
    pad = tuple(min(p, k // 2) for p, k in zip(case.p, case.k, strict=True))
    numbers = {"stride": case.s, "pad": pad, "ceil": case.n % 2 == 0}
    if maximum:
        layer = MaxPool(case.k, **numbers, dilation=case.d)
    else:
        layer = AvgPool(case.k, **numbers, count_pad=case.ci % 2 == 0)
    return layer, layer.shape(Tensor((case.ci, *case.i))).dims[1:]


def check_pool(case: Case, maximum: bool) -> None:
    rng = np.random.default_rng(case.n)
    n, c = case.n, case.ci
    grown = tuple(i + k * d for i, k, d in zip(case.i, case.k, case.d, strict=True))
    case = Case(
        n,
        c,
        c,
        grown,
        *(getattr(case, name) for name in "okspd"),
        case.act,
        case.bounds,
        case.given,
    )
    layer, o = pool_of(case, maximum)
    dims = Tensor((c, *case.i))
    numbers, by = layer.numbers(dims), {kernel.makes: kernel for kernel in layer.kernels}
    names = {"o": o, "s": numbers["stride"], "p": numbers["pad"]}
    if maximum:
        names |= {"f": (0, 0, 0), "e": (0, 0, 0)}
    else:
        names |= {"f": numbers["first"], "e": numbers["end"], "d": (1, 1, 1)}
    own = {f"{name}{axis}": v[axis] for name, v in names.items() for axis in range(3)}
    geometry = case.geometry | own | {"c": c, "maximum": int(maximum)}

    x, dy = np.round(real(rng, n, c, *case.i), 1), real(rng, n, c, *o)
    tensors = {"x": x.astype(np.float64), "dy": dy.astype(np.float64)}
    index = empty(n, c, o) if maximum else NOTHING
    if maximum:
        tensors["where"] = evaluate(by["where"], (n, c, *o), tensors, numbers)
    out = empty(n, c, o)
    run(across_pool, out=out, index=index, x=across(x, 0), **geometry)
    wanted = evaluate(by["y"], (n, c, *o), tensors, numbers)
    np.testing.assert_allclose(back(out, n, c, o), wanted, **CLOSE)
    if maximum:
        np.testing.assert_array_equal(back(index, n, c, o), tensors["where"])

    made = np.round(real(rng, n, c, *case.i), 1) + np.float32(0.05)
    out = empty(n, c, case.i)
    run(
        across_pool_backward, out=out, index=index, dy=across(dy, 0),
        y=across(made, 0) if case.given else NOTHING, **geometry,
        y_lo=case.bounds[0], y_hi=case.bounds[1], act=case.act,
    )  # fmt: skip
    wanted = evaluate(by["dx"], (n, c, *case.i), tensors, numbers) * case.slope(made)
    np.testing.assert_allclose(back(out, n, c, case.i), wanted, **CLOSE)


@settings(deadline=None, max_examples=40)
@given(cases())
def test_convolutions(case: Case) -> None:
    check_convolution(case)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(cases())
def test_convolutions_of_many_shapes(case: Case) -> None:
    check_convolution(case)


@settings(deadline=None, max_examples=30)
@given(cases(), st.booleans())
def test_pools(case: Case, maximum: bool) -> None:
    check_pool(case, maximum)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(cases(), st.booleans())
def test_pools_of_many_shapes(case: Case, maximum: bool) -> None:
    check_pool(case, maximum)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 2 * LANES + 1), st.integers(1, 5), st.integers(1, 40), st.integers(0, 1))
def test_there_and_back(n: int, c: int, positions: int, add: int) -> None:
    rng = np.random.default_rng(n)
    x, old = real(rng, n, c, positions), real(rng, n, c, positions)
    out = empty(n, c, (positions,))
    run(to_across, out=out, x=x, n=n, c=c, positions=positions)
    np.testing.assert_array_equal(out.reshape(-1), across(x, 0).reshape(-1))
    logical = old.copy()
    run(from_across, out=logical, x=across(x, 9), n=n, c=c, positions=positions, add=add)
    np.testing.assert_array_equal(logical, x + add * old)
