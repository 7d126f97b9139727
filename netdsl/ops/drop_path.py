"""Stochastic depth."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Rate
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.random import uniform
from netdsl.tensor import Tensor, rows


class DropPath(Layer, name="drop_path"):
    """``y = x / (1 - p)`` for a whole sample with probability ``1 - p``, else 0.

    In evaluation ``y = x``. Huang et al. 2016, scaled in training as dropout is.
    """

    p: Rate

    view = staticmethod(rows)
    examples = (("drop_path(0.5)", "2x3"), ("drop_path(0)", "4"))

    def shape(self, x: Tensor) -> Tensor:
        return x

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"p": self.p}


@kernel(DropPath, when="train")
def y(n, e, /, x, *, p, seed, step, layer):
    return x[n, e] / real(1 - p) if uniform(seed, step, layer, n) >= real(p) else real(0)


@kernel(DropPath, makes="y", when="eval")
def y_eval(n, e, /, x):
    return x[n, e]


@kernel(DropPath)
def dx(n, e, /, dy, *, p, seed, step, layer):
    return dy[n, e] / real(1 - p) if uniform(seed, step, layer, n) >= real(p) else real(0)
