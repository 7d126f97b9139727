"""Clipped rectified linear unit."""

from __future__ import annotations

from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Relu6(Layer, name="relu6"):
    """``y = min(max(x, 0), 6)`` (Krizhevsky 2010; MobileNet, Sandler et al. 2018)."""

    view = staticmethod(flat)
    examples = (("relu6", "2x3"), ("relu6", "20"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(Relu6)
def y(x):
    if x > 6:
        return real(6)
    return real(0) if x < 0 else x


@elementwise(Relu6)
def dx(dy, y):
    return dy if 0 < y < 6 else real(0)
