"""The oracle: kernels run as plain Python, one element after the other, in double precision.

It knows nothing of graphs and schedules, only the signatures of kernels. Whatever a target computes
must agree with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from netdsl.kernel import Kernel, backward_kernels
from netdsl.op import Layer, Loss, Optimizer
from netdsl.tensor import DType, Tensor, View

RUN = {"seed": 1, "step": 1, "layer": 1}
"""The numbers that a running model would supply."""

Values = dict[str, Any]
"""Arrays by the names that kernels use; a list of arrays for the inputs of a join."""


class _Checked:
    """An array that refuses negative indices, which Python would take and compiled code may not.

    What a kernel fills begins as NaN: it must write everything, and read nothing before.
    """

    __slots__ = ("array", "shape")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape

    def __getitem__(self, index: Any) -> Any:
        if (min(index) if isinstance(index, tuple) else index) < 0:
            raise IndexError(f"index {index} is below 0")
        return self.array[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if min(index) < 0:
            raise IndexError(f"index {index} is below 0")
        self.array[index] = value


def evaluate(
    kernel: Kernel, shape: Sequence[int], tensors: Mapping[str, Any], numbers: Mapping[str, Any]
) -> np.ndarray:
    """The tensor that a kernel makes, as a new array of that shape.

    ``tensors`` are arrays as the kernel sees them, a list of arrays for the variadic name, and None
    (or nothing) for what the op lacks. Whole results make an array of int64, others of float64.
    """
    passed = {name: numbers[name] for name in kernel.numbers}
    read = [tensors.get(name) for name in kernel.tensors]
    if kernel.fills:
        made = np.full(shape, np.nan)
        for n, *checked in _places(kernel, shape[:1], read):
            kernel.fn(n, _Checked(made), *checked, **passed)
        return made
    calls = _elements(kernel, read) if kernel.scalar else _places(kernel, shape, read)
    results = [kernel.fn(*arguments, **passed) for arguments in calls]
    whole = bool(results) and all(isinstance(result, (int, np.integer)) for result in results)
    return np.array(results, np.int64 if whole else np.float64).reshape(shape)


def _elements(kernel: Kernel, read: list[Any]) -> Iterator[Sequence[Any]]:
    """The arguments of a scalar kernel: elements of all it reads, at the same place."""
    arrays = [*read[:-1], *read[-1]] if kernel.many else read
    assert all(array is not None for array in arrays), f"{kernel.makes} reads what is not there"
    return zip(*(array.reshape(-1) for array in arrays), strict=True)


def _places(kernel: Kernel, shape: Sequence[int], read: list[Any]) -> Iterator[Sequence[Any]]:
    """The arguments of any other kernel: the index, and whole tensors."""
    arrays = [*read[:-1], *read[-1]] if kernel.many else read
    checked = [None if array is None else _Checked(array) for array in arrays]
    for index in np.ndindex(*shape):
        yield [*index, *checked]


@dataclass(frozen=True)
class _Frame:
    """One op over one batch: the types of its tensors, and their values in logical shapes.

    A kernel whose tensor the op does not have (the gradient of an absent bias) does not run.
    """

    view: View
    types: Mapping[str, Any]
    values: Values
    numbers: Mapping[str, Any]
    batch: int

    def run(self, kernels: Sequence[Kernel]) -> Values:
        """Run kernels in their order; what they make, later ones read."""
        made: Values = {}
        for kernel in kernels:
            if kernel.makes in self.types:
                made[kernel.makes] = self.make(kernel, self.types[kernel.makes], self.numbers)
                self.values[kernel.makes] = made[kernel.makes]
        return made

    def make(self, kernel: Kernel, tensor: Tensor, numbers: Mapping[str, Any]) -> np.ndarray:
        """Run one kernel for a tensor of that type."""
        logical = (self.batch, *tensor.dims) if tensor.batch else tensor.dims
        shape = np.empty(logical).reshape(self.view(tensor)).shape
        read = {name: self._see(name) for name in kernel.tensors}
        return evaluate(kernel, shape, read, numbers).reshape(logical)

    def _see(self, name: str) -> Any:
        """A tensor in the kernel's view; None if the op lacks it."""
        value = self.values.get(name)
        if isinstance(value, list):
            pairs = zip(value, self.types[name], strict=True)
            return [array.reshape(self.view(tensor)) for array, tensor in pairs]
        return None if value is None else value.reshape(self.view(self.types[name]))


