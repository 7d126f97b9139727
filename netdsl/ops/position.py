"""Learnt positions."""

from __future__ import annotations

from netdsl.initializers.normal import Normal
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.tensor import Tensor, rows


class Position(Layer, name="position"):
    """``y = x + weight``: a learnt number for every element (Dosovitskiy et al. 2020)."""

    init: Initializer = Normal(0.02)

    view = staticmethod(rows)
    examples = (("position", "3x4"), ("position", "5"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def weights(self, x: Tensor) -> dict[str, Weight]:
        return {"weight": Weight(x.dims, self.init, decay=False)}


@kernel(Position)
def y(n, e, /, x, weight):
    return x[n, e] + weight[e]


@kernel(Position)
def dx(n, e, /, dy):
    return dy[n, e]


@kernel(Position)
def dweight(e, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        acc += dy[n, e]
    return acc
