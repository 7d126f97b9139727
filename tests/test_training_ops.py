"""Losses, optimizers, schedules, initialisers and metrics: are they what their first line says?"""

from __future__ import annotations

import re
from math import cos, pi, sqrt

import numpy as np
import pytest
from op_cases import build, differences, examples, loss_case, same, tensors

from netdsl.compiler import load_source
from netdsl.interpret import loss_value, update
from netdsl.op import REGISTRY
from netdsl.source import Source


@pytest.mark.parametrize(("call", "shapes"), examples("loss"))
def test_the_gradient_of_a_loss_is_that_of_central_differences(call, shapes):
    c = loss_case(call, *shapes)
    _, dx = loss_value(c.loss, c.x, c.target, 0.3)
    slopes = differences(lambda: loss_value(c.loss, c.x, c.target, 0.3)[0], c.x)
    np.testing.assert_allclose(dx, slopes, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("op", [*REGISTRY["loss"].values(), *REGISTRY["optimizer"].values()])
def test_a_loss_or_optimizer_reads_only_what_there_is(op):
    fields = {parameter.name for parameter in op.parameters()}
    if op.kind == "optimizer":
        tensors_, numbers, made = {"p", "g", *op.slots}, fields | {"step"}, {"p", *op.slots}
        assert all(kernel.scalar for kernel in op.kernels)
    else:
        aux = set(build("loss", op.examples[0][0]).aux(tensors((op.examples[0][1],))[0]))
        tensors_, numbers, made = {"x", "target", *aux}, fields | {"scale"}, {"y", "dx", *aux}
    assert {kernel.makes for kernel in op.kernels} == made
    for kernel in op.kernels:
        assert set(kernel.tensors) <= tensors_
        assert set(kernel.numbers) <= numbers


MILESTONES = "step(at=[2, 4.5], factor=0.1, warmup=1)"
SCHEDULES = [
    ("constant", 0.25, 1),
    ("constant(warmup=2)", 0.5, 0.25),
    ("constant(warmup=2)", 2, 1),
    (MILESTONES, 0.5, 0.5),
    (MILESTONES, 1.99, 1),
    (MILESTONES, 2, 0.1),
    (MILESTONES, 4.49, 0.1),
    (MILESTONES, 4.5, 0.01),
    ("step(at=[1], warmup=2)", 1, 0.05),
    ("cosine", 0, 1),
    ("cosine", 5, 0.5),
    ("cosine", 10, 0),
    ("cosine(warmup=2)", 0.5, 0.25),
    ("cosine(warmup=2)", 2, 1),
    ("cosine(warmup=2)", 6, 0.5),
    ("cosine(warmup=2, floor=0.1)", 10, 0.1),
    ("cosine(warmup=2, floor=0.1)", 4, 0.1 + 0.9 * (1 + cos(pi / 4)) / 2),
    ("cosine(warmup=10)", 10, 0),
    ("cosine(warmup=20)", 10, 0.5),
]


@pytest.mark.parametrize(("call", "epoch", "expected"), SCHEDULES)
def test_a_schedule_in_closed_form(call, epoch, expected):
    assert build("schedule", call).multiplier(epoch, 10) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("call", "_"), examples("schedule"))
def test_no_step_of_a_schedule_has_a_rate_of_zero(call, _):
    schedule = build("schedule", call)
    rates = [schedule.multiplier((step + 0.5) / 7, 6) for step in range(6 * 7)]
    assert 0 < min(rates) <= max(rates) <= 1


INITIALIZERS = [
    ("zeros", "constant", 0),
    ("ones", "constant", 1),
    ("constant(-0.5)", "constant", -0.5),
    ("normal", "normal", 0.01),
    ("uniform(0.2)", "uniform", 0.2),
    ("kaiming", "uniform", sqrt(6 / 50)),
    ("kaiming(normal)", "normal", sqrt(2 / 50)),
    ("kaiming(normal, gain=1, fan=out)", "normal", sqrt(1 / 20)),
    ("xavier", "uniform", sqrt(6 / 70)),
    ("xavier(normal, gain=3)", "normal", 3 * sqrt(2 / 70)),
    ("bilinear", "bilinear", 1),
    ("orthogonal", "orthogonal", 1),
    ("orthogonal(gain=2)", "orthogonal", 2),
]


@pytest.mark.parametrize(("call", "distribution", "number"), INITIALIZERS)
def test_an_initializer_in_closed_form(call, distribution, number):
    assert build("initializer", call).draw(50, 20) == (distribution, pytest.approx(number))


