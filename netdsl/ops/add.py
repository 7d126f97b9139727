"""Elementwise sum of several inputs."""

from __future__ import annotations

from netdsl.kernel import elementwise, kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, agree, flat


class Add(Layer, name="add"):
    """``y = x0 + x1 + ...``: what residual networks join with (He et al. 2015)."""

    view = staticmethod(flat)
    join = True
    examples = (("add", "2x3", "2x3"), ("add", "4", "4", "4"), ("add", "2"))

    def shape(self, *xs: Tensor) -> Tensor:
        return agree("add", xs)


@kernel(Add)
def y(e, /, *xs):
    acc = real(0)
    for x in xs:
        acc += x[e]
    return acc


@elementwise(Add)
def dx(dy):
    return dy
