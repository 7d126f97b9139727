"""What the tests of ops share: calls turned into ops, values for them, central differences."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np

import netdsl.initializers
import netdsl.losses
import netdsl.metrics
import netdsl.ops
import netdsl.optimizers
import netdsl.schedules  # noqa: F401
from netdsl.arguments import Word, accept
from netdsl.op import REGISTRY
from netdsl.tensor import DType, Tensor

KINDS = ("layer", "loss", "optimizer", "schedule", "initializer", "metric")
BATCH = 2


def value(text: str) -> Any:
    """A value as the examples write it."""
    constants = {"true": True, "false": False, "none": None}
    if text in constants:
        return constants[text]
    if text[0] in "[(":
        return [value(item) for item in split(text[1:-1])]
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(map(int, text.split("x")))
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return Word(text) if re.fullmatch(r"[A-Za-z_]\w*", text) else float(text)


def split(text: str) -> list[str]:
    """The pieces between the commas that stand in no brackets."""
    return [piece.strip() for piece in re.split(r",(?![^\[(]*[\])])", text) if piece.strip()]


def build(kind: str, text: str) -> Any:
    """The op that a call such as ``conv(4, 3x2, stride=2)`` names."""
    name, arguments = re.fullmatch(r"(\w+)(?:\((.*)\))?", text).groups()  # type: ignore[union-attr]
    op = REGISTRY[kind][name]
    kinds = {parameter.name: parameter.kind for parameter in op.parameters()}
    given: dict[str, Any] = {}
    for position, piece in enumerate(split(arguments or "")):
        key, _, rest = piece.rpartition("=")
        key = key or list(kinds)[position]
        given[key] = accept(kinds[key], value(rest))
    return op(**given)


def tensors(shapes: tuple[str, ...], dtype: DType = DType.REAL) -> list[Tensor]:
    return [Tensor(tuple(map(int, shape.split("x"))), dtype) for shape in shapes]


def far_apart(shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    """Values in [-2, 2], away from each other and from 0: far from all kinks."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    total = sum(sizes)
    values = (np.random.default_rng(seed).permutation(total) - total / 2 + 0.25) / total * 4
    pieces = np.split(values, np.cumsum(sizes)[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def case(call: str, shapes: tuple[str, ...]) -> SimpleNamespace:
    """A layer with values for all that it reads."""
    layer = build("layer", call)
    inputs = tensors(shapes, layer.takes)
    rng = np.random.default_rng(1)
    if layer.takes is DType.INT:
        xs = [rng.integers(0, layer.bound(), (BATCH, *x.dims)) for x in inputs]
    else:
        xs = far_apart([(BATCH, *x.dims) for x in inputs])
    weights = {n: rng.normal(size=w.dims) for n, w in layer.weights(*inputs).items()}
    state = {n: rng.uniform(0.5, 2, s.dims) for n, s in layer.state(*inputs).items()}
    dy = rng.normal(size=(BATCH, *layer.shape(*inputs).dims))
    return SimpleNamespace(
        layer=layer, inputs=inputs, xs=xs, weights=weights, state=state, dy=dy, rng=rng
    )


def examples(kind: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every example of a kind: its call and its shapes."""
    return [(call, tuple(s)) for op in REGISTRY[kind].values() for call, *s in op.examples]


def differences(f: Any, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The gradient of ``f()`` by the array that it reads, by central differences."""
    slopes = np.empty(x.size)
    flat = x.reshape(-1)
    for i in range(x.size):
        kept = flat[i]
        flat[i] = kept + h
        above = f()
        flat[i] = kept - h
        slopes[i] = (above - f()) / (2 * h)
        flat[i] = kept
    return slopes.reshape(x.shape)


def loss_case(call: str, shape: str) -> SimpleNamespace:
    loss, (tensor,) = build("loss", call), tensors((shape,))
    x, real_target = far_apart([(BATCH, *tensor.dims)] * 2)
    wanted = loss.target(tensor)
    classes = np.random.default_rng(2).integers(0, loss.classes(tensor), (BATCH, *wanted.dims))
    return SimpleNamespace(
        loss=loss, x=x, target=classes if wanted.dtype is DType.INT else real_target
    )


def same(ours: np.ndarray, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)
