"""Upsampling without weights."""

from __future__ import annotations

from typing import Any, Literal

from netdsl.arguments import Sizes
from netdsl.errors import Problem
from netdsl.kernel import device, kernel, real
from netdsl.op import Layer, as_three, expand
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor, in_space
from netdsl.windows import by_axis


class Upsample(Layer, name="upsample"):
    """``y[i] = x[i // factor]``, or what lies between the nearest two of x, on every axis.

    - ``factor``: how often each position comes, on every axis
    - ``mode``: ``nearest`` repeats each position; ``bilinear`` is linear along every axis, between
      the middles of the positions, as in PyTorch without ``align_corners``
    """

    factor: Sizes = 2
    mode: Literal["nearest", "bilinear"] = "nearest"

    view = staticmethod(in_space)
    synonyms = {"scale_factor": "factor", "interpolation": "mode"}
    examples = (
        ("upsample", "2x2x3"),
        ("upsample(3x2)", "1x2x2"),
        ("upsample(2, bilinear)", "2x3x2"),
        ("upsample(3x1, mode=bilinear)", "1x2x3"),
        ("upsample(4, bilinear)", "2x3"),
        ("upsample(2, bilinear)", "1x2x1x2"),
    )

    def factors(self, x: Tensor) -> tuple[int, ...]:
        """The factor of every axis."""
        if not 1 <= len(x.spatial) <= 3:
            raise Problem(f"upsample needs an input with 1, 2 or 3 spatial axes, not {x}")
        return expand(self.factor, len(x.spatial), "factor")

    def shape(self, x: Tensor) -> Tensor:
        sizes = zip(x.spatial, self.factors(x), strict=True)
        return Tensor((x.channels, *(size * factor for size, factor in sizes)))

    def sees(self, x: Tensor) -> Sights | None:
        if self.mode == "nearest":
            return tuple(Sight(1 - f, 0, over=f) for f in self.factors(x))
        # The places less than one from (i + 1/2)/f - 1/2.
        return tuple(Sight(2 - 3 * f, f, 2, over=2 * f) for f in self.factors(x))

    def formulas(self, x: Tensor) -> dict[str, str]:
        axes = zip(x.spatial, self.factors(x), strict=True)
        return by_axis(tuple(f"{size}*{factor} = {size * factor}" for size, factor in axes))

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"factor": as_three(self.factors(x), 1), "smooth": self.mode == "bilinear"}


@device
def place(i, size, factor, smooth):
    """Where in the input an output lies, in positions of the input."""
    if not smooth:
        return real(i // factor)
    middle = (real(i) + real(0.5)) / real(factor) - real(0.5)
    return min(max(middle, real(0)), real(size - 1))


@device
def share(i, p, size, factor, smooth):
    """How much of an output comes from a position of the input: a hat around it."""
    return max(real(0), real(1) - abs(place(i, size, factor, smooth) - real(p)))


@kernel(Upsample)
def y(n, c, i, j, k, /, x, *, factor, smooth):
    p0 = int(place(i, x.shape[2], factor[0], smooth))
    q0 = int(place(j, x.shape[3], factor[1], smooth))
    r0 = int(place(k, x.shape[4], factor[2], smooth))
    acc = real(0)
    for p in range(p0, min(p0 + 2, x.shape[2])):
        u = share(i, p, x.shape[2], factor[0], smooth)
        for q in range(q0, min(q0 + 2, x.shape[3])):
            v = share(j, q, x.shape[3], factor[1], smooth)
            for r in range(r0, min(r0 + 2, x.shape[4])):
                w = share(k, r, x.shape[4], factor[2], smooth)
                acc += u * v * w * x[n, c, p, q, r]
    return acc


@kernel(Upsample)
def dx(n, c, p, q, r, /, dy, *, factor, smooth):
    # An output is at most one position away: from half a cell before this one to half a cell after.
    f, g, h = factor
    acc = real(0)
    for i in range(max(0, (2 * p - 1) * f // 2), min(dy.shape[2], (2 * p + 3) * f // 2 + 1)):
        u = share(i, p, dy.shape[2] // f, f, smooth)
        for j in range(max(0, (2 * q - 1) * g // 2), min(dy.shape[3], (2 * q + 3) * g // 2 + 1)):
            v = share(j, q, dy.shape[3] // g, g, smooth)
            for k in range(
                max(0, (2 * r - 1) * h // 2), min(dy.shape[4], (2 * r + 3) * h // 2 + 1)
            ):
                w = share(k, r, dy.shape[4] // h, h, smooth)
                acc += u * v * w * dy[n, c, i, j, k]
    return acc
