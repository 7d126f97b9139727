"""Pooling on the CPU against the generic kernels, over windows that nobody chose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, gaps, lazy, run
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.pool_average import average_pool, average_pool_backward
from netdsl.backends.cpu.pool_global import (
    global_average,
    global_average_backward,
    global_max,
    global_max_backward,
)
from netdsl.backends.cpu.pool_max import max_pool, max_pool_backward
from netdsl.errors import Problem
from netdsl.interpret import evaluate
from netdsl.ops.avgpool import AvgPool
from netdsl.ops.global_avgpool import GlobalAvgPool
from netdsl.ops.global_maxpool import GlobalMaxPool
from netdsl.ops.maxpool import MaxPool
from netdsl.tensor import Tensor

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@st.composite
def pools(draw: st.DrawFn) -> tuple[MaxPool | AvgPool, tuple[int, ...]]:
    """A layer and its input, without images."""
    rank = draw(st.integers(1, 3))
    small = 9 if rank < 3 else 4

    def sizes(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    window = sizes(1, 4)
    numbers = {"stride": sizes(1, 4), "pad": sizes(0, 2), "ceil": draw(st.booleans())}
    if draw(st.booleans()):
        layer = MaxPool(window, **numbers, dilation=sizes(1, 2))
    else:
        layer = AvgPool(window, **numbers, count_pad=draw(st.booleans()))
    dims = (draw(st.sampled_from([1, 3, 5, 16, 19])), *sizes(1, small))
    try:
        assume(np.prod(layer.shape(Tensor(dims)).dims) > 0)
    except Problem:
        assume(False)
    return layer, dims


def three(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes with axes of 1 before them, as kernels count."""
    return (*(3 - len(dims)) * (1,), *dims)


def last(array: np.ndarray) -> np.ndarray:
    """Images and channels first, as positions and channels."""
    return np.moveaxis(array, 1, -1).reshape(-1, array.shape[1])


def first(array: np.ndarray, n: int, sizes: tuple[int, ...]) -> np.ndarray:
    """Positions and channels as the generic kernels see them."""
    return np.moveaxis(array.reshape(n, *sizes, -1), -1, 1)


def kernels(layer: Any) -> dict[str, Any]:
    return {kernel.makes: kernel for kernel in layer.kernels}


def check(
    layer: MaxPool | AvgPool,
    dims: tuple[int, ...],
    n: int,
    forms: tuple[str, str],
    gap: int,
    add: int,
) -> None:
    c, rng = dims[0], np.random.default_rng(gap + 7 * n)
    numbers = layer.numbers(Tensor(dims))
    sizes, outs = three(dims[1:]), three(layer.shape(Tensor(dims)).dims[1:])
    x = lazy(rng, n * int(np.prod(sizes)), c, forms[0])
    dy = lazy(rng, n * int(np.prod(outs)), c, forms[1])
    geometry = {"n": n, "c": c}
    names = {
        "i": sizes,
        "o": outs,
        "k": numbers["window"],
        "s": numbers["stride"],
        "p": numbers["pad"],
    }
    if isinstance(layer, MaxPool):
        names["d"] = numbers["dilation"]
    else:
        names |= {"f": numbers["first"], "e": numbers["end"]}
    geometry |= {f"{name}{axis}": v[axis] for name, v in names.items() for axis in range(3)}

    exact, by = first(x.value, n, sizes), kernels(layer)
    tensors = {"x": exact, "dy": first(dy.value, n, outs)}
    index = np.full((n * int(np.prod(outs)), c), np.nan, np.float32)
    if isinstance(layer, MaxPool):
        tensors["where"] = evaluate(by["where"], (n, c, *outs), tensors, numbers)
    out = np.full((len(index), c + gap), np.nan, np.float32)
    given = {"index": index} if isinstance(layer, MaxPool) else {}
    steps = {"step": c + gap, "x_step": c + 2 * gap, "lo": x.lo, "hi": x.hi}
    forward = max_pool if isinstance(layer, MaxPool) else average_pool
    run(forward, out=out, x=gaps(x.x, c + 2 * gap), coef=x.coef, **given, **geometry, **steps)
    wanted = evaluate(by["y"], (n, c, *outs), tensors, numbers)
    np.testing.assert_allclose(out[:, :c], last(wanted), **CLOSE)
    assert np.isnan(out[:, c:]).all()
    if isinstance(layer, MaxPool):
        np.testing.assert_array_equal(index, last(tensors["where"]))

    old = rng.standard_normal((n * int(np.prod(sizes)), c)).astype(np.float32)
    out = gaps(old, c + gap)
    ref = gaps(dy.ref, c + gap) if dy.ref.size else NOTHING
    steps = {"step": c + gap, "y_step": c + 2 * gap, "y_ref_step": c + gap, "add": add}
    backward = max_pool_backward if isinstance(layer, MaxPool) else average_pool_backward
    run(
        backward, out=out, y=gaps(dy.x, c + 2 * gap), y_ref=ref, y_coef=dy.coef,
        y_lo=dy.lo, y_hi=dy.hi, **given, **geometry, **steps,
    )  # fmt: skip
    wanted = last(evaluate(by["dx"], (n, c, *sizes), tensors, numbers)) + add * old
    np.testing.assert_allclose(out[:, :c], wanted, **CLOSE)
    assert np.isnan(out[:, c:]).all()


