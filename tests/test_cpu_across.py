"""Kernels that lay images across the lanes, against plain sums in double precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.across import from_across, to_across
from netdsl.backends.cpu.across_backward import across_backward
from netdsl.backends.cpu.across_forward import across_forward
from netdsl.backends.cpu.across_gradient import AVERAGE, MAXIMUM, across_pool_backward
from netdsl.backends.cpu.across_plan import across_parts, sixth_form_size
from netdsl.backends.cpu.across_pool import across_pool
from netdsl.backends.cpu.across_six import across_six_pack, across_six_sum
from netdsl.backends.cpu.across_weight import across_weight_sum
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
    pool: int

    @property
    def outputs_at_once(self) -> int:
        """How many there are with six products, where these can do it and are to."""
        can = 3 <= self.k[2] <= 5 and self.s[2] == self.d[2] == 1
        return 7 - self.k[2] if can and self.co % 3 else 0

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
    bounds, pool = draw(st.sampled_from(CLAMPS)), draw(st.sampled_from((0, AVERAGE, MAXIMUM)))
    return Case(n, ci, co, i, o, k, s, p, d, act, bounds, given, pool)


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
    return np.full(-(-n // LANES) * LANES * c * int(np.prod(sizes)), np.nan, np.float32)


def back(x: np.ndarray, n: int, c: int, sizes: tuple[int, ...]) -> np.ndarray:
    """The logical order from across images."""
    whole = x.reshape(-1, c * int(np.prod(sizes)), LANES).transpose(0, 2, 1)
    return whole.reshape(-1, c, *sizes)[:n]


class Pool:
    """A pool behind a convolution, whose windows are drawn from its other numbers; or none."""

    def __init__(self, case: Case) -> None:
        self.kind, self.sizes = case.pool, case.o
        names = dict.fromkeys("okspdfe", (0, 0, 0))
        if self.kind:
            wide = tuple(min(2 + case.n % 2, o) for o in case.o)
            alike = replace(case, i=case.o, k=wide, d=(1, 1, 1))
            self.layer, o = pool_of(alike, self.kind == MAXIMUM)
            self.numbers = self.layer.numbers(Tensor((case.co, *case.o)))
            self.by = {kernel.makes: kernel for kernel in self.layer.kernels}
            names = pool_names(self.numbers, wide, o)
            self.sizes = o
        self.geometry = {f"q{n}{axis}": v[axis] for n, v in names.items() for axis in range(3)}

    def forward(self, y: np.ndarray, index: np.ndarray) -> np.ndarray:
        """What it makes of the activations; ``index`` gets the winners."""
        tensors = {"x": y.astype(np.float64)}
        if self.kind == MAXIMUM:
            index[...] = tensors["where"] = evaluate(
                self.by["where"], index.shape, tensors, self.numbers
            )
        return evaluate(self.by["y"], index.shape, tensors, self.numbers)

    def backward(self, y: np.ndarray, index: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """The gradient by the activations."""
        if not self.kind:
            return dy.astype(np.float64)
        tensors = {"x": y.astype(np.float64), "dy": dy.astype(np.float64), "where": index}
        return evaluate(self.by["dx"], y.shape, tensors, self.numbers)


def pool_names(numbers: Any, k: tuple[int, ...], o: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The geometry of a pool, by the letters of its names."""
    names = {"o": o, "k": k, "s": numbers["stride"], "p": numbers["pad"]}
    rest = {"d": "dilation", "f": "first", "e": "end"}
    for name, long in rest.items():
        names[name] = numbers.get(long, (1, 1, 1))
    return names


