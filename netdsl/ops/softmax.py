"""Softmax over the channels."""

from __future__ import annotations

import math

from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import SAME, Sights
from netdsl.tensor import Tensor, by_channel


class Softmax(Layer, name="softmax"):
    """``y[c] = exp(x[c]) / sum over channels of exp(x)``, at every position (Bridle 1990).

    The largest is subtracted first, so that no exponential overflows.
    """

    view = staticmethod(by_channel)
    examples = (("softmax", "4"), ("softmax", "3x2"), ("softmax", "2x2x2"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def sees(self, x: Tensor) -> Sights | None:
        return (SAME,) * len(x.spatial) or None

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return dict.fromkeys(("largest", "total", "sum_dy_y"), Tensor((1, *x.spatial)))

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        one = xs[0].channels == 1
        return (
            ("softmax over a single channel is 1 whatever enters; is it sigmoid?",) if one else ()
        )


@kernel(Softmax)
def largest(n, _, s, /, x):
    best = x[n, 0, s]
    for c in range(1, x.shape[1]):
        best = max(best, x[n, c, s])
    return best


@kernel(Softmax)
def total(n, _, s, /, x, largest):
    acc = real(0)
    for c in range(x.shape[1]):
        acc += math.exp(x[n, c, s] - largest[n, 0, s])
    return acc


@kernel(Softmax)
def y(n, c, s, /, x, largest, total):
    return math.exp(x[n, c, s] - largest[n, 0, s]) / total[n, 0, s]


@kernel(Softmax)
def sum_dy_y(n, _, s, /, dy, y):
    acc = real(0)
    for c in range(y.shape[1]):
        acc += dy[n, c, s] * y[n, c, s]
    return acc


@kernel(Softmax)
def dx(n, c, s, /, dy, y, sum_dy_y):
    return y[n, c, s] * (dy[n, c, s] - sum_dy_y[n, 0, s])
