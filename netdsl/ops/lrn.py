"""Local response normalisation."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Count, NonNegative, Positive
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import SAME, Sights
from netdsl.tensor import Tensor, by_channel


class LocalResponseNorm(Layer, name="lrn"):
    """``y[c] = x[c] / (k + alpha / size * sum of x^2 over size channels around c) ^ beta``.

    Krizhevsky et al. 2012.

    - ``size``: how many neighbouring channels count
    - ``alpha``: how much their squares count; it is divided by the size, as in Caffe and PyTorch
    - ``beta``: the power of the divisor
    - ``k``: keeps the divisor from 0
    """

    size: Count = 5
    alpha: NonNegative = 1e-4
    beta: NonNegative = 0.75
    k: Positive = 1.0

    view = staticmethod(by_channel)
    synonyms = {"local_size": "size", "n": "size", "bias": "k"}
    examples = (("lrn", "7x2"), ("lrn(3, alpha=0.5, beta=0.5, k=2)", "5x2x2"), ("lrn(4)", "6x1"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def sees(self, x: Tensor) -> Sights | None:
        return (SAME,) * len(x.spatial) or None

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"scale": x}

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {
            "before": self.size // 2,
            "after": (self.size - 1) // 2,
            "alpha": self.alpha / self.size,
            "beta": self.beta,
            "k": self.k,
        }


@kernel(LocalResponseNorm)
def scale(n, c, s, /, x, *, before, after, alpha, k):
    acc = real(0)
    for i in range(max(0, c - before), min(x.shape[1], c + after + 1)):
        acc += x[n, i, s] * x[n, i, s]
    return real(k) + real(alpha) * acc


@kernel(LocalResponseNorm)
def y(n, c, s, /, x, scale, *, beta):
    return x[n, c, s] * scale[n, c, s] ** real(-beta)


@kernel(LocalResponseNorm)
def dx(n, c, s, /, dy, x, y, scale, *, before, after, alpha, beta):
    # The channels whose window holds c: those from c - after to c + before.
    acc = real(0)
    for i in range(max(0, c - after), min(x.shape[1], c + before + 1)):
        acc += dy[n, i, s] * y[n, i, s] / scale[n, i, s]
    direct = dy[n, c, s] * scale[n, c, s] ** real(-beta)
    return direct - real(2) * real(alpha) * real(beta) * x[n, c, s] * acc
