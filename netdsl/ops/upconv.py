"""Transposed convolution in one, two or three dimensions."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

from netdsl.arguments import Count, Extent, Sizes
from netdsl.errors import Problem
from netdsl.initializers.kaiming import Kaiming
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight, as_three, expand
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor, in_space
from netdsl.windows import by_axis

Margins = Annotated[int | tuple[int, ...], Extent(0)]


class UpConv(Layer, name="upconv"):
    """``y[o, i * stride - pad + a] += x[c, i] * weight[c, o, a]``, and the bias: conv backwards.

    The gradient of a convolution as a layer of its own (Zeiler et al. 2010; Dumoulin and Visin
    2016). Output sizes are ``(in - 1) * stride - 2 * pad + window + extra``. The weight is
    ``channels_in x channels x window``, as PyTorch keeps it.

    - ``pad``: how much is cut off on either side: the padding of the convolution it turns round
    - ``extra``: how much is added at the end, where the stride leaves the size open
    """

    channels: Count
    window: Sizes
    stride: Sizes = 1
    pad: Margins = 0
    extra: Margins = 0
    bias: bool = True
    init: Initializer = Kaiming()
    bias_init: Initializer = Zeros()

    view = staticmethod(in_space)
    synonyms = {
        "filters": "channels", "out_channels": "channels", "kernel_size": "window",
        "strides": "stride", "padding": "pad", "output_padding": "extra", "use_bias": "bias",
    }  # fmt: skip
    examples = (
        ("upconv(2, 2, stride=2)", "1x3x2"),
        ("upconv(1, 3, stride=2, pad=1, extra=1)", "2x2x3"),
        ("upconv(2, 3x2, bias=false)", "2x2x2"),
        ("upconv(2, 3, stride=2)", "2x4"),
    )

    def sizes(self, x: Tensor) -> dict[str, tuple[int, ...]]:
        """Window, stride, pad and extra, each for every axis."""
        rank = len(x.spatial)
        if not 1 <= rank <= 3:
            raise Problem(f"upconv needs an input with 1, 2 or 3 spatial axes, not {x}")
        names = ("window", "stride", "pad", "extra")
        return {name: expand(getattr(self, name), rank, name) for name in names}

    def shape(self, x: Tensor) -> Tensor:
        axes = zip(x.spatial, *self.sizes(x).values(), strict=True)
        out = tuple((n - 1) * s - 2 * p + w + e for n, w, s, p, e in axes)
        if min(out) < 1:
            raise Problem(f"pad={self.pad} leaves nothing of the output", argument="pad")
        return Tensor((self.channels, *out))

    def weights(self, x: Tensor) -> dict[str, Weight]:
        window = self.sizes(x)["window"]
        fans = (x.channels * prod(window), self.channels * prod(window))
        weights = {"weight": Weight((x.channels, self.channels, *window), self.init, *fans)}
        if self.bias:
            weights["bias"] = Weight((self.channels,), self.bias_init, *fans, decay=False)
        return weights

    def numbers(self, x: Tensor) -> dict[str, Any]:
        sizes = self.sizes(x)
        return {
            "window": as_three(sizes["window"], 1),
            "stride": as_three(sizes["stride"], 1),
            "pad": as_three(sizes["pad"], 0),
        }

    def sees(self, x: Tensor) -> Sights | None:
        sizes = self.sizes(x)
        axes = zip(sizes["window"], sizes["stride"], sizes["pad"], strict=True)
        return tuple(Sight(p - w + 1, p, over=s) for w, s, p in axes)

    def formulas(self, x: Tensor) -> dict[str, str]:
        axes = zip(x.spatial, *self.sizes(x).values(), self.shape(x).spatial, strict=True)
        made = tuple(f"({n} - 1)*{s} - 2*{p} + {w} + {e} = {y}" for n, w, s, p, e, y in axes)
        reached = self.weights(x)["weight"].dims[1:]
        macs = f"{'*'.join(map(str, x.dims))} inputs * {'*'.join(map(str, reached))} each"
        return {**by_axis(made), "MACs": f"{macs} = {self.macs(x):,}"}

    def macs(self, x: Tensor) -> int:
        return x.size * self.weights(x)["weight"].fan_out


@kernel(UpConv)
def y(n, o, p, q, r, /, x, weight, bias, *, window, stride, pad):
    # The inputs that reach this element: i * stride - pad + a == p for some a in the window.
    acc = real(0)
    for a in range(window[0]):
        i = p + pad[0] - a
        if i >= 0 and i % stride[0] == 0 and i // stride[0] < x.shape[2]:
            for b in range(window[1]):
                j = q + pad[1] - b
                if j >= 0 and j % stride[1] == 0 and j // stride[1] < x.shape[3]:
                    for d in range(window[2]):
                        k = r + pad[2] - d
                        if k >= 0 and k % stride[2] == 0 and k // stride[2] < x.shape[4]:
                            for c in range(x.shape[1]):
                                acc += (
                                    x[n, c, i // stride[0], j // stride[1], k // stride[2]]
                                    * weight[c, o, a, b, d]
                                )
    if bias is not None:
        acc += bias[o]
    return acc


@kernel(UpConv)
def dx(n, c, i, j, k, /, dy, weight, *, window, stride, pad):
    acc = real(0)
    for o in range(weight.shape[1]):
        for a in range(window[0]):
            p = i * stride[0] - pad[0] + a
            if 0 <= p < dy.shape[2]:
                for b in range(window[1]):
                    q = j * stride[1] - pad[1] + b
                    if 0 <= q < dy.shape[3]:
                        for d in range(window[2]):
                            r = k * stride[2] - pad[2] + d
                            if 0 <= r < dy.shape[4]:
                                acc += dy[n, o, p, q, r] * weight[c, o, a, b, d]
    return acc


@kernel(UpConv)
def dweight(c, o, a, b, d, /, dy, x, *, stride, pad):
    acc = real(0)
    for n in range(x.shape[0]):
        image = real(0)  # sums of sums: a long serial float32 sum would lose digits
        for i in range(x.shape[2]):
            p = i * stride[0] - pad[0] + a
            if 0 <= p < dy.shape[2]:
                for j in range(x.shape[3]):
                    q = j * stride[1] - pad[1] + b
                    if 0 <= q < dy.shape[3]:
                        for k in range(x.shape[4]):
                            r = k * stride[2] - pad[2] + d
                            if 0 <= r < dy.shape[4]:
                                image += dy[n, o, p, q, r] * x[n, c, i, j, k]
        acc += image
    return acc


@kernel(UpConv)
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
