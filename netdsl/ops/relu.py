"""Rectified linear unit."""

from __future__ import annotations

from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Relu(Layer, name="relu"):
    """``y = max(x, 0)`` (Nair and Hinton 2010); a NaN stays one."""

    view = staticmethod(flat)
    examples = (("relu", "2x3"), ("relu", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(Relu)
def y(x):
    return real(0) if x <= 0 else x


@elementwise(Relu)
def dx(dy, y):
    return real(0) if y <= 0 else dy
