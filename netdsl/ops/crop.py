"""Centre crop."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Sizes
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer, as_three, expand
from netdsl.tensor import Tensor, in_space


class Crop(Layer, name="crop"):
    """``y[i] = x[i + (in - out) // 2]``: the middle of a picture.

    The copies of U-Net (Ronneberger et al. 2015). ``crop(@u)`` takes the sizes of another tensor.
    """

    sizes: Sizes

    view = staticmethod(in_space)
    examples = (("crop(2)", "2x5x4"), ("crop(3x1)", "1x3x4"), ("crop(3)", "2x6"))

    def starts(self, x: Tensor) -> tuple[int, ...]:
        """Where the middle begins, on every axis."""
        wanted = expand(self.sizes, len(x.spatial), "sizes")
        if not x.spatial or any(a < b for a, b in zip(x.spatial, wanted, strict=True)):
            raise Problem(f"{x} is too small for a crop to {self.sizes}", argument="sizes")
        return tuple((a - b) // 2 for a, b in zip(x.spatial, wanted, strict=True))

    def shape(self, x: Tensor) -> Tensor:
        self.starts(x)
        return Tensor((x.channels, *expand(self.sizes, len(x.spatial), "sizes")))

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"start": as_three(self.starts(x), 0)}


@kernel(Crop)
def y(n, c, i, j, k, /, x, *, start):
    return x[n, c, i + start[0], j + start[1], k + start[2]]


@kernel(Crop)
def dx(n, c, p, q, r, /, dy, *, start):
    i, j, k = p - start[0], q - start[1], r - start[2]
    inside = 0 <= i < dy.shape[2] and 0 <= j < dy.shape[3] and 0 <= k < dy.shape[4]
    return dy[n, c, i, j, k] if inside else real(0)
