"""Global maximum pooling."""

from __future__ import annotations

from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.tensor import DType, Tensor, by_channel


class GlobalMaxPool(Layer, name="global_maxpool"):
    """``y[c] = max over space of x[c]``: is there such a thing anywhere (Oquab et al. 2015).

    ``where`` keeps the maximum's place; of equal ones the first gets the gradient. A NaN wins.
    """

    view = staticmethod(by_channel)
    examples = (
        ("global_maxpool", "3x2x4"),
        ("global_maxpool", "2x5"),
        ("global_maxpool", "1x2x3x2"),
    )

    def shape(self, x: Tensor) -> Tensor:
        if not x.spatial:
            raise Problem(
                f"global_maxpool looks at all positions, the input is {x}",
                help="a vector needs no pooling: leave it out",
            )
        return Tensor((x.channels,))

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"where": Tensor((x.channels,), DType.INT)}


@kernel(GlobalMaxPool)
def where(n, c, _, /, x):
    found = 0
    for s in range(1, x.shape[2]):
        value = x[n, c, s]
        if value > x[n, c, found] or value != value:
            found = s
    return found


@kernel(GlobalMaxPool)
def y(n, c, _, /, x, where):
    return x[n, c, where[n, c, 0]]


@kernel(GlobalMaxPool)
def dx(n, c, s, /, dy, where):
    return dy[n, c, 0] if where[n, c, 0] == s else real(0)
