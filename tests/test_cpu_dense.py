"""Dense layers on the CPU against products of matrices in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_kernels import NOTHING, gaps, lazy
from cpu_unplanned import run_unplanned
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu.build import build
from netdsl.backends.cpu.dense import dense_forward, dense_input, dense_pack
from netdsl.backends.cpu.dense_plan import (
    FEW,
    HIGH,
    MANY,
    SAMPLES,
    WEIGHTS,
    block_numbers,
    dense_numbers,
    dense_packed_size,
    input_numbers,
    weight_numbers,
    weight_parts_size,
)
from netdsl.backends.cpu.dense_update import dense_adam, dense_sgd
from netdsl.backends.cpu.dense_weight import dense_weight, dense_weight_sum
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.optimizer import adam_step, sgd_step

SIZES = st.integers(1, 70) | st.sampled_from([128, 130, 257, 300])


def room(n: int, ci: int, co: int) -> int:
    """How many numbers a network with such a batch has for what is turned."""
    size, batch = dense_packed_size(ci, co)
    return size * n if batch else size


def forward(data: st.DataObject) -> None:
    n, ci, co = data.draw(SIZES), data.draw(SIZES), data.draw(SIZES)
    more, bound = data.draw(st.sampled_from([0, 3])), data.draw(st.booleans())
    form, size = dense_numbers(n, ci, co)["form"], room(n, ci, co)
    if data.draw(st.booleans()):
        form, size = data.draw(st.sampled_from([FEW, WEIGHTS, SAMPLES])), max(n, co) * ci
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(s).astype(np.float32) for s in ((n, ci), (co, ci), (co,))
    )
    bias = bias if data.draw(st.booleans()) else NOTHING
    out = np.full((n, co + more), np.nan, np.float32)
    packed = np.full(size, np.nan, np.float32)
    x_gaps = gaps(x, ci + more)
    run_unplanned(
        dense_pack, out=packed, x=x_gaps, weight=weight, n=n, ci=ci, co=co, x_step=ci + more,
        form=form,
    )  # fmt: skip
    run_unplanned(
        dense_forward, out=out, x=x_gaps, weight=weight, packed=packed, bias=bias,
        n=n, ci=ci, co=co, step=co + more, x_step=ci + more, form=form,
        out_lo=-1.0 if bound else -np.inf, out_hi=2.0 if bound else np.inf,
    )  # fmt: skip
    wanted = x.astype(float) @ weight.T.astype(float) + (bias if bias.size else 0)
    wanted = np.clip(wanted, -1, 2) if bound else wanted
    np.testing.assert_allclose(out[:, :co], wanted, rtol=0, atol=2e-5 * np.sqrt(ci))
    assert np.isnan(out[:, co:]).all()


def test_what_is_turned_fits_and_is_never_many_weights() -> None:
    for ci, co in ((1, 1), (3, 700), (784, 512), (1024, 1024), (1024, 1025), (25088, 4096)):
        for n in (1, 6, 7, 8, 31, 33, 500, 600, 5000, 1 << 19):
            form = dense_numbers(n, ci, co)["form"]
            rows = {FEW: 0, WEIGHTS: co, SAMPLES: n}[form]
            assert rows * ci <= room(n, ci, co)
            assert form != WEIGHTS or ci * co <= MANY


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_forward(data: st.DataObject) -> None:
    forward(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_forward_long(data: st.DataObject) -> None:
    forward(data)


@pytest.mark.parametrize("form", [FEW, WEIGHTS, SAMPLES])
def test_nan_goes_through_bounds(form: int) -> None:
    x, weight = np.full((2, 3), np.nan, np.float32), np.ones((4, 3), np.float32)
    packed = np.zeros(4 * 3, np.float32)
    out = np.zeros((2, 4), np.float32)
    run_unplanned(dense_pack, out=packed, x=x, weight=weight, n=2, ci=3, co=4, x_step=3, form=form)
    run_unplanned(
        dense_forward, out=out, x=x, weight=weight, packed=packed, bias=NOTHING, n=2, ci=3, co=4,
        step=4, x_step=3, form=form, out_lo=0.0, out_hi=np.inf,
    )  # fmt: skip
    assert np.isnan(out).all()


def backward(data: st.DataObject) -> None:
    n, ci, co = data.draw(SIZES), data.draw(SIZES), data.draw(SIZES)
    more, add = data.draw(st.sampled_from([0, 3])), data.draw(st.integers(0, 1))
    plan = input_numbers(ci)
    if data.draw(st.booleans()):
        plan = {"block": data.draw(st.integers(1, 90)), "depth": data.draw(st.integers(1, 90))}
    rng = np.random.default_rng(0)
    y, ref = rng.standard_normal((2, n, co)).astype(np.float32)
    weight = rng.standard_normal((co, ci)).astype(np.float32)
    masked, cut = data.draw(st.booleans()), data.draw(st.booleans())
    act = rng.standard_normal((n, ci)).astype(np.float32)
    out = np.ones((n, ci + more), np.float32)
    run_unplanned(
        dense_input, out=out, y=gaps(y, co + more), ref=gaps(ref, co) if masked else NOTHING,
        weight=weight, act=act if cut else NOTHING, n=n, ci=ci, co=co, step=ci + more,
        y_step=co + more, ref_step=co, add=add, lo=-0.5, hi=1.0, act_lo=-0.7, act_hi=0.9, **plan,
    )  # fmt: skip
    dy = np.where((ref > -0.5) & (ref < 1), y, 0) if masked else y
    wanted = dy.astype(float) @ weight.astype(float) + add
    wanted = np.where((act > -0.7) & (act < 0.9), wanted, 0) if cut else wanted
    np.testing.assert_allclose(out[:, :ci], wanted, rtol=0, atol=2e-5 * np.sqrt(co))
    assert (out[:, ci:] == 1).all()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_input(data: st.DataObject) -> None:
    backward(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_input_long(data: st.DataObject) -> None:
    backward(data)


def weights(data: st.DataObject) -> None:
    n, ci, co = data.draw(SIZES), data.draw(SIZES), data.draw(SIZES)
    more, add = data.draw(st.sampled_from([0, 3])), data.draw(st.integers(0, 1))
    plan = weight_numbers(n, ci, co)
    if data.draw(st.booleans()):
        pieces = st.integers(1, 5)
        high = max(plan["high"], min(data.draw(pieces), -(-co // HIGH)))
        wide = max(plan["wide"], min(data.draw(pieces), -(-ci // (2 * LANES))))
        plan = {"high": high, "wide": wide, "chunks": min(data.draw(pieces), n)}
    form = data.draw(st.sampled_from(["plain", "passed", "backward"]))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, ci)).astype(np.float32), lazy(rng, n, co, form)
    out = np.ones((co, ci), np.float32)
    bias = np.ones(co if data.draw(st.booleans()) else 0, np.float32)
    parts = np.full(plan["chunks"] * (ci + 1) * co, np.nan, np.float32)
    told = {"n": n, "ci": ci, "co": co, "add": add, "dbias": bias, "parts": parts, **plan}
    run_unplanned(
        dense_weight, out=out, x=gaps(x, ci + more), y=gaps(y.x, co + more), y_coef=y.coef,
        y_ref=gaps(y.ref, co + 1) if y.ref.size else NOTHING, x_step=ci + more, y_step=co + more,
        y_ref_step=co + 1, y_lo=y.lo, y_hi=y.hi, **told,
    )  # fmt: skip
    run_unplanned(dense_weight_sum, out=out, **told)
    bound = 2e-5 * np.sqrt(n) * (1 + np.abs(y.value).max())
    wanted = y.value.T.astype(float) @ x.astype(float) + add
    np.testing.assert_allclose(out, wanted, rtol=0, atol=bound)
    if bias.size:
        np.testing.assert_allclose(bias, y.value.sum(0) + add, rtol=0, atol=bound)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_weight(data: st.DataObject) -> None:
    weights(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_weight_long(data: st.DataObject) -> None:
    weights(data)


def updated(data: st.DataObject) -> None:
    """The optimizer with a gradient that is made as it goes, and with one that was made before."""
    n, ci, co = data.draw(SIZES), data.draw(SIZES | st.just(1100)), data.draw(SIZES)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32).ravel() for shape in ((n, ci), (n, co)))
    p, first, second = np.abs(rng.standard_normal((3, co * ci))).astype(np.float32)
    bias = np.ones(co if data.draw(st.booleans()) else 0, np.float32)
    sizes = {"n": n, "ci": ci, "co": co}
    g, gone = np.full_like(p, np.nan), {"y_ref": NOTHING, "y_coef": NOTHING, "parts": NOTHING}
    run_unplanned(
        dense_weight, out=g, dbias=np.copy(bias), x=x, y=y, x_step=ci, y_step=co, y_ref_step=0,
        add=0, y_lo=0.0, y_hi=0.0, **sizes, **gone, **block_numbers(ci, co), chunks=1,
    )  # fmt: skip
    if data.draw(st.booleans()):
        whole, part, slots = sgd_step, dense_sgd, {"velocity": first}
        told = {"nesterov": data.draw(st.integers(0, 1)), "lr": 0.1, "momentum": 0.9}
    else:
        whole, part, slots = adam_step, dense_adam, {"m": first, "v": second}
        told = {"step": 3, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    told["weight_decay"] = 0.01
    wanted, ours = ({"out": p.copy(), **{n: a.copy() for n, a in slots.items()}} for _ in "12")
    run_unplanned(whole, **wanted, g=g, size=p.size, **told)
    run_unplanned(part, **ours, dbias=bias, x=x, y=y, **sizes, **told, **block_numbers(ci, co))
    for name, array in wanted.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)
    if bias.size:
        np.testing.assert_allclose(bias, y.reshape(n, co).sum(0), rtol=0, atol=2e-5 * np.sqrt(n))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_update(data: st.DataObject) -> None:
    updated(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_update_long(data: st.DataObject) -> None:
    updated(data)


def test_weight_in_double_precision() -> None:
    n, ci, co = 37, 70, 45
    rng, nothing = np.random.default_rng(0), np.zeros(0)
    x, y, out, bias = rng.random((n, ci)), rng.random((n, co)), np.zeros((co, ci)), np.zeros(co)
    build(dense_weight, real="f8")(
        out=out.reshape(-1), dbias=bias, parts=nothing, x=x.reshape(-1), y=y.reshape(-1),
        y_ref=nothing, y_coef=nothing, n=n, ci=ci, co=co, x_step=ci, y_step=co, y_ref_step=0,
        add=0, y_lo=0.0, y_hi=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(out, y.T @ x, rtol=1e-12)
    np.testing.assert_allclose(bias, y.sum(0), rtol=1e-12)


def test_chunks_of_weights_fit_whatever_the_batch() -> None:
    for ci, co in ((1, 1), (70, 50), (128, 512), (4096, 3)):
        room = weight_parts_size(1 << 20, ci, co)
        assert all(weight_parts_size(n, ci, co) <= room for n in (1, 511, 5000, 1 << 19))
