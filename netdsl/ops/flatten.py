"""Flattening."""

from __future__ import annotations

from netdsl.op import Layer
from netdsl.sight import Sights
from netdsl.tensor import Tensor


class Flatten(Layer, name="flatten"):
    """``y[(c * height + i) * width + j] = x[c, i, j]``: any shape becomes a vector."""

    alias = True
    examples = (("flatten", "2x3x2"), ("flatten", "5"))

    def shape(self, x: Tensor) -> Tensor:
        return Tensor((x.size,), x.dtype)

    def sees(self, x: Tensor) -> Sights | None:
        return ()

    def formulas(self, x: Tensor) -> dict[str, str]:
        return {"features": f"{'*'.join(map(str, x.dims))} = {x.size:,}"}
