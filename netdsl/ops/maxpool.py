"""Maximum pooling in one, two or three dimensions."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Pad, Sizes
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import Sights
from netdsl.tensor import DType, Tensor, in_space
from netdsl.windows import Windows, slide


class MaxPool(Layer, name="maxpool"):
    """``y = max over window of x``; padding counts as minus infinity (Ranzato et al. 2007).

    Output sizes are ``floor((in + 2 * pad - reach) / stride) + 1``, as a convolution's. Of equal
    ones the first, row by row, gets the gradient, as in PyTorch. A NaN wins.

    - ``stride``: how far the window moves; the window itself if not given
    """

    window: Sizes
    stride: Sizes | None = None
    pad: Pad = 0
    dilation: Sizes = 1
    ceil: bool = False

    view = staticmethod(in_space)
    synonyms = {
        "kernel_size": "window",
        "pool_size": "window",
        "size": "window",
        "strides": "stride",
        "padding": "pad",
        "ceil_mode": "ceil",
    }
    examples = (
        ("maxpool(2)", "2x4x5"),
        ("maxpool(3, stride=2, pad=1)", "1x6x5"),
        ("maxpool(3x2, stride=2x1, pad=1x0, dilation=2x1)", "1x7x4"),
        ("maxpool(2, ceil=true)", "2x5x3"),
        ("maxpool(3, stride=1, pad=same)", "2x5"),
        ("maxpool(2, stride=1)", "1x3x2x3"),
    )

    def windows(self, x: Tensor) -> Windows:
        """Where the window goes over an input."""
        stride = self.window if self.stride is None else self.stride
        return slide(x, self.window, stride, self.pad, self.dilation, self.ceil).filled()

    def shape(self, x: Tensor) -> Tensor:
        return Tensor((x.channels, *self.windows(x).out))

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"where": Tensor(self.shape(x).dims, DType.INT)}

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return self.windows(x).numbers()

    def sees(self, x: Tensor) -> Sights | None:
        return self.windows(x).sights()

    def formulas(self, x: Tensor) -> dict[str, str]:
        return self.windows(x).formulas()

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        return self.windows(xs[0]).warnings()


@kernel(MaxPool)
def where(n, c, i, j, k, /, x, *, window, stride, pad, dilation):
    largest = real(0)
    found = -1
    for a in range(window[0]):
        p = i * stride[0] - pad[0] + a * dilation[0]
        if 0 <= p < x.shape[2]:
            for b in range(window[1]):
                q = j * stride[1] - pad[1] + b * dilation[1]
                if 0 <= q < x.shape[3]:
                    for d in range(window[2]):
                        r = k * stride[2] - pad[2] + d * dilation[2]
                        if 0 <= r < x.shape[4]:
                            value = x[n, c, p, q, r]
                            if found < 0 or value > largest or value != value:
                                largest = value
                                found = (a * window[1] + b) * window[2] + d
    return found


@kernel(MaxPool)
def y(n, c, i, j, k, /, x, where, *, window, stride, pad, dilation):
    found = where[n, c, i, j, k]
    p = i * stride[0] - pad[0] + found // (window[1] * window[2]) * dilation[0]
    q = j * stride[1] - pad[1] + found // window[2] % window[1] * dilation[1]
    r = k * stride[2] - pad[2] + found % window[2] * dilation[2]
    return x[n, c, p, q, r]


@kernel(MaxPool)
def dx(n, c, p, q, r, /, dy, where, *, window, stride, pad, dilation):
    # Over the windows that hold this element, at place (a, b, d) of theirs.
    acc = real(0)
    for a in range(window[0]):
        i = p + pad[0] - a * dilation[0]
        if i >= 0 and i % stride[0] == 0 and i // stride[0] < dy.shape[2]:
            for b in range(window[1]):
                j = q + pad[1] - b * dilation[1]
                if j >= 0 and j % stride[1] == 0 and j // stride[1] < dy.shape[3]:
                    for d in range(window[2]):
                        k = r + pad[2] - d * dilation[2]
                        if k >= 0 and k % stride[2] == 0 and k // stride[2] < dy.shape[4]:
                            u, v, w = i // stride[0], j // stride[1], k // stride[2]
                            if where[n, c, u, v, w] == (a * window[1] + b) * window[2] + d:
                                acc += dy[n, c, u, v, w]
    return acc
