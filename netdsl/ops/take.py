"""One position of a sequence."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Index
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor


class Take(Layer, name="take"):
    """``y[c] = x[c, at]``: what stands at one position of a sequence, the first is 0.

    So a transformer reads its class token (Devlin et al. 2018; Dosovitskiy et al. 2020).

    - ``at``: which position
    """

    at: Index

    synonyms = {"index": "at", "position": "at"}
    examples = (("take(0)", "3x4"), ("take(at=2)", "2x3"))

    def shape(self, x: Tensor) -> Tensor:
        if len(x.dims) != 2:
            raise Problem(
                f"take wants a sequence, channels x positions, not {x}",
                help="a picture becomes a sequence with: sequence",
            )
        if self.at >= x.dims[1]:
            raise Problem(
                f"there is no position {self.at} among {x.dims[1]}",
                help="the first has the number 0",
                argument="at",
            )
        return Tensor((x.channels,))

    def sees(self, x: Tensor) -> Sights | None:
        return (Sight(self.at, self.at, step=0),)

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"at": self.at}


@kernel(Take)
def y(n, c, /, x, *, at):
    return x[n, c, at]


@kernel(Take)
def dx(n, c, s, /, dy, *, at):
    return dy[n, c] if s == at else real(0)