@pytest.mark.parametrize(("factor", "window"), [(2, 4), (3, 5)])
def test_an_upconv_of_bilinear_weights_begins_as_an_upsampling(factor, window):
    text = f"""net A {{
      input x(2x5x4)
      upconv(2, {window}, stride={factor}, pad=1, bias=false, init=bilinear) as learnt
      @x -> upsample({factor}, bilinear) as fixed
      output learnt, fixed }}"""
    model = load_source(Source("a.net", text)).compile("cpu", batch=1)
    made = model.predict(np.random.default_rng(0).normal(size=(1, 2, 5, 4)))
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    np.testing.assert_allclose(made["learnt"][inside], made["fixed"][inside], atol=1e-6)


def test_every_initializer_is_in_the_table():
    assert {re.match(r"\w+", call)[0] for call, *_ in INITIALIZERS} == set(REGISTRY["initializer"])


NAN = float("nan")
METRICS = [
    ("accuracy", [[1, 3, 2], [4, 0, 1]], [[1], [2]], 1),
    ("accuracy", [[1, 1, 0], [1, 1, 0]], [[0], [1]], 1),
    ("accuracy", [[[1, 0], [0, 1]], [[1, 1], [0, 0]]], [[[0, 0]], [[0, 1]]], 1),
    ("accuracy", [[0.5], [-1], [0], [NAN]], [[1], [1], [0], [0]], 2),
    ("top(1)", [[1, 3, 2], [4, 0, 1]], [[1], [2]], 1),
    ("top(1)", [[0.5], [-1], [0]], [[1], [1], [0]], 2),
    ("top(1)", [[1, 1, 0], [1, 1, 0]], [[0], [1]], 1),
    ("top(2)", [[1, 3, 2], [4, 0, 1]], [[2], [1]], 1),
    ("top(2)", [[1, 1, 1], [1, 1, 1]], [[1], [2]], 1),
    ("top(2)", [[[1, 0], [0, 1], [2, 2]]], [[[0, 0]]], 0.5),
    ("top(2)", [[NAN, NAN, NAN], [1, NAN, NAN]], [[2], [0]], 0),
    ("top", [[0, 0, 0]], [[2]], 1),
]


@pytest.mark.parametrize(("call", "prediction", "target", "score"), METRICS)
def test_a_metric_by_hand(call, prediction, target, score):
    assert build("metric", call).score(np.array(prediction, float), np.array(target)) == score


@pytest.mark.parametrize(("call", "shapes"), examples("loss"))
def test_a_loss_agrees_with_pytorch(call, shapes):
    torch = pytest.importorskip("torch")
    c = loss_case(call, *shapes)
    x, target = torch.tensor(c.x, requires_grad=True), torch.tensor(c.target)
    f = torch.nn.functional
    theirs = {
        "cross_entropy": lambda: f.cross_entropy(
            x, target.squeeze(1), label_smoothing=c.loss.smoothing
        ),
        "binary_cross_entropy": lambda: f.binary_cross_entropy_with_logits(x, target.double()),
        "mse": lambda: f.mse_loss(x, target),
    }[c.loss.name]()
    (0.3 * theirs).backward()
    y, dx = loss_value(c.loss, c.x, c.target, 0.3)
    assert y == pytest.approx(0.3 * theirs.item(), rel=1e-12)
    same(dx, x.grad)


@pytest.mark.parametrize(("call", "_"), examples("optimizer"))
def test_five_steps_of_an_optimizer_agree_with_pytorch(call, _):
    torch = pytest.importorskip("torch")
    op, rng = build("optimizer", call), np.random.default_rng(3)
    values = {name: np.zeros(6) for name in op.slots} | {"p": rng.normal(size=6)}
    p = torch.tensor(values["p"], requires_grad=True)
    given = {n.name: getattr(op, n.name) for n in op.parameters()}
    given.pop("decay_bn")
    if op.name == "adam":
        given["betas"] = (given.pop("beta1"), given.pop("beta2"))
    judge = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[op.name]([p], **given)
    for step in range(1, 6):
        g = rng.normal(size=6)
        p.grad = torch.tensor(g)
        judge.step()
        weights = values.pop("p")
        values = update(op, weights, g, values, step)
        same(values["p"], p)


@pytest.mark.parametrize("call", ["constant", "step(at=[2, 4], factor=0.5)", "cosine(floor=0.2)"])
def test_a_schedule_agrees_with_pytorch(call):
    torch = pytest.importorskip("torch")
    op, rates = build("schedule", call), torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    judge = {
        "constant": lambda: rates.ConstantLR(optimizer, 1),
        "step": lambda: rates.MultiStepLR(optimizer, [2, 4], gamma=0.5),
        "cosine": lambda: rates.CosineAnnealingLR(optimizer, 6, eta_min=0.2),
    }[op.name]()
    for epoch in range(6):
        assert op.multiplier(epoch, 6) == pytest.approx(judge.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        judge.step()