forms = st.tuples(
    st.sampled_from(["plain", "forward"]),
    st.sampled_from(["plain", "forward", "passed", "backward"]),
)


@settings(deadline=None, max_examples=40)
@given(pools(), st.integers(1, 3), forms, st.integers(0, 2), st.integers(0, 1))
def test_pools(pool: Any, n: int, forms: tuple[str, str], gap: int, add: int) -> None:
    check(*pool, n, forms, gap, add)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(pools(), st.integers(1, 3), forms, st.integers(0, 2), st.integers(0, 1))
def test_pools_of_many_shapes(
    pool: Any, n: int, forms: tuple[str, str], gap: int, add: int
) -> None:
    check(*pool, n, forms, gap, add)


@pytest.mark.parametrize("layer", [MaxPool(3, stride=2, pad=1), AvgPool((3, 2), stride=(2, 1))])
def test_pools_over_bands(layer: MaxPool | AvgPool) -> None:
    check(layer, (20, 35, 6), 2, ("forward", "backward"), 1, 1)


def test_the_first_of_equal_ones_and_nan_win() -> None:
    x = np.array([1, 1, np.nan, 5, -np.inf, -np.inf, 2, np.nan], np.float32)
    out, index = np.zeros((2, 4), np.float32)
    sizes = {"i0": 1, "i1": 1, "i2": 8, "o0": 1, "o1": 1, "o2": 4, "k0": 1, "k1": 1, "k2": 2}
    rest = {f"{name}{axis}": int(name != "p") for name in "spd" for axis in range(3)} | {"s2": 2}
    run(
        max_pool, out=out, index=index, x=x, coef=NOTHING, n=1, c=1, **sizes, **rest, step=1,
        x_step=1, lo=0.0, hi=0.0,
    )  # fmt: skip
    np.testing.assert_array_equal(out, [1, np.nan, -np.inf, np.nan])
    np.testing.assert_array_equal(index, [0, 0, 0, 1])


def check_global(n: int, c: int, positions: int, form: str, gap: int, add: int) -> None:
    rng = np.random.default_rng(gap)
    x = lazy(rng, n * positions, c, form)
    dy = rng.standard_normal((n, c)).astype(np.float32)
    old = rng.standard_normal((n * positions, c)).astype(np.float32)
    shape = {"n": n, "c": c, "positions": positions}
    read = {"x": gaps(x.x, c + gap), "coef": x.coef, "x_step": c + gap, "lo": x.lo, "hi": x.hi}
    for layer, body, back in (
        (GlobalAvgPool(), global_average, global_average_backward),
        (GlobalMaxPool(), global_max, global_max_backward),
    ):
        by, spread = kernels(layer), (n, c, 1, 1, positions)
        tensors = {"x": first(x.value, n, (positions,)), "dy": dy[..., None]}
        index, out = np.zeros((n, c), np.float32), np.zeros((n, c), np.float32)
        given, numbers = {}, {}
        if body is global_max:
            tensors["where"] = evaluate(by["where"], (n, c, 1), tensors, {})
            given, spread = {"index": index}, (n, c, positions)
        else:
            numbers = {"positions": positions}
            tensors = {"x": tensors["x"][:, :, None, None], "dy": dy}
        run(body, out=out, **read, **given, **shape)
        size = (n, c, 1) if body is global_max else (n, c)
        wanted = evaluate(by["y"], size, tensors, numbers).reshape(n, c)
        np.testing.assert_allclose(out, wanted, **CLOSE)
        made = gaps(old, c + gap)
        run(back, out=made, dy=dy, step=c + gap, add=add, **given, **shape)
        wanted = evaluate(by["dx"], spread, tensors, numbers).reshape(n, c, positions)
        np.testing.assert_allclose(made[:, :c], last(wanted) + add * old, **CLOSE)
        assert np.isnan(made[:, c:]).all()


globals_ = (
    st.integers(1, 3), st.sampled_from([1, 3, 16, 19, 70]), st.integers(1, 70),
    st.sampled_from(["plain", "forward"]), st.integers(0, 2), st.integers(0, 1),
)  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(*globals_)
def test_global_pools(n: int, c: int, positions: int, form: str, gap: int, add: int) -> None:
    check_global(n, c, positions, form, gap, add)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(*globals_)
def test_many_global_pools(n: int, c: int, positions: int, form: str, gap: int, add: int) -> None:
    check_global(n, c, positions, form, gap, add)
