"""Leaky rectified linear unit."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class LeakyRelu(Layer, name="leaky_relu"):
    """``y = x if x > 0 else slope * x`` (Maas et al. 2013).

    - ``slope``: the slope below 0
    """

    slope: NonNegative = 0.01

    view = staticmethod(flat)
    synonyms = {"negative_slope": "slope", "alpha": "slope"}
    examples = (("leaky_relu", "2x3"), ("leaky_relu(0.2)", "7"), ("leaky_relu(0)", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(LeakyRelu)
def y(x, *, slope):
    return x if x > 0 else real(slope) * x


@elementwise(LeakyRelu)
def dx(dy, y, *, slope):
    return dy if y > 0 else real(slope) * dy
