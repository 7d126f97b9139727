"""Global average pooling."""

from __future__ import annotations

from math import prod
from typing import Any

from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, in_space


class GlobalAvgPool(Layer, name="global_avgpool"):
    """``y[c] = mean over space of x[c]``: a picture becomes a vector (Lin et al. 2013)."""

    view = staticmethod(in_space)
    examples = (
        ("global_avgpool", "3x2x4"),
        ("global_avgpool", "2x5"),
        ("global_avgpool", "1x2x3x2"),
    )

    def shape(self, x: Tensor) -> Tensor:
        if not 1 <= len(x.spatial) <= 3:
            raise Problem(
                f"global_avgpool averages over 1, 2 or 3 spatial axes, the input is {x}",
                help="a vector needs no pooling: leave it out",
            )
        return Tensor((x.channels,))

    def formulas(self, x: Tensor) -> dict[str, str]:
        return {"mean of": f"{'*'.join(map(str, x.spatial))} = {prod(x.spatial):,} positions"}

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"positions": prod(x.spatial)}


@kernel(GlobalAvgPool)
def y(n, c, /, x, *, positions):
    acc = real(0)
    for p in range(x.shape[2]):
        for q in range(x.shape[3]):
            row = real(0)
            for r in range(x.shape[4]):
                row += x[n, c, p, q, r]
            acc += row
    return acc / real(positions)


@kernel(GlobalAvgPool)
def dx(n, c, p, q, r, /, dy, *, positions):
    return dy[n, c] / real(positions)
