"""Concatenation along the channels."""

from __future__ import annotations

from typing import Any

from netdsl.errors import Problem
from netdsl.kernel import kernel
from netdsl.op import Layer
from netdsl.tensor import Tensor, by_channel


class Concat(Layer, name="concat"):
    """``y = [x0, x1, ...]``: the channels of all branches, in their order (Szegedy et al. 2014)."""

    view = staticmethod(by_channel)
    join = True
    examples = (("concat", "2x3x2", "1x3x2"), ("concat", "2", "3", "1"), ("concat", "2x3"))

    def shape(self, *xs: Tensor) -> Tensor:
        for x in xs[1:]:
            if x.spatial != xs[0].spatial or not x.dims:
                sizes = ", ".join(map(str, xs))
                raise Problem(
                    f"concat joins channels, so the other sizes must be equal: {sizes}",
                    help="give the branches equal strides, and windows pad=same",
                )
        return Tensor((sum(x.channels for x in xs), *xs[0].spatial))

    def formulas(self, *xs: Tensor) -> dict[str, str]:
        channels = " + ".join(str(x.channels) for x in xs)
        return {"channels": f"{channels} = {self.shape(*xs).channels}"}

    def part(self, which: int, *xs: Tensor) -> dict[str, Any]:
        return {"first": sum(x.channels for x in xs[:which])}


@kernel(Concat)
def y(n, c, s, /, *xs):
    which = 0
    while c >= xs[which].shape[1]:
        c -= xs[which].shape[1]
        which += 1
    return xs[which][n, c, s]


@kernel(Concat)
def dx(n, c, s, /, dy, *, first):
    return dy[n, c + first, s]
