"""Gradients by weights on the CPU against sums over taps, over convolutions that nobody chose."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from cpu_kernels import NOTHING, Lazy, gaps, lazy
from cpu_unplanned import run_unplanned
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.conv_weight import conv_weight
from netdsl.backends.cpu.conv_weight_plan import Sizes, parts_size, weight_plan
from netdsl.backends.cpu.conv_weight_sum import conv_weight_sum
from netdsl.backends.cpu.depthwise_plan import depthwise_numbers
from netdsl.backends.cpu.depthwise_weight import depthwise_weight, depthwise_weight_sum

FORMS = ("plain", "forward", "passed", "backward")


def axes(draw: st.DrawFn, least: int, most: int) -> tuple[int, int, int]:
    """A number for each axis; the depth is seldom more than one."""
    depth = draw(st.sampled_from([least, least, least, most]))
    return depth, draw(st.integers(least, most)), draw(st.integers(least, most))


@st.composite
def sizes(draw: st.DrawFn, depthwise: bool = False) -> Sizes:
    """A convolution whose padding behind is whatever it likes."""
    i, k = axes(draw, 1, 9), axes(draw, 1, 4)
    s, d = axes(draw, 1, 3), axes(draw, 1, 2)
    p = (draw(st.integers(0, k[0] - 1)), *(draw(st.integers(0, k[a])) for a in (1, 2)))
    behind = [draw(st.integers(0, before)) for before in p]
    o = [(i[a] + p[a] + behind[a] - (k[a] - 1) * d[a] - 1) // s[a] + 1 for a in range(3)]
    assume(min(o) > 0)
    n, many = draw(st.integers(1, 4)), st.sampled_from([1, 2, 3, 7, 16, 19, 33, 50])
    if depthwise:
        c = draw(many)
        return Sizes(n, c, c, c, i, (o[0], o[1], o[2]), k, s, p, d)
    groups, ci, co = draw(st.sampled_from([1, 1, 2, 3])), draw(many), draw(many)
    return Sizes(n, groups * ci, groups * co, groups, i, (o[0], o[1], o[2]), k, s, p, d)


@st.composite
def plans(draw: st.DrawFn, sizes: Sizes) -> dict[str, int]:
    """A way for the work to fall apart that no rule would choose."""
    plan = weight_plan(sizes)
    if draw(st.booleans()):
        return plan
    cig, cog = sizes.ci // sizes.groups, sizes.co // sizes.groups
    joint = plan["k2"] > 1 and plan["d2"] == 1 and draw(st.booleans())
    block_i = cig if joint else draw(st.integers(1, cig + 3))
    block_o = draw(st.integers(1, cog + 3))
    some = st.integers(1, 4)
    planes, rows, cols = draw(some), draw(some), draw(some)
    pieces = -(-plan["n"] * plan["o0"] // planes)
    pieces *= -(-plan["o1"] // rows) * -(-plan["o2"] // cols)
    return {
        **plan,
        **{"across": draw(st.integers(0, 1)), "joint": int(joint), "span": draw(some)},
        **{"block_i": block_i, "block_o": block_o, "chunks": min(pieces, draw(some))},
        **{"planes": planes, "rows": rows, "cols": cols},
        **{"x_row": cig if joint else block_i + draw(some), "y_row": block_o + draw(some)},
    }


def lazies(rng: np.random.Generator, sizes: Sizes, forms: tuple[str, str]) -> tuple[Lazy, Lazy]:
    """The input and the gradient, positions by channels."""
    x = lazy(rng, sizes.n * int(np.prod(sizes.i)), sizes.ci, forms[0])
    return x, lazy(rng, sizes.n * int(np.prod(sizes.o)), sizes.co, forms[1], -0.7, 0.9)


def operands(x: Lazy, y: Lazy, more: int) -> dict[str, Any]:
    """What kernels are told about two tensors with ``more`` numbers between positions."""
    named: dict[str, Any] = {"coef": x.coef, "lo": x.lo, "hi": x.hi}
    named |= {"y_coef": y.coef, "y_lo": y.lo, "y_hi": y.hi}
    for name, array in {"x": x.x, "ref": x.ref, "y": y.x, "y_ref": y.ref}.items():
        step = array.shape[-1] + more
        named[name] = gaps(array, step) if array.size else array
        named[f"{name}_step"] = step
    return named


def wanted(sizes: Sizes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient, tap by tap."""
    i, o, k, s, p, d = sizes.i, sizes.o, sizes.k, sizes.s, sizes.p, sizes.d
    cig, cog = sizes.ci // sizes.groups, sizes.co // sizes.groups
    room = [(o[a] - 1) * s[a] + (k[a] - 1) * d[a] + 1 for a in range(3)]
    padded = np.zeros((sizes.n, *(max(room[a], i[a] + p[a]) for a in range(3)), sizes.ci))
    inside = tuple(slice(p[a], p[a] + i[a]) for a in range(3))
    padded[:, *inside] = x.reshape(sizes.n, *i, sizes.ci)
    dy = y.reshape(-1, sizes.groups, cog)
    out = np.zeros((sizes.groups, cog, cig, *k))
    for t in product(*map(range, k)):
        seen = tuple(
            slice(t[a] * d[a], t[a] * d[a] + (o[a] - 1) * s[a] + 1, s[a]) for a in range(3)
        )
        taken = padded[:, *seen].reshape(-1, sizes.groups, cig)
        out[:, :, :, *t] = np.einsum("pgo,pgi->goi", dy, taken)
    return out.reshape(sizes.co, cig, *k)


