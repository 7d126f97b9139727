"""Gaussian error linear unit."""

from __future__ import annotations

import math

from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Gelu(Layer, name="gelu"):
    """``y = x * (1 + erf(x / sqrt(2))) / 2`` (Hendrycks and Gimpel 2016), the exact form."""

    view = staticmethod(flat)
    examples = (("gelu", "2x3"), ("gelu", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x


@elementwise(Gelu)
def y(x):
    return x * real(0.5) * (real(1) + math.erf(x * real(0.7071067811865476)))


@elementwise(Gelu)
def dx(dy, x):
    share = real(0.5) * (real(1) + math.erf(x * real(0.7071067811865476)))
    density = math.exp(-x * x * real(0.5)) * real(0.3989422804014327)
    return dy * (share + x * density)