def check_forward(
    case: Case, pool: Pool, x: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> Any:
    """The outputs, which are right, the pooled ones and their winners."""
    n, co = case.n, case.co
    y, m = np.zeros((n, co, *case.o)), case.outputs_at_once
    for tap, seen in case.taps(case.padded(x)):
        y += np.einsum("ncxyz,oc->noxyz", seen, weight[(slice(None), slice(None), *tap)])
    if case.given:
        y += bias[:, None, None, None]
    out, form = empty(n, co, case.o), weight
    pooled = empty(n, co, pool.sizes) if pool.kind else NOTHING
    index = empty(n, co, pool.sizes) if pool.kind == MAXIMUM else NOTHING
    if m:
        numbers = {name: case.geometry[name] for name in ("k0", "k1")} | case.channels
        form = np.full(sixth_form_size(**numbers), np.nan, np.float32)
        run(across_six_pack, out=form, weight=weight, **numbers, k2=case.k[2])
    run(
        across_forward, out=out, pooled=pooled, index=index, x=across(x, 3), weight=form,
        bias=bias if case.given else NOTHING, m=m, **case.geometry, **case.channels,
        out_lo=case.bounds[0], out_hi=case.bounds[1], act=case.act,
        maximum=int(pool.kind == MAXIMUM), **pool.geometry,
    )  # fmt: skip
    assert np.isfinite(out).all()
    made = back(out, n, co, case.o)
    np.testing.assert_allclose(made, case.activated(y), **CLOSE)
    winners = np.zeros((n, co, *pool.sizes))
    if pool.kind:
        wanted = pool.forward(made, winners)
        np.testing.assert_allclose(back(pooled, n, co, pool.sizes), wanted, **CLOSE)
    if pool.kind == MAXIMUM:
        np.testing.assert_array_equal(back(index, n, co, pool.sizes), winners)
    return form, made, winners


def check_convolution(case: Case) -> None:
    rng = np.random.default_rng(case.n + 10 * case.co)
    n, ci, co, m = case.n, case.ci, case.co, case.outputs_at_once
    pool = Pool(case)
    x, dy = real(rng, n, ci, *case.i), real(rng, n, co, *pool.sizes)
    weight, bias = real(rng, co, ci, *case.k), real(rng, co)
    form, y, winners = check_forward(case, pool, x, weight, bias)

    inner = pool.backward(y, winners, dy) * case.slope(y)
    dx, dw = case.padded(np.zeros_like(x)), np.zeros(weight.shape)
    for (tap, seen), (_, into) in zip(case.taps(case.padded(x)), case.taps(dx), strict=True):
        at = (slice(None), slice(None), *tap)
        dw[at] = np.einsum("ncxyz,noxyz->oc", seen, inner)
        into += np.einsum("noxyz,oc->ncxyz", inner, weight[at])
    numbers = case.geometry | case.channels
    windows = {name: numbers[name] for name in ("n", "ci", "co", "k0", "k1", "k2")}
    parts = np.full(across_parts(**windows, m=m), np.nan, np.float32)
    wanted = NOTHING if case.n % 5 == 0 else empty(n, ci, case.i)
    run(
        across_backward, parts=parts, dx=wanted, dy=across(dy, 3), x=across(x, 3), weight=form,
        index=across(winners, 0) if pool.kind == MAXIMUM else NOTHING,
        y=across(y, 0) if case.given else NOTHING, m=m, **numbers, pooled=pool.kind,
        back=int(wanted.size > 0), y_lo=case.bounds[0], y_hi=case.bounds[1], act=case.act,
        **pool.geometry,
    )  # fmt: skip
    if wanted.size:
        judge = case.inside(dx)
        np.testing.assert_allclose(back(wanted, n, ci, case.i), judge, rtol=1e-4, atol=1e-3)
    old, old_bias = real(rng, *weight.shape), real(rng, co)
    out, dbias = old.copy(), old_bias.copy() if case.given else NOTHING
    total = across_six_sum if m else across_weight_sum
    run(total, out=out, dbias=dbias, parts=parts, **windows, add=case.act)
    np.testing.assert_allclose(out, dw + case.act * old, rtol=1e-4, atol=2e-3)
    if case.given:
        np.testing.assert_allclose(
            dbias, inner.sum((0, 2, 3, 4)) + case.act * old_bias, rtol=1e-4, atol=2e-3
        )


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
    case = replace(case, ci=c, co=c, i=grown)
    layer, o = pool_of(case, maximum)
    dims = Tensor((c, *case.i))
    numbers, by = layer.numbers(dims), {kernel.makes: kernel for kernel in layer.kernels}
    names = pool_names(numbers, case.k, o)
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

    out = empty(n, c, case.i)
    run(across_pool_backward, out=out, index=index, dy=across(dy, 0), **geometry)
    wanted = evaluate(by["dx"], (n, c, *case.i), tensors, numbers)
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


@pytest.mark.parametrize("k", [3, 4, 5])
def test_six_products_round_little(k: int) -> None:
    rng = np.random.default_rng(k)
    x, weight = real(rng, LANES, 6, 14, 14), real(rng, 16, 6, k, k)
    sizes = {"i": (1, 14, 14), "o": (1, 15 - k, 15 - k), "k": (1, k, k)}
    numbers = dict.fromkeys("sd", (1, 1, 1)) | {"p": (0, 0, 0)} | sizes
    case = Case(
        LANES, 6, 16, *(numbers[name] for name in "ioksp"), (1, 1, 1), 0, CLAMPS[0], False, 0
    )
    assert case.outputs_at_once == 7 - k
    exact = sum(
        np.einsum("ncxyz,oc->noxyz", seen, weight[:, :, None][(slice(None), slice(None), *tap)])
        for tap, seen in case.taps(x[:, :, None].astype(np.float64))
    )
    _, y, _ = check_forward(case, Pool(case), x[:, :, None], weight[:, :, None], NOTHING)
    assert np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2)) < 6e-7


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
