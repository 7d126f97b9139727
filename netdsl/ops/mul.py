"""Elementwise product of several inputs."""

from __future__ import annotations

from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, agree, flat


class Mul(Layer, name="mul"):
    """``y = x0 * x1 * ...``: gates (Srivastava et al. 2015, "Highway networks")."""

    view = staticmethod(flat)
    join = True
    examples = (("mul", "2x3", "2x3"), ("mul", "4", "4", "4"), ("mul", "2"))

    def shape(self, *xs: Tensor) -> Tensor:
        return agree("mul", xs)


@kernel(Mul)
def y(e, /, *xs):
    product = real(1)
    for x in xs:
        product *= x[e]
    return product


@kernel(Mul)
def dx(e, /, dy, *xs, which):
    product = dy[e]
    for other in range(len(xs)):
        if other != which:
            product *= xs[other][e]
    return product