def layer_forward(
    layer: Layer,
    xs: Sequence[np.ndarray],
    weights: Mapping[str, np.ndarray],
    state: Mapping[str, np.ndarray],
    train: bool = True,
    numbers: Mapping[str, Any] = RUN,
) -> Values:
    """What a layer's forward pass makes: ``y``, what only its kernels read, and its new state."""
    if layer.alias:
        return {"y": xs[0].reshape(len(xs[0]), *layer.shape(*_types(xs)).dims)}
    frame = _frame(layer, xs, {**weights, **state}, numbers)
    late = backward_kernels(layer.kernels)
    when = ("always", "train" if train else "eval")
    return frame.run([k for k in layer.kernels if k not in late and k.when in when])


def layer_backward(
    layer: Layer,
    xs: Sequence[np.ndarray],
    weights: Mapping[str, np.ndarray],
    made: Mapping[str, Any],
    dy: np.ndarray,
    numbers: Mapping[str, Any] = RUN,
) -> Values:
    """The gradients by inputs and weights: ``dx`` (a list of them for a join), ``dweight`` …

    ``made`` is what `layer_forward` returned.
    """
    if layer.alias:
        return {"dx": dy.reshape(xs[0].shape)}
    frame = _frame(layer, xs, {**weights, **made, "dy": dy}, numbers)
    late = backward_kernels(layer.kernels)
    gradients = frame.run(late)
    if layer.join:
        (kernel,) = (k for k in late if k.makes == "dx")
        inputs = _types(xs)
        gradients["dx"] = [
            frame.make(kernel, x, {**frame.numbers, **layer.part(which, *inputs)})
            for which, x in enumerate(inputs)
        ]
    return {name: gradients[name] for name in gradients if name not in layer.aux(*_types(xs))}


def loss_value(
    loss: Loss, x: np.ndarray, target: np.ndarray, scale: float = 1.0
) -> tuple[float, np.ndarray]:
    """A loss and its gradient by the prediction."""
    (tensor,) = _types([x])
    types = {"x": tensor, "target": loss.target(tensor), **loss.aux(tensor)}
    types |= {"y": Tensor((1,), batch=False), "dx": tensor}
    numbers = {**loss.numbers(tensor), "scale": scale}
    frame = _Frame(loss.view, types, {"x": x, "target": target}, numbers, len(x))
    made = frame.run(loss.kernels)
    return float(made["y"][0]), made["dx"]


def update(
    optimizer: Optimizer, p: np.ndarray, g: np.ndarray, slots: Mapping[str, np.ndarray], step: int
) -> Values:
    """The weights ``p`` and the slots after a step (the first is 1) along the gradient ``g``."""
    numbers = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}  # type: ignore[arg-type]
    values = {"p": p, "g": g, **slots}
    for kernel in optimizer.kernels:
        values[kernel.makes] = evaluate(kernel, p.shape, values, {**numbers, "step": step})
    return {name: value for name, value in values.items() if name != "g"}


def _types(xs: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    kinds = {True: DType.INT, False: DType.REAL}
    return tuple(Tensor(x.shape[1:], kinds[x.dtype.kind == "i"]) for x in xs)


def _frame(
    layer: Layer, xs: Sequence[np.ndarray], values: Values, numbers: Mapping[str, Any]
) -> _Frame:
    """The frame of a layer: its tensors by the names that its kernels use."""
    inputs, names = _types(xs), layer.inputs()
    y = layer.shape(*inputs)
    types: dict[str, Any] = {"y": y, "dy": y, **layer.aux(*inputs)}
    types |= {name: state.tensor for name, state in layer.state(*inputs).items()}
    for name, weight in layer.weights(*inputs).items():
        types |= {name: weight.tensor, f"d{name}": weight.tensor}
    if layer.join:
        types[names[0]] = inputs
        values = {**values, names[0]: list(xs)}
    else:
        values = {**values, **dict(zip(names, xs, strict=True))}
        for name, tensor in zip(names, inputs, strict=True):
            types |= {name: tensor, f"d{name}": tensor}
    return _Frame(layer.view, types, values, {**layer.numbers(*inputs), **numbers}, len(xs[0]))
