"""Every override computes what the generic kernel computes, on shapes that nobody chose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import netdsl.backends.cpu  # noqa: F401 it attaches the overrides
from netdsl.autodiff import schedule
from netdsl.backends.override import TABLE, override
from netdsl.errors import Problem
from netdsl.interpret import evaluate
from netdsl.ir import Graph, Node
from netdsl.losses.mse import MeanSquaredError
from netdsl.op import Layer
from netdsl.ops.conv import Conv
from netdsl.ops.dense import Dense
from netdsl.ops.input import Input
from netdsl.ops.tanh import Tanh
from netdsl.schedule import Call, Operand, Term
from netdsl.source import Source
from netdsl.tensor import Tensor

PLACE = Source("test.net", "net").span(0, 3)


def calls(layer: Layer, *dims: int) -> list[Call]:
    """What a network of one layer runs; a dense layer before it makes its input want a gradient."""
    start = Input(dims)
    before = Conv(dims[0], 1) if len(dims) > 1 else Dense(dims[0])
    shape = Tensor(dims)
    nodes = (
        Node("image", start, (), shape, PLACE),
        Node("before", before, ("image",), shape, PLACE),
        Node("layer", layer, ("before",), layer.shape(shape), PLACE),
    )
    graph = Graph("Net", nodes, ("layer",)).verify()
    return list(schedule(graph, [Term(1.0, MeanSquaredError(), "layer")]).calls())


def compare(layer: Layer, dims: tuple[int, ...], batch: int, add: bool) -> set[str]:
    """Run all overrides for a layer beside the generic kernels; returns what they make."""
    rng = np.random.default_rng(0)
    found: set[str] = set()
    for call in calls(layer, *dims):
        faster = override(call, "f8") or override(call, "f4")
        if call.owner != "layer" or faster is None or call.kernel.makes in found:
            continue
        found.add(call.kernel.makes)

        def array(operand: Operand) -> np.ndarray:
            tensor = operand.buffer.tensor
            shape = (batch, *tensor.dims) if tensor.batch else tensor.dims
            return rng.standard_normal(shape).reshape(operand.view)

        tensors = {
            name: None if read is None else array(read)  # type: ignore[arg-type]
            for name, read in call.reads.items()
        }
        out = array(call.out)
        wanted = evaluate(call.kernel, out.shape, tensors, {**call.baked, **call.passed})
        wanted = out + wanted if add else wanted
        run(faster, out, tensors, {**call.baked, "add": add})
        np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-6)
    return found


def run(faster: Any, out: np.ndarray, tensors: dict[str, Any], numbers: dict[str, Any]) -> None:
    names = faster.__code__.co_varnames[1 : faster.__code__.co_argcount]
    faster(out, **{name: tensors[name] if name in tensors else numbers[name] for name in names})


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, ...]]:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 2))

    def sizes(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    layer = Conv(
        groups * draw(st.integers(1, 5)),
        sizes(1, 3),
        stride=sizes(1, 3),
        pad=draw(st.sampled_from(["same_upper", sizes(0, 2)])),
        dilation=sizes(1, 2),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, (groups * draw(st.integers(1, 2)), *sizes(1, 5))


@settings(deadline=None, max_examples=40)
@given(convolutions(), st.integers(1, 3), st.booleans())
def test_convolutions(given: tuple[Conv, tuple[int, ...]], batch: int, add: bool) -> None:
    layer, dims = given
    try:
        layer.shape(Tensor(dims))
    except Problem:
        assume(False)
    assert compare(layer, dims, batch, add) == {"y", "dx", "dweight"}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.booleans(), st.booleans())
def test_dense(units: int, features: int, batch: int, bias: bool, add: bool) -> None:
    assert compare(Dense(units, bias=bias), (features,), batch, add) == {"dx", "dweight"}


@pytest.mark.parametrize("add", [False, True])
def test_tanh(add: bool) -> None:
    assert compare(Tanh(), (3, 4, 5), 2, add) == {"y"}


def test_tanh_at_the_ends() -> None:
    (faster,) = [fn for (kernel, _), fn in TABLE.items() if kernel in Tanh.kernels]
    x = np.array([-np.inf, -50.0, -8.0, 0.0, 1e-30, 8.0, np.inf, np.nan])
    out = np.zeros_like(x)
    faster(out, x, False)
    np.testing.assert_allclose(out, np.tanh(x), rtol=3e-7)


def test_all_are_compared() -> None:
    tested = {*Conv.kernels, *Dense.kernels, *Tanh.kernels}
    assert {kernel for kernel, _ in TABLE} <= tested
