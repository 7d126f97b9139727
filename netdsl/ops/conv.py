"""Convolution in one, two or three dimensions."""

from __future__ import annotations

from math import prod
from typing import Any

from netdsl.arguments import Count, Pad, Sizes
from netdsl.errors import Problem
from netdsl.initializers.kaiming import Kaiming
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight, expand
from netdsl.sight import Sights
from netdsl.tensor import Tensor, in_space
from netdsl.windows import Windows, slide


class Conv(Layer, name="conv"):
    """``y[o] = sum over c, window of x[c] * weight[o, c] + bias[o]`` (a cross-correlation).

    Output sizes are ``floor((in + 2 * pad - reach) / stride) + 1`` with ``reach = dilation *
    (window - 1) + 1`` (Dumoulin and Visin 2016). Works on 1-D, 2-D and 3-D inputs by the rank of
    what enters. The weight is ``channels x channels_in/groups x window``, as PyTorch keeps it.

    - ``groups``: parts of the channels; an output sees its own part (Krizhevsky et al. 2012)
    """

    channels: Count
    window: Sizes
    stride: Sizes = 1
    pad: Pad = 0
    dilation: Sizes = 1
    groups: Count = 1
    bias: bool = True
    init: Initializer = Kaiming()
    bias_init: Initializer = Zeros()

    view = staticmethod(in_space)
    synonyms = {
        "filters": "channels",
        "out_channels": "channels",
        "kernel_size": "window",
        "kernel": "window",
        "size": "window",
        "num_output": "channels",
        "nb_filter": "channels",
        "weight_filler": "init",
        "bias_term": "bias",
        "group": "groups",
        "strides": "stride",
        "padding": "pad",
        "dilation_rate": "dilation",
        "use_bias": "bias",
        "kernel_initializer": "init",
    }
    examples = (
        ("conv(2, 3)", "1x5x6"),
        ("conv(3, 3, stride=2, pad=1)", "2x5x4"),
        ("conv(4, 3x2, dilation=2x1, groups=2, bias=false)", "4x6x3"),
        ("conv(2, 3, pad=same_upper, stride=2)", "1x6x5"),
        ("conv(2, 3, stride=2)", "3x7"),
        ("conv(2, 2, pad=1)", "2x3x2x3"),
    )

    def windows(self, x: Tensor) -> Windows:
        """Where the window goes over an input."""
        return slide(x, self.window, self.stride, self.pad, self.dilation)

    def shape(self, x: Tensor) -> Tensor:
        out = self.windows(x).out
        for what, channels in (("input", x.channels), ("output", self.channels)):
            if channels % self.groups:
                raise Problem(
                    f"groups={self.groups} does not divide the {channels} {what} channels",
                    help=f"{channels} is divided by {_divisors(channels)}",
                    argument="groups",
                )
        return Tensor((self.channels, *out))

    def weights(self, x: Tensor) -> dict[str, Weight]:
        window = expand(self.window, len(x.spatial), "window")
        inner = x.channels // self.groups
        fans = (inner * prod(window), self.channels // self.groups * prod(window))
        weights = {"weight": Weight((self.channels, inner, *window), self.init, *fans)}
        if self.bias:
            weights["bias"] = Weight((self.channels,), self.bias_init, *fans, decay=False)
        return weights

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {**self.windows(x).numbers(), "groups": self.groups}

    def macs(self, x: Tensor) -> int:
        return self.shape(x).size * self.weights(x)["weight"].fan_in

    def sees(self, x: Tensor) -> Sights | None:
        return self.windows(x).sights()

    def formulas(self, x: Tensor) -> dict[str, str]:
        made, seen = self.shape(x).dims, self.weights(x)["weight"].dims[1:]
        macs = f"{'*'.join(map(str, made))} outputs * {'*'.join(map(str, seen))} each"
        return {**self.windows(x).formulas(), "MACs": f"{macs} = {self.macs(x):,}"}

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        return self.windows(xs[0]).warnings()


def _divisors(number: int) -> str:
    """The divisors of a number, the largest of many left out."""
    found = [str(n) for n in range(1, min(number, 1024) + 1) if number % n == 0]
    return ", ".join(found[:8]) + (" …" if len(found) > 8 else "")


@kernel(Conv)
def y(n, o, i, j, k, /, x, weight, bias, *, window, stride, pad, dilation, groups):
    first = o // (weight.shape[0] // groups) * weight.shape[1]
    acc = real(0)
    for c in range(weight.shape[1]):
        for a in range(window[0]):
            p = i * stride[0] - pad[0] + a * dilation[0]
            if 0 <= p < x.shape[2]:
                for b in range(window[1]):
                    q = j * stride[1] - pad[1] + b * dilation[1]
                    if 0 <= q < x.shape[3]:
                        for d in range(window[2]):
                            r = k * stride[2] - pad[2] + d * dilation[2]
                            if 0 <= r < x.shape[4]:
                                acc += x[n, first + c, p, q, r] * weight[o, c, a, b, d]
    if bias is not None:
        acc += bias[o]
    return acc


@kernel(Conv)
def dx(n, c, p, q, r, /, dy, weight, *, window, stride, pad, dilation, groups):
    # The outputs that saw this element: i * stride - pad + a * dilation == p for an a in range.
    group = c // weight.shape[1]
    each = weight.shape[0] // groups
    acc = real(0)
    for o in range(group * each, (group + 1) * each):
        for a in range(window[0]):
            i = p + pad[0] - a * dilation[0]
            if i >= 0 and i % stride[0] == 0 and i // stride[0] < dy.shape[2]:
                for b in range(window[1]):
                    j = q + pad[1] - b * dilation[1]
                    if j >= 0 and j % stride[1] == 0 and j // stride[1] < dy.shape[3]:
                        for d in range(window[2]):
                            k = r + pad[2] - d * dilation[2]
                            if k >= 0 and k % stride[2] == 0 and k // stride[2] < dy.shape[4]:
                                acc += (
                                    dy[n, o, i // stride[0], j // stride[1], k // stride[2]]
                                    * weight[o, c - group * weight.shape[1], a, b, d]
                                )
    return acc


@kernel(Conv)
def dweight(o, c, a, b, d, /, dy, x, *, stride, pad, dilation, groups):
    each = x.shape[1] // groups
    first = o // (dy.shape[1] // groups) * each
    acc = real(0)
    for n in range(x.shape[0]):
        image = real(0)  # sums of sums: a long serial float32 sum would lose digits
        for i in range(dy.shape[2]):
            p = i * stride[0] - pad[0] + a * dilation[0]
            if 0 <= p < x.shape[2]:
                for j in range(dy.shape[3]):
                    q = j * stride[1] - pad[1] + b * dilation[1]
                    if 0 <= q < x.shape[3]:
                        for k in range(dy.shape[4]):
                            r = k * stride[2] - pad[2] + d * dilation[2]
                            if 0 <= r < x.shape[4]:
                                image += dy[n, o, i, j, k] * x[n, first + c, p, q, r]
        acc += image
    return acc


@kernel(Conv)
def dbias(o, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        image = real(0)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                for k in range(dy.shape[4]):
                    image += dy[n, o, i, j, k]
        acc += image
    return acc
