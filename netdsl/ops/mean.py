"""Elementwise mean of several inputs."""

from __future__ import annotations

from typing import Any

from netdsl.kernel import elementwise, kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, agree, flat


class Mean(Layer, name="mean"):
    """``y = (x0 + x1 + ...) / count``: branches that vote (Ciresan et al. 2012)."""

    view = staticmethod(flat)
    join = True
    examples = (("mean", "2x3", "2x3"), ("mean", "4", "4", "4"), ("mean", "2"))

    def shape(self, *xs: Tensor) -> Tensor:
        return agree("mean", xs)

    def numbers(self, *xs: Tensor) -> dict[str, Any]:
        return {"count": len(xs)}


@kernel(Mean)
def y(e, /, *xs, count):
    acc = real(0)
    for x in xs:
        acc += x[e]
    return acc / real(count)


@elementwise(Mean)
def dx(dy, *, count):
    return dy / real(count)
