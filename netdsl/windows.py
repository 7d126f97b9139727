"""Sliding windows: the output-size formulas that convolution and pooling share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netdsl.errors import Problem
from netdsl.op import as_three, expand
from netdsl.sight import Sight, Sights
from netdsl.tensor import Tensor

AXES = (("length",), ("height", "width"), ("depth", "height", "width"))
"""What the axes are called, by how many there are."""


@dataclass(frozen=True)
class Axis:
    """A window sliding along one axis.

    ``out = floor((size + before + after - dilation * (window - 1) - 1) / stride) + 1``
    (Dumoulin and Visin 2016, relation 15); with ``ceil`` the division rounds up, as in Caffe's
    pooling, and a window that would start beyond the input and its padding before is left out.
    """

    size: int
    window: int
    stride: int
    before: int
    after: int
    dilation: int = 1
    ceil: bool = False

    @property
    def reach(self) -> int:
        """From the window's first element to its last, both included."""
        return self.dilation * (self.window - 1) + 1

    @property
    def slack(self) -> int:
        """How far the window can travel."""
        return self.size + self.before + self.after - self.reach

    @property
    def out(self) -> int:
        """How many places the window takes."""
        steps = -(-self.slack // self.stride) if self.ceil else self.slack // self.stride
        if self.ceil and steps * self.stride >= self.size + self.before:
            steps -= 1
        return steps + 1

    @property
    def rest(self) -> int:
        """How many elements at the end no window covers."""
        return 0 if self.ceil else self.slack % self.stride

    def formula(self) -> str:
        """The formula with its numbers: ``(224 + 2*3 - 7)/2 + 1 = 112.5, floor 112``."""
        even = self.before == self.after
        padding = f"2*{self.before}" if even else f"{self.before} + {self.after}"
        padded = f"{self.size} + {padding}" if self.before or self.after else f"{self.size}"
        reach = f"{self.window}"
        if self.dilation > 1:
            reach = f"{self.dilation}*({self.window} - 1) - 1"
        exact = self.slack / self.stride + 1
        result = f"({padded} - {reach})/{self.stride} + 1 = {exact:g}"
        rounding = "ceil" if self.ceil else "floor"
        return result if exact == self.out else f"{result}, {rounding} {self.out}"


@dataclass(frozen=True)
class Windows:
    """The windows of a layer over all spatial axes of its input."""

    axes: tuple[Axis, ...]

    @property
    def out(self) -> tuple[int, ...]:
        """The spatial sizes of the output."""
        return tuple(axis.out for axis in self.axes)

    def sights(self) -> Sights:
        """What one place of the window sees, padding included."""
        return tuple(Sight(-a.before, a.reach - 1 - a.before, a.stride) for a in self.axes)

    def formulas(self) -> dict[str, str]:
        """The formula of each axis, of equal ones once."""
        return by_axis(tuple(axis.formula() for axis in self.axes))

    def numbers(self) -> dict[str, Any]:
        """What kernels want to know, for three spatial axes."""
        return {
            "window": as_three(tuple(a.window for a in self.axes), 1),
            "stride": as_three(tuple(a.stride for a in self.axes), 1),
            "pad": as_three(tuple(a.before for a in self.axes), 0),
            "dilation": as_three(tuple(a.dilation for a in self.axes), 1),
        }

    def filled(self) -> Windows:
        """The windows themselves; raises `Problem` if one could lie in the padding alone."""
        for axis in self.axes:
            pad = max(axis.before, axis.after)
            if pad >= axis.reach or (pad and axis.dilation > axis.size):
                raise Problem(
                    f"pad={pad} lets a window of {axis.reach} lie in the padding alone",
                    help="padding must be smaller than the window",
                    argument="pad",
                )
        return self

    def warnings(self) -> tuple[str, ...]:
        """Say where a stride does not cover the input exactly."""
        return tuple(
            f"stride {a.stride} leaves {a.rest} of {a.size} uncovered: {a.formula()}"
            for a in dict.fromkeys(self.axes)
            # Padding may go unused, and a window narrower than its stride leaves gaps anyway.
            if a.rest > max(a.before, a.after, a.stride - a.reach)
        )


def by_axis(formulas: tuple[str, ...]) -> dict[str, str]:
    """A formula for each spatial axis, by the names of the axes; equal ones are said once."""
    named: dict[str, list[str]] = {}
    for name, formula in zip(AXES[len(formulas) - 1], formulas, strict=True):
        named.setdefault(formula, []).append(name)
    return {", ".join(names): formula for formula, names in named.items()}


def slide(
    x: Tensor,
    window: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    pad: int | tuple[int, ...] | str,
    dilation: int | tuple[int, ...] = 1,
    ceil: bool = False,
) -> Windows:
    """The windows over an input; raises `Problem` where a window does not fit."""
    rank = len(x.spatial)
    if not 1 <= rank <= 3:
        raise Problem(
            f"a window needs an input with 1, 2 or 3 spatial axes, not {x}",
            help="a picture is channels x height x width, such as 3x224x224",
        )
    sizes = zip(
        x.spatial,
        expand(window, rank, "window"),
        expand(stride, rank, "stride"),
        _pads(pad, rank),
        expand(dilation, rank, "dilation"),
        strict=True,
    )
    windows = Windows(tuple(_axis(*axis, ceil) for axis in sizes))
    for axis in windows.axes:
        if axis.slack < 0 or axis.out < 1:
            raise Problem(
                f"a window of {axis.reach} does not fit into {axis.size + axis.before + axis.after}"
                f" (input {x}): {axis.formula()}",
                help="make the window smaller, or pad",
                argument="window",
            )
    return windows


def _pads(pad: int | tuple[int, ...] | str, rank: int) -> tuple[int | str, ...]:
    return (pad,) * rank if isinstance(pad, str) else expand(pad, rank, "pad")


def _axis(size: int, window: int, stride: int, pad: int | str, dilation: int, ceil: bool) -> Axis:
    if isinstance(pad, int):
        return Axis(size, window, stride, pad, pad, dilation, ceil)
    reach = dilation * (window - 1)
    if pad == "same":
        if reach % 2:
            raise Problem(
                f"pad=same is symmetric and needs an odd window, not {window}",
                help="use an odd window, or pad=same_upper for TensorFlow's rule",
                argument="pad",
            )
        return Axis(size, window, stride, reach // 2, reach // 2, dilation, ceil)
    # TensorFlow's rule: ceil(size / stride) places, the odd element of padding at the end.
    total = max(0, (-(-size // stride) - 1) * stride + reach + 1 - size)
    return Axis(size, window, stride, total // 2, total - total // 2, dilation, ceil)
