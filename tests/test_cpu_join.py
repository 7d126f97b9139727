"""Joins of branches, tensors that are written after all and layouts, on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_kernels import NOTHING, gaps, lazy, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.join import combine, join_backward, materialise
from netdsl.backends.cpu.layout import to_first, to_last
from netdsl.backends.cpu.norm import norm_rows

shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 300), st.sampled_from([16, 64, 100, 300, 520])),
    st.tuples(st.integers(3000, 20000), st.integers(1, 5)),
)
three = st.tuples(*3 * [st.integers(0, 3)])
four = st.tuples(*4 * [st.integers(0, 3)])
forms = st.sampled_from(["plain", "forward", "passed", "backward"])
branch = st.sampled_from(["plain", "forward"])


def parts(array: np.ndarray, step: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    """What is in a tensor with gaps, and what is in the gaps."""
    whole = array.reshape(-1, step)
    return whole[:, :c], whole[:, c:]


def stepped(array: np.ndarray, step: int) -> np.ndarray:
    return gaps(array, step) if array.size else array


def check_combine(shape: tuple[int, int], more: tuple[int, ...], kinds: tuple[str, str]) -> None:
    (count, c), rng = shape, np.random.default_rng(sum(more))
    a, b = (lazy(rng, count, c, kind) for kind in kinds)
    step, a_step, b_step = (c + gap for gap in more)
    out = np.full((count, step), np.nan, np.float32)
    run(
        combine, out=out, a=gaps(a.x, a_step), a_coef=a.coef, b=gaps(b.x, b_step), b_coef=b.coef,
        count=count, c=c, step=step, a_step=a_step, b_step=b_step, a_lo=a.lo, a_hi=a.hi,
        b_lo=b.lo, b_hi=b.hi, lo=0.0, hi=1.5,
    )  # fmt: skip
    made, between = parts(out, step, c)
    wanted = np.clip(a.value.astype(np.float64) + b.value, 0, 1.5)
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)
    assert np.isnan(between).all()


def check_materialise(shape: tuple[int, int], more: tuple[int, ...], form: str, add: int) -> None:
    (count, c), rng = shape, np.random.default_rng(sum(more))
    x, (step, x_step, ref_step) = lazy(rng, count, c, form), (c + gap for gap in more)
    old = rng.standard_normal((count, c)).astype(np.float32)
    out = gaps(old, step)
    run(
        materialise, out=out, x=gaps(x.x, x_step), ref=stepped(x.ref, ref_step), coef=x.coef,
        count=count, c=c, step=step, x_step=x_step, ref_step=ref_step, lo=x.lo, hi=x.hi, add=add,
    )  # fmt: skip
    made, between = parts(out, step, c)
    np.testing.assert_allclose(made, x.value + add * old, rtol=1e-5, atol=1e-5)
    assert np.isnan(between).all()


def check_backward(
    shape: tuple[int, int], more: tuple[int, ...], refers: bool, place: bool
) -> None:
    (count, c), rng = shape, np.random.default_rng(sum(more))
    step, y_step, ref_step, x_step = (c + gap for gap in more)
    dy, ref, x = rng.standard_normal((3, count, c)).astype(np.float32)
    coef = np.round(rng.standard_normal((5, c))).astype(np.float32)
    x, mean = np.round(x, 1) + np.float32(0.05), rng.standard_normal(c).astype(np.float32)
    given, sums = gaps(dy, y_step), np.full((norm_rows(count, c), 2, c), np.nan, np.float32)
    out, step = (given, y_step) if place else (np.full((count, step), np.nan, np.float32), step)
    run(
        join_backward, out=out, sums=sums, dy=given, x=gaps(x, x_step),
        ref=stepped(ref if refers else NOTHING, ref_step), coef=coef, mean=mean, count=count, c=c,
        step=step, y_step=y_step, ref_step=ref_step, x_step=x_step, lo=0.0, hi=np.inf,
        x_lo=-1.0, x_hi=np.inf,
    )  # fmt: skip
    wanted = np.where(ref > 0, dy, 0) if refers else dy
    made, between = parts(out, step, c)
    np.testing.assert_array_equal(made, wanted)
    assert np.isnan(between).all()
    g = np.where(coef[0] * x + coef[1] > -1, wanted, 0).astype(np.float64)
    off = x.astype(np.float64) - mean
    both = [g.sum(0), (g * off).sum(0)]
    np.testing.assert_allclose(
        sums.sum(0, dtype=np.float64), both, rtol=1e-4, atol=1e-6 * count + 1e-4
    )


@settings(deadline=None, max_examples=30)
@given(shapes, three, st.tuples(branch, branch))
def test_combine(shape: tuple[int, int], more: tuple[int, ...], kinds: tuple[str, str]) -> None:
    check_combine(shape, more, kinds)


@settings(deadline=None, max_examples=30)
@given(shapes, three, forms, st.integers(0, 1))
def test_materialise(shape: tuple[int, int], more: tuple[int, ...], form: str, add: int) -> None:
    check_materialise(shape, more, form, add)


@settings(deadline=None, max_examples=30)
@given(shapes, four, st.booleans(), st.booleans())
def test_backward(shape: tuple[int, int], more: tuple[int, ...], refers: bool, place: bool) -> None:
    check_backward(shape, more, refers, place)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(shapes, four, st.tuples(branch, branch), forms, st.booleans(), st.booleans())
def test_joins_of_many_shapes(
    shape: tuple[int, int], more: tuple[int, ...], kinds: tuple[str, str], form: str, one: bool,
    other: bool,
) -> None:  # fmt: skip
    check_combine(shape, more[:3], kinds)
    check_materialise(shape, more[:3], form, int(one))
    check_backward(shape, more, one, other)


def test_combine_in_place_keeps_nan_and_the_sign_of_zero() -> None:
    a = np.array([np.nan, -0.0, np.inf, -np.inf], np.float32)
    b = np.array([1.0, -0.0, 1.0, 1.0], np.float32)
    steps = {"count": 4, "c": 1, "step": 1, "a_step": 1, "b_step": 1}
    bounds = dict.fromkeys(("a_lo", "b_lo", "lo"), -np.inf) | dict.fromkeys(
        ("a_hi", "b_hi", "hi"), np.inf
    )
    run(combine, out=a, a=a, a_coef=NOTHING, b=b, b_coef=NOTHING, **steps, **bounds)
    np.testing.assert_array_equal(a, [np.nan, -0.0, np.inf, -np.inf])
    assert np.signbit(a[1])


pictures = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 700)),
    st.tuples(st.just(2), st.sampled_from([1, 3, 4, 64]), st.sampled_from([1, 49, 1000, 3136])),
)


def check_layouts(shape: tuple[int, int, int], gap: int, add: int) -> None:
    n, c, positions = shape
    rng = np.random.default_rng(gap)
    x, old = rng.standard_normal((2, n, c, positions)).astype(np.float32)
    numbers = {"n": n, "c": c, "positions": positions, "add": add}
    out = gaps(old.transpose(0, 2, 1), c + gap)
    run(to_last, out=out, x=x, step=c + gap, **numbers)
    made, between = parts(out, c + gap, c)
    wanted = x + old if add else x
    np.testing.assert_array_equal(made.reshape(n, positions, c), wanted.transpose(0, 2, 1))
    assert np.isnan(between).all()
    back = old.copy()
    run(to_first, out=back, x=gaps(x.transpose(0, 2, 1), c + gap), x_step=c + gap, **numbers)
    np.testing.assert_array_equal(back, wanted)


@settings(deadline=None, max_examples=30)
@given(pictures, st.integers(0, 3), st.integers(0, 1))
def test_layouts(shape: tuple[int, int, int], gap: int, add: int) -> None:
    check_layouts(shape, gap, add)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(pictures, st.integers(0, 3), st.integers(0, 1))
def test_layouts_of_many_shapes(shape: tuple[int, int, int], gap: int, add: int) -> None:
    check_layouts(shape, gap, add)
