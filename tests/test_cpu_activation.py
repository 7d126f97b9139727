"""Activations on the CPU against the functions that they are."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_kernels import run

from netdsl.backends.cpu.activation import sigmoid_forward, tanh_forward

ENDS = [
    -np.inf,
    -200.0,
    -87.0,
    -50.0,
    -8.0,
    -1e-30,
    -0.0,
    0.0,
    1e-30,
    8.0,
    50.0,
    200.0,
    np.inf,
    np.nan,
]
KNOWN = {
    tanh_forward: np.tanh,
    sigmoid_forward: lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("body", KNOWN)
@pytest.mark.parametrize("size", [14, 16384 + 37])
def test_is_the_function(body: object, size: int) -> None:
    x = np.random.default_rng(size).uniform(-30, 30, size).astype(np.float32)
    x[: len(ENDS)] = ENDS
    out = np.full(size, np.nan, np.float32)
    run(body, out=out, x=x, size=size, add=0)
    with np.errstate(over="ignore"):
        wanted = KNOWN[body](x.astype(np.float64))
    np.testing.assert_allclose(out, wanted, rtol=6e-7, atol=2e-38)
    run(body, out=out, x=x, size=size, add=1)
    np.testing.assert_allclose(out, 2 * wanted, rtol=6e-7, atol=4e-38)
