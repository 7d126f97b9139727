"""Average pooling in one, two or three dimensions."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import LARGEST, Pad, Sizes
from netdsl.kernel import device, kernel, real
from netdsl.op import Layer, as_three
from netdsl.sight import Sights
from netdsl.tensor import Tensor, in_space
from netdsl.windows import Axis, Windows, slide


class AvgPool(Layer, name="avgpool"):
    """``y = (sum over window of x) / count`` (LeCun et al. 1998, without their coefficients).

    Output sizes are ``floor((in + 2 * pad - window) / stride) + 1``. What ``ceil`` adds beyond the
    padding never counts, as in PyTorch.

    - ``stride``: how far the window moves; the window itself if not given
    - ``count_pad``: whether the zeros of the padding count
    """

    window: Sizes
    stride: Sizes | None = None
    pad: Pad = 0
    ceil: bool = False
    count_pad: bool = True

    view = staticmethod(in_space)
    synonyms = {
        "kernel_size": "window",
        "pool_size": "window",
        "size": "window",
        "strides": "stride",
        "padding": "pad",
        "ceil_mode": "ceil",
        "count_include_pad": "count_pad",
    }
    examples = (
        ("avgpool(2)", "2x4x5"),
        ("avgpool(3, stride=2, pad=1)", "1x6x5"),
        ("avgpool(3, stride=2, pad=1, count_pad=false)", "1x6x5"),
        ("avgpool(3x2, stride=2, pad=1x0, ceil=true)", "1x6x5"),
        ("avgpool(2, pad=1, ceil=true, count_pad=false)", "2x3x4"),
        ("avgpool(3, stride=1, pad=same)", "2x5"),
        ("avgpool(2, stride=1)", "1x3x2x3"),
    )

    def windows(self, x: Tensor) -> Windows:
        """Where the window goes over an input."""
        stride = self.window if self.stride is None else self.stride
        return slide(x, self.window, stride, self.pad, ceil=self.ceil).filled()

    def shape(self, x: Tensor) -> Tensor:
        return Tensor((x.channels, *self.windows(x).out))

    def numbers(self, x: Tensor) -> dict[str, Any]:
        windows = self.windows(x)
        first, end = zip(*map(self.counted, windows.axes), strict=True)
        return {**windows.numbers(), "first": as_three(first, 0), "end": as_three(end, LARGEST)}

    def counted(self, axis: Axis) -> tuple[int, int]:
        """The first place that counts and the one after the last.

        The end says nothing of the input's size where no window reaches it: equal kernels are
        compiled once.
        """
        end = axis.size + (axis.after if self.count_pad else 0)
        reached = (axis.out - 1) * axis.stride - axis.before + axis.window
        return -axis.before if self.count_pad else 0, end if reached > end else LARGEST

    def sees(self, x: Tensor) -> Sights | None:
        return self.windows(x).sights()

    def formulas(self, x: Tensor) -> dict[str, str]:
        return self.windows(x).formulas()

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        return self.windows(xs[0]).warnings()


@device
def counted(place, window, stride, pad, first, end):
    """How many elements of a window count along one axis."""
    start = place * stride - pad
    return min(start + window, end) - max(start, first)


@kernel(AvgPool)
def y(n, c, i, j, k, /, x, *, window, stride, pad, first, end):
    acc = real(0)
    for p in range(max(i * stride[0] - pad[0], 0), i * stride[0] - pad[0] + window[0]):
        if p < x.shape[2]:
            for q in range(max(j * stride[1] - pad[1], 0), j * stride[1] - pad[1] + window[1]):
                if q < x.shape[3]:
                    row = real(0)
                    for b in range(window[2]):
                        r = k * stride[2] - pad[2] + b
                        if 0 <= r < x.shape[4]:
                            row += x[n, c, p, q, r]
                    acc += row
    count = counted(i, window[0], stride[0], pad[0], first[0], end[0])
    count *= counted(j, window[1], stride[1], pad[1], first[1], end[1])
    count *= counted(k, window[2], stride[2], pad[2], first[2], end[2])
    return acc / real(count)


@kernel(AvgPool)
def dx(n, c, p, q, r, /, dy, *, window, stride, pad, first, end):
    # Over the windows that hold this element.
    acc = real(0)
    for a in range(window[0]):
        i = p + pad[0] - a
        if i >= 0 and i % stride[0] == 0 and i // stride[0] < dy.shape[2]:
            high = counted(i // stride[0], window[0], stride[0], pad[0], first[0], end[0])
            for b in range(window[1]):
                j = q + pad[1] - b
                if j >= 0 and j % stride[1] == 0 and j // stride[1] < dy.shape[3]:
                    wide = counted(j // stride[1], window[1], stride[1], pad[1], first[1], end[1])
                    for d in range(window[2]):
                        k = r + pad[2] - d
                        if k >= 0 and k % stride[2] == 0 and k // stride[2] < dy.shape[4]:
                            u, v, w = i // stride[0], j // stride[1], k // stride[2]
                            deep = counted(w, window[2], stride[2], pad[2], first[2], end[2])
                            acc += dy[n, c, u, v, w] / real(high * wide * deep)
    return acc
