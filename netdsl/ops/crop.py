"""Cropping."""

from __future__ import annotations

from typing import Annotated, Any

from netdsl.arguments import Extent, Sizes, spell
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer, as_three, expand
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor, in_space
from netdsl.windows import by_axis

Offset = Annotated[int | tuple[int, ...], Extent(0)]


class Crop(Layer, name="crop"):
    """``y[i] = x[i + start]``: a part of a picture, its middle unless a start is given.

    The middle is ``start = (in - out) // 2``: the copies of U-Net (Ronneberger et al. 2015).

    - ``sizes``: the sizes to keep; ``crop(@u)`` takes those of another tensor
    - ``start``: the first position to keep, on every axis; none is the middle
    """

    sizes: Sizes
    start: Offset | None = None

    view = staticmethod(in_space)
    synonyms = {"offset": "start"}
    examples = (
        ("crop(2)", "2x5x4"),
        ("crop(3x1)", "1x3x4"),
        ("crop(3)", "2x6"),
        ("crop(2, start=0x1)", "1x3x4"),
    )

    def starts(self, x: Tensor) -> tuple[int, ...]:
        """The first position to keep, on every axis."""
        wanted = expand(self.sizes, len(x.spatial), "sizes")
        if not x.spatial or any(a < b for a, b in zip(x.spatial, wanted, strict=True)):
            raise Problem(f"{x} is too small for a crop to {spell(self.sizes)}", argument="sizes")
        if self.start is None:
            return tuple((a - b) // 2 for a, b in zip(x.spatial, wanted, strict=True))
        starts = expand(self.start, len(x.spatial), "start")
        if any(a < s + b for a, s, b in zip(x.spatial, starts, wanted, strict=True)):
            where = f"{spell(self.sizes)} from {spell(self.start)} on"
            raise Problem(f"a crop of {where} does not fit into {x}", argument="start")
        return starts

    def shape(self, x: Tensor) -> Tensor:
        self.starts(x)
        return Tensor((x.channels, *expand(self.sizes, len(x.spatial), "sizes")))

    def sees(self, x: Tensor) -> Sights | None:
        return tuple(Sight(start, start) for start in self.starts(x))

    def formulas(self, x: Tensor) -> dict[str, str]:
        axes = zip(x.spatial, self.shape(x).spatial, self.starts(x), strict=True)
        if self.start is not None:
            return by_axis(tuple(f"from {start} to {start + m - 1}" for _, m, start in axes))
        return by_axis(tuple(f"starts at ({n} - {m})/2 = {start}" for n, m, start in axes))

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
