"""The identity."""

from __future__ import annotations

from netdsl.op import Layer
from netdsl.tensor import Tensor


class Identity(Layer, name="id"):
    """``y = x``: the branch that does nothing, such as a shortcut (He et al. 2015)."""

    alias = True
    examples = (("id", "2x3"), ("id", "4"))

    def shape(self, x: Tensor) -> Tensor:
        return x
