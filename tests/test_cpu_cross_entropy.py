"""Cross-entropy on the CPU against softmax in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_kernels import gaps, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.cross_entropy import cross_entropy_backward, cross_entropy_forward


def check(data: st.DataObject) -> None:
    n, positions = data.draw(st.integers(1, 40)), data.draw(st.sampled_from([1, 1, 2, 7, 16, 35]))
    c, planes = data.draw(st.integers(2, 40) | st.just(300)), data.draw(st.integers(0, 1))
    smoothing, scale = data.draw(st.sampled_from([0.0, 0.1])), data.draw(st.sampled_from([1, 0.4]))
    more = 0 if planes else data.draw(st.sampled_from([0, 3]))
    rng = np.random.default_rng(0)
    spread = data.draw(st.sampled_from([1, 30, 200]))
    x = (spread * rng.standard_normal((n, positions, c))).astype(np.float32)
    target = rng.integers(0, c, (n, positions), dtype=np.int32)

    def lying(array: np.ndarray) -> np.ndarray:
        return array.transpose(0, 2, 1).copy() if planes else gaps(array, c + more)

    each, log_sum = np.full((2, n, positions), np.nan, np.float32)
    out = lying(np.full(x.shape, np.nan, np.float32))
    told = {
        "x": lying(x), "target": target, "n": n, "c": c, "positions": positions, "planes": planes,
        "step": c + more, "smoothing": smoothing,
    }  # fmt: skip
    run(cross_entropy_forward, out=each, log_sum=log_sum, **told)
    run(cross_entropy_backward, out=out, log_sum=log_sum, x_step=c + more, scale=scale, **told)
    exact = x.astype(float)
    top = exact.max(-1)
    logs = top + np.log(np.exp(exact - top[..., None]).sum(-1))
    wanted = np.full(x.shape, smoothing / c)
    np.add.at(wanted, (*np.indices(target.shape), target), 1 - smoothing)
    losses = (wanted * (logs[..., None] - exact)).sum(-1)
    np.testing.assert_allclose(log_sum, logs, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(each, losses, rtol=1e-5, atol=2e-6 * (1 + np.abs(logs).max()))
    slope = (np.exp(exact - logs[..., None]) - wanted) * scale / (n * positions)
    found = out.transpose(0, 2, 1) if planes else out[..., :c]
    bound = 1e-6 * (1 + np.abs(logs).max()) * scale / (n * positions)
    np.testing.assert_allclose(found, slope, rtol=0, atol=bound)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_cross_entropy(data: st.DataObject) -> None:
    check(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_cross_entropy_long(data: st.DataObject) -> None:
    check(data)


def test_a_nan_among_the_scores_is_a_nan_of_the_loss() -> None:
    x = np.zeros((3, 4), np.float32)
    x[1, 2] = np.nan
    each, log_sum = np.zeros((2, 3), np.float32)
    target = np.zeros(3, np.int32)
    told = {"n": 3, "c": 4, "positions": 1, "planes": 0, "step": 4, "smoothing": 0.0}
    run(cross_entropy_forward, out=each, log_sum=log_sum, x=x, target=target, **told)
    assert np.isnan(each).tolist() == [False, True, False]
