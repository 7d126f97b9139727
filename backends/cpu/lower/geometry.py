"""The sizes of a layer as the CPU's kernels are told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from netdsl.backends.cpu.lower.lazy import COUNT
from netdsl.schedule import Call, Counted, Number, Scaled
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


def whole(geometry: Mapping[str, Number], *names: str) -> dict[str, int]:
    """Some numbers that do not depend on the batch."""
    return {name: int(geometry[name]) for name in names}  # type: ignore[arg-type]


def function_of(fn: Callable[..., int], numbers: Mapping[str, Number]) -> Counted:
    """A function of some of these numbers, by the names of its parameters."""
    return Counted(fn, tuple((name, numbers[name]) for name in signature(fn).parameters))  # type: ignore[misc]


def at_batch(fn: Callable[..., Any], numbers: Mapping[str, Number], batch: int) -> Any:
    """What a function of some of these numbers gives for a batch."""
    known = {name: n.factor * batch if isinstance(n, Scaled) else n for name, n in numbers.items()}
    known = {name: batch if n == COUNT else n for name, n in known.items()}
    return fn(**{name: known[name] for name in signature(fn).parameters})


def most(fn: Callable[..., int], numbers: Mapping[str, Number]) -> int:
    """The most that a function gives whatever the batch is; it stops growing, or has no batch."""
    return max(at_batch(fn, numbers, 2**power) for power in range(13))
