"""The sizes of a layer as the CPU's kernels are told of them."""

from __future__ import annotations

from typing import Any

from netdsl.backends.cpu.lower.lowering import COUNT
from netdsl.schedule import Call, Number
from netdsl.tensor import Tensor


def space(tensor: Tensor) -> tuple[int, int, int]:
    """Depth, height and width; axes that there are not have extent one."""
    sizes = tensor.dims[1:]
    return (*(1,) * (3 - len(sizes)), *sizes)  # type: ignore[return-value]


def sizes(x: Tensor, y: Tensor) -> dict[str, Number]:
    """Images, channels and sizes of what enters and of what leaves."""
    named: dict[str, Number] = {"n": COUNT, "ci": x.channels, "co": y.channels}
    for name, tensor in (("i", x), ("o", y)):
        named |= {f"{name}{axis}": size for axis, size in enumerate(space(tensor))}
    return named


def window(call: Call) -> dict[str, Number]:
    """How a window goes over a picture, by the numbers that its generic kernel has."""
    shape = {"k": "window", "s": "stride", "p": "pad", "d": "dilation"}
    found: dict[str, Number] = {}
    for name, long in shape.items():
        values: Any = call.baked.get(long, (1, 1, 1))
        found |= {f"{name}{axis}": value for axis, value in enumerate(values)}
    return found


def weight_window(weight: Tensor) -> dict[str, Number]:
    """The window of a convolution's weight."""
    found = space(Tensor(weight.dims[1:]))
    return {f"k{axis}": size for axis, size in enumerate(found)}
