"""Elementwise maximum of several inputs."""

from __future__ import annotations

from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, agree, flat


class Max(Layer, name="max"):
    """``y = max(x0, x1, ...)``: maxout over branches (Goodfellow et al. 2013).

    Of equal ones the first gets the gradient. A NaN wins.
    """

    view = staticmethod(flat)
    join = True
    examples = (("max", "2x3", "2x3"), ("max", "4", "4", "4"), ("max", "2"))

    def shape(self, *xs: Tensor) -> Tensor:
        return agree("max", xs)


@kernel(Max)
def y(e, /, *xs):
    largest = xs[0][e]
    for x in xs:
        if x[e] > largest or x[e] != x[e]:
            largest = x[e]
    return largest


@kernel(Max)
def dx(e, /, dy, *xs, which):
    mine = xs[which][e]
    for other in range(len(xs)):
        if xs[other][e] > mine or (other < which and xs[other][e] == mine):
            return real(0)
    return dy[e]
