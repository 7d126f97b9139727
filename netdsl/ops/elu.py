"""Exponential linear unit."""

from __future__ import annotations

import math
from typing import Any

from netdsl.arguments import NonNegative
from netdsl.kernel import elementwise, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, flat


class Elu(Layer, name="elu"):
    """``y = x`` above 0, ``y = alpha * (exp(x) - 1)`` below (Clevert et al. 2015).

    - ``alpha``: how far below 0 it may go
    """

    alpha: NonNegative = 1.0

    view = staticmethod(flat)
    examples = (("elu", "2x3"), ("elu(0.5)", "1x2x3"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"alpha": self.alpha}


@elementwise(Elu)
def y(x, *, alpha):
    return x if x > 0 else real(alpha) * (math.exp(x) - real(1))


@elementwise(Elu)
def dx(dy, y, *, alpha):
    return dy if y > 0 else dy * (y + real(alpha))