def compare(out: np.ndarray, bias: np.ndarray, sizes: Sizes, x: Lazy, y: Lazy, add: int) -> None:
    bound = 1e-5 * np.abs(x.value).max() * np.abs(y.value).max() * len(y.value) + 1e-5
    np.testing.assert_allclose(out - add, wanted(sizes, x.value, y.value), rtol=0, atol=bound)
    if bias.size:
        np.testing.assert_allclose(bias - add, y.value.sum(0), rtol=0, atol=bound)


def check_weight(data: st.DataObject) -> None:
    shape = data.draw(sizes())
    plan = data.draw(plans(shape))
    forms = data.draw(st.tuples(st.sampled_from(FORMS), st.sampled_from(FORMS)))
    add, more = data.draw(st.integers(0, 1)), data.draw(st.sampled_from([0, 3]))
    x, y = lazies(np.random.default_rng(0), shape, forms)
    out = np.ones((shape.co, shape.ci // shape.groups, *shape.k), np.float32)
    bias = np.ones(shape.co if data.draw(st.booleans()) else 0, np.float32)
    parts = np.full(parts_size(plan), np.nan, np.float32)
    given_ = {**operands(x, y, more), **plan, "add": add}
    run_unplanned(conv_weight, out=out, dbias=bias, parts=parts, **given_)
    run_unplanned(conv_weight_sum, out=out, dbias=bias, parts=parts, **given_)
    compare(out, bias, shape, x, y, add)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_weights(data: st.DataObject) -> None:
    check_weight(data)


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_weights_long(data: st.DataObject) -> None:
    check_weight(data)


def check_depthwise(data: st.DataObject) -> None:
    shape = data.draw(sizes(depthwise=True))
    forms = data.draw(st.tuples(st.sampled_from(FORMS), st.sampled_from(FORMS)))
    add, more = data.draw(st.integers(0, 1)), data.draw(st.sampled_from([0, 3]))
    x, y = lazies(np.random.default_rng(0), shape, forms)
    plan, some = depthwise_numbers(shape.n, *shape.o), st.integers(1, 4)
    if data.draw(st.booleans()):
        plan = {"rows": data.draw(some), "cols": data.draw(some), "chunks": data.draw(some)}
    out = np.ones((shape.ci, 1, *shape.k), np.float32)
    bias = np.ones(shape.ci if data.draw(st.booleans()) else 0, np.float32)
    size = plan["chunks"] * (int(np.prod(shape.k)) + 1) * shape.ci
    parts = np.full(size, np.nan, np.float32)
    numbers = {f"{a}{j}": getattr(shape, a)[j] for a in "iokspd" for j in range(3)}
    numbers |= {"n": shape.n, "ci": shape.ci, **plan}
    run_unplanned(depthwise_weight, dbias=bias, parts=parts, **operands(x, y, more), **numbers)
    run_unplanned(depthwise_weight_sum, out=out, dbias=bias, parts=parts, **numbers, add=add)
    compare(out, bias, shape, x, y, add)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_depthwise(data: st.DataObject) -> None:
    check_depthwise(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_depthwise_long(data: st.DataObject) -> None:
    check_depthwise(data)


def test_threads_do_not_change_bits() -> None:
    ones = (1, 1, 1)
    shape = Sizes(6, 32, 48, 1, (1, 24, 24), (1, 24, 24), (1, 3, 3), ones, (0, 1, 1), ones)
    plan = weight_plan(shape)
    assert plan["chunks"] > 1, "else there is nothing to see"
    x, y = lazies(np.random.default_rng(0), shape, ("plain", "plain"))
    given_ = {**operands(x, y, 0), **plan, "add": 0, "dbias": NOTHING}
    found = []
    for threads in (1, 3):
        out = np.zeros(shape.co * shape.ci * 9, np.float32)
        parts = np.zeros(parts_size(plan), np.float32)
        for kernel in (conv_weight, conv_weight_sum):
            run_unplanned(kernel, threads, out=out, parts=parts, **given_)
        found.append(out)
    assert found[0].tobytes() == found[1].tobytes()


def test_long_sums_keep_their_digits() -> None:
    ones = (1, 1, 1)
    places = (1, 1, 1 << 18)
    plan = weight_plan(Sizes(1, 2, 3, 1, places, places, ones, ones, (0, 0, 0), ones))
    rng = np.random.default_rng(0)
    x = Lazy(rng.uniform(0.5, 1, (1 << 18, 2)).astype(np.float32), NOTHING, NOTHING, 0, 0, NOTHING)
    y = Lazy(rng.uniform(0.5, 1, (1 << 18, 3)).astype(np.float32), NOTHING, NOTHING, 0, 0, NOTHING)
    out, bias = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    parts = np.zeros(parts_size(plan), np.float32)
    given_ = {**operands(x, y, 0), **plan, "add": 0}
    run_unplanned(conv_weight, out=out, dbias=bias, parts=parts, **given_)
    run_unplanned(conv_weight_sum, out=out, dbias=bias, parts=parts, **given_)
    np.testing.assert_allclose(out, y.x.T.astype(float) @ x.x.astype(float), rtol=3e-6)
    np.testing.assert_allclose(bias, y.x.sum(0, dtype=float), rtol=3e-6)
