"""The parameter-free shortcut of residual networks."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Count, Sizes
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer, as_three, expand
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor, in_space


class ZeroChannels(Layer, name="zero_channels"):
    """``y[c, i] = x[c, i * stride]`` for the channels of x, and 0 for those that are added.

    Option A of He et al. 2015: the identity, subsampled, with zeros in the new channels.
    """

    channels: Count
    stride: Sizes = 1

    view = staticmethod(in_space)
    examples = (("zero_channels(3, stride=2)", "2x5x4"), ("zero_channels(2)", "2x3"))

    def shape(self, x: Tensor) -> Tensor:
        if not x.spatial:
            raise Problem(f"zero_channels wants channels and space, not {x}")
        if self.channels < x.channels:
            raise Problem(
                f"zero_channels adds channels: {x.channels} cannot become {self.channels}",
                argument="channels",
            )
        strides = expand(self.stride, len(x.spatial), "stride")
        sizes = zip(x.spatial, strides, strict=True)
        return Tensor((self.channels, *(-(-size // stride) for size, stride in sizes)))

    def sees(self, x: Tensor) -> Sights | None:
        strides = expand(self.stride, len(x.spatial), "stride")
        return tuple(Sight(step=stride) for stride in strides)

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"stride": as_three(expand(self.stride, len(x.spatial), "stride"), 1)}


@kernel(ZeroChannels)
def y(n, c, i, j, k, /, x, *, stride):
    if c >= x.shape[1]:
        return real(0)
    return x[n, c, i * stride[0], j * stride[1], k * stride[2]]


@kernel(ZeroChannels)
def dx(n, c, p, q, r, /, dy, *, stride):
    if p % stride[0] or q % stride[1] or r % stride[2]:
        return real(0)
    return dy[n, c, p // stride[0], q // stride[1], r // stride[2]]
