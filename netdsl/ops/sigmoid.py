"""Logistic sigmoid."""

from __future__ import annotations

import math

from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Sigmoid(Layer, name="sigmoid"):
    """``y = 1 / (1 + exp(-x))``, written so that no exponential overflows."""

    view = staticmethod(flat)
    examples = (("sigmoid", "2x3"), ("sigmoid", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(Sigmoid)
def y(x):
    small = math.exp(-abs(x))
    return (real(1) if x >= 0 else small) / (real(1) + small)


@elementwise(Sigmoid)
def dx(dy, y):
    return dy * y * (real(1) - y)
