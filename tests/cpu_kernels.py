"""What the tests of the CPU's kernels share: kernels, tensors with gaps, lazy tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from netdsl.backends.cpu.build import build

NOTHING = np.zeros(0, np.float32)
built = cache(build)


def run(body: Any, **operands: Any) -> None:
    """Run a kernel; arrays are written where they lie, whatever their shape."""
    flat = {n: v.reshape(-1) if isinstance(v, np.ndarray) else v for n, v in operands.items()}
    built(body)(**flat)


def gaps(array: np.ndarray, step: int) -> np.ndarray:
    """The same tensor, channels last, with ``step`` numbers from position to position."""
    whole = np.full((*array.shape[:-1], step), np.nan, np.float32)
    whole[..., : array.shape[-1]] = array
    return whole


@dataclass(frozen=True)
class Lazy:
    """A tensor of positions and channels that is made while it is read, and what it is then."""

    x: np.ndarray
    ref: np.ndarray
    coef: np.ndarray
    lo: float
    hi: float
    value: np.ndarray


def lazy(
    rng: np.random.Generator, count: int, c: int, form: str, lo: float = -0.5, hi: float = 1.0
) -> Lazy:
    """Random ``plain``, ``forward``, ``passed`` or ``backward`` forms of `backends.cpu.lazy`."""
    x, ref = rng.standard_normal((2, count, c)).astype(np.float32)
    coef = rng.standard_normal((5, c)).astype(np.float32)
    # Where the bounds are, float32 and float64 may differ: nothing lies there.
    ref = np.round(ref, 1) + np.float32(0.05)
    coef[:2] = np.round(coef[:2])
    a, b, d, e, f = coef.astype(np.float64)
    if form == "plain":
        return Lazy(x, NOTHING, NOTHING, lo, hi, x)
    if form == "forward":
        return Lazy(x, NOTHING, coef, lo, hi, np.clip(a * x + b, lo, hi))
    if form == "passed":
        return Lazy(x, ref, NOTHING, lo, hi, np.where((lo < ref) & (ref < hi), x, 0))
    at = (coef[0] * ref + coef[1]).astype(np.float32)
    g = np.where((lo < at) & (at < hi), x, 0)
    return Lazy(x, ref, coef, lo, hi, d * g + e * ref + f)
