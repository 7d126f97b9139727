"""Hyperbolic tangent."""

from __future__ import annotations

import math

from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Tanh(Layer, name="tanh"):
    """``y = tanh(x)`` (LeCun et al. 1998, without their scaling)."""

    view = staticmethod(flat)
    examples = (("tanh", "2x3"), ("tanh", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(Tanh)
def y(x):
    return math.tanh(x)


@elementwise(Tanh)
def dx(dy, y):
    return dy * (real(1) - y * y)
