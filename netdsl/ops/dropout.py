"""Dropout."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Rate
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.random import uniform
from netdsl.tensor import Tensor, flat


class Dropout(Layer, name="dropout"):
    """``y = x / (1 - p)`` with probability ``1 - p``, else 0; in evaluation ``y = x``.

    Srivastava et al. 2014, in the "inverted" form. The mask is a function of seed, step, layer and
    element, so it is not stored: the backward pass draws it again.
    """

    p: Rate = 0.5

    view = staticmethod(flat)
    synonyms = {"rate": "p"}
    examples = (("dropout(0.25)", "3x4"), ("dropout", "20"), ("dropout(0)", "4"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"p": self.p}


@kernel(Dropout, when="train")
def y(e, /, x, *, p, seed, step, layer):
    return x[e] / real(1 - p) if uniform(seed, step, layer, e) >= real(p) else real(0)


@kernel(Dropout, makes="y", when="eval")
def y_eval(e, /, x):
    return x[e]


@kernel(Dropout)
def dx(e, /, dy, *, p, seed, step, layer):
    return dy[e] / real(1 - p) if uniform(seed, step, layer, e) >= real(p) else real(0)
