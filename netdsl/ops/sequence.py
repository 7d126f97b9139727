"""A picture as a sequence of its positions."""

from __future__ import annotations

from netdsl.errors import Problem
from netdsl.op import Layer
from netdsl.sight import Sights
from netdsl.tensor import Tensor


class Sequence(Layer, name="sequence"):
    """``y[c, i * width + j] = x[c, i, j]``: space becomes one axis, row after row.

    What transformers do with the patches of a picture (Dosovitskiy et al. 2020).
    """

    alias = True
    examples = (("sequence", "2x3x2"), ("sequence", "2x2x1x3"), ("sequence", "3x4"))

    def shape(self, x: Tensor) -> Tensor:
        if not x.spatial:
            raise Problem(f"sequence wants channels and positions, not {x}")
        return Tensor((x.channels, x.size // x.channels), x.dtype)

    def sees(self, x: Tensor) -> Sights | None:
        return ()
