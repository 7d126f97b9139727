"""Maxout."""

from __future__ import annotations

from netdsl.arguments import Count
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import SAME, Sights
from netdsl.tensor import DType, Tensor, by_channel


class Maxout(Layer, name="maxout"):
    """``y[j] = max over i of x[j * pieces + i]`` (Goodfellow et al. 2013).

    Follows a dense or convolutional layer with ``pieces`` times as many outputs.

    - ``pieces``: how many neighbouring channels compete
    """

    pieces: Count = 2

    view = staticmethod(by_channel)
    synonyms = {"k": "pieces", "pool_size": "pieces"}
    examples = (("maxout", "4x3"), ("maxout(3)", "6"))

    def shape(self, x: Tensor) -> Tensor:
        if not x.dims or x.channels % self.pieces:
            raise Problem(
                f"maxout takes channels by {self.pieces}, which does not divide those of {x}",
                argument="pieces",
            )
        return Tensor((x.channels // self.pieces, *x.spatial))

    def sees(self, x: Tensor) -> Sights | None:
        return (SAME,) * len(x.spatial) or None

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"where": Tensor(self.shape(x).dims, DType.INT)}


@kernel(Maxout)
def where(n, c, s, /, x, *, pieces):
    best = 0
    for i in range(1, pieces):
        if x[n, c * pieces + i, s] > x[n, c * pieces + best, s]:
            best = i
    return best


@kernel(Maxout)
def y(n, c, s, /, x, where, *, pieces):
    return x[n, c * pieces + where[n, c, s], s]


@kernel(Maxout)
def dx(n, c, s, /, dy, where, *, pieces):
    return dy[n, c // pieces, s] if where[n, c // pieces, s] == c % pieces else real(0)
