"""Batch normalisation on the CPU against its formulas in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_kernels import NOTHING, built, gaps, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.norm import (
    norm_backward,
    norm_backward_sums,
    norm_rows,
    norm_running,
    norm_statistics,
    norm_sums,
)

EPS = 1e-3
shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3)),
    st.tuples(st.integers(1, 300), st.sampled_from([16, 64, 100, 300, 520]), st.integers(0, 1)),
    st.tuples(st.integers(4000, 40000), st.integers(1, 5), st.integers(0, 1)),
)


def statistics(
    x: np.ndarray, c: int, weight: np.ndarray, bias: np.ndarray
) -> dict[str, np.ndarray]:
    """Run the forward kernels over positions and channels, of which the first ``c`` count."""
    count, step = x.shape
    rows = norm_rows(count, c)
    sums = np.full((rows, 2 * c + 1), np.nan, np.float32)
    run(norm_sums, sums=sums, x=x, count=count, c=c, x_step=step)
    found = {name: np.full(c, np.nan, np.float32) for name in ("mean", "var")}
    found |= {f"running_{name}": np.full(c, 0.5, np.float32) for name in ("mean", "var")}
    found["coef"] = np.full((5, c), np.nan, np.float32)
    numbers = {"rows": rows, "c": c, "eps": EPS, "momentum": 0.25}
    run(norm_statistics, sums=sums, weight=weight, bias=bias, **found, **numbers)
    return found


def check(shape: tuple[int, int, int], seed: int, affine: bool, add: int) -> None:
    count, c, gap = shape
    rng = np.random.default_rng(seed)
    x = (
        rng.standard_normal((count, c)) * rng.uniform(0.5, 2, c) + 5 * rng.standard_normal(c)
    ).astype(np.float32)
    dy = rng.standard_normal((count, c)).astype(np.float32)
    weight, bias, dweight, dbias = rng.uniform(-2, 2, (4, c)).astype(np.float32)
    if not affine:
        weight = bias = dweight = dbias = NOTHING
    found = statistics(gaps(x, c + gap), c, weight, bias)
    mean, var = x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)
    np.testing.assert_allclose(found["mean"], mean, rtol=3e-6, atol=1e-6)
    np.testing.assert_allclose(found["var"], var, rtol=3e-6, atol=1e-9)
    old, new = 0.5, (mean, var * count / max(count - 1, 1))
    for name, value in zip(("running_mean", "running_var"), new, strict=True):
        wanted = old + 0.25 * (value - old) if count > 1 else np.full(c, old)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)
    scale = (weight if affine else 1.0) / np.sqrt(var + EPS)
    np.testing.assert_allclose(found["coef"][0], scale, rtol=1e-5)
    shift = (bias if affine else 0.0) - mean * scale
    np.testing.assert_allclose(found["coef"][1], shift, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(found["coef"][2:].T, np.broadcast_to((1, 0, 0), (c, 3)))

    coef = found["coef"]
    at = (coef[0].astype(np.float64) * x + coef[1]).astype(np.float32)
    g = np.where((at > -0.5) & (at < 1.5), dy, 0).astype(np.float64)
    sums = np.full((norm_rows(count, c), 2, c), np.nan, np.float32)
    run(
        norm_backward_sums, sums=sums, dy=gaps(dy, c + 2 * gap), x=gaps(x, c + gap), coef=coef,
        mean=found["mean"], count=count, c=c, y_step=c + 2 * gap, x_step=c + gap, lo=-0.5, hi=1.5,
    )  # fmt: skip
    before = dweight.copy(), dbias.copy()
    run(
        norm_backward, coef=coef, dweight=dweight, dbias=dbias, sums=sums, mean=found["mean"],
        var=found["var"], weight=weight, rows=norm_rows(count, c), count=count, c=c,
        eps=EPS, add=add,
    )  # fmt: skip
    normal = (x - mean) / np.sqrt(var + EPS)
    close = {"rtol": 1e-4, "atol": 2e-6 * count + 1e-4}
    if affine:
        np.testing.assert_allclose(dweight, (g * normal).sum(0) + add * before[0], **close)
        np.testing.assert_allclose(dbias, g.sum(0) + add * before[1], **close)
    dx = scale * (g - g.mean(0) - normal * (g * normal).mean(0))
    made = coef[2] * g + coef[3] * x.astype(np.float64) + coef[4]
    np.testing.assert_allclose(made, dx, rtol=1e-4, atol=2e-5 * (1 + abs(scale).max()))


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 99), st.booleans(), st.integers(0, 1))
def test_norm(shape: tuple[int, int, int], seed: int, affine: bool, add: int) -> None:
    check(shape, seed, affine, add)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(shapes, st.integers(0, 9999), st.booleans(), st.integers(0, 1))
def test_norm_of_many(shape: tuple[int, int, int], seed: int, affine: bool, add: int) -> None:
    check(shape, seed, affine, add)


def test_sums_of_many_values_are_exact() -> None:
    # One serial sum of 200,000 such values is off in the third digit.
    x = (1000 + np.random.default_rng(0).standard_normal((200_000, 3))).astype(np.float32)
    found = statistics(x, 3, NOTHING, NOTHING)
    np.testing.assert_allclose(found["mean"], x.mean(0, dtype=np.float64), rtol=2e-7)
    np.testing.assert_allclose(found["var"], x.var(0, dtype=np.float64), rtol=1e-5)


def test_threads_change_no_bit() -> None:
    x = np.random.default_rng(0).standard_normal(30_000 * 7).astype(np.float32)
    sums = np.zeros((2, norm_rows(30_000, 7) * 15), np.float32)
    for threads in (1, 3):
        operands = {"sums": sums[threads // 2], "x": x, "count": 30_000, "c": 7, "x_step": 7}
        built(norm_sums)(threads, **operands)
    assert sums[0].tobytes() == sums[1].tobytes()


@pytest.mark.parametrize("c", [3, 16, 37])
def test_running_statistics(c: int) -> None:
    mean, var, weight, bias = np.random.default_rng(c).uniform(0.1, 2, (4, c)).astype(np.float32)
    coef = np.zeros((5, c), np.float32)
    given = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    run(norm_running, coef=coef, **given, c=c, eps=EPS)
    scale = weight / np.sqrt(var + EPS)
    np.testing.assert_allclose(coef[:2], [scale, bias - mean * scale], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("c", [5, 64])
def test_agrees_with_torch(c: int) -> None:
    torch = pytest.importorskip("torch")
    x, dy = np.random.default_rng(c).standard_normal((2, 900, c)).astype(np.float32)
    weight, bias = np.random.default_rng(c).uniform(0.5, 2, (2, c)).astype(np.float32)
    found = statistics(x, c, weight, bias)
    sums = np.zeros(norm_rows(900, c) * 2 * c, np.float32)
    rest = {"mean": found["mean"], "coef": found["coef"], "count": 900, "c": c}
    steps = {"y_step": c, "x_step": c, "lo": 0.0, "hi": np.inf}
    run(norm_backward_sums, sums=sums, dy=dy, x=x, **rest, **steps)
    numbers = {"rows": norm_rows(900, c), "eps": EPS, "add": 0, "weight": weight}
    made = {"dweight": np.zeros(c, np.float32), "dbias": np.zeros(c, np.float32)}
    run(norm_backward, sums=sums, var=found["var"], **rest, **numbers, **made)
    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, weight, bias)]
    running = torch.full((c,), 0.5, dtype=torch.float64), torch.full((c,), 0.5, dtype=torch.float64)
    normal = torch.nn.functional.batch_norm(leaves[0], *running, *leaves[1:], True, 0.25, EPS)
    torch.relu(normal).backward(torch.tensor(dy, dtype=torch.float64))
    a, b, d, e, f = found["coef"]
    g = np.where(a * x + b > 0, dy, 0)
    ours = [d * g + e * x + f, made["dweight"], made["dbias"]]
    for one, other in zip(ours, leaves, strict=True):
        np.testing.assert_allclose(one, other.grad.numpy(), rtol=1e-4, atol=1e-4)
    for name, value in zip(("running_mean", "running_var"), running, strict=True):
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-5)
