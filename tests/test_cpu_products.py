"""Gradients of large dense layers, which the optimizer makes as it goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.cpu import CPU
from netdsl.backends.cpu.explain import Choices, memory
from netdsl.backends.cpu.lower import products
from netdsl.backends.emit import emit_cached
from netdsl.backends.loader import load

NET = """
net Small {{
  input x(2x6x6)
  conv(4, 3) -> relu -> flatten
  dense(48) -> relu -> dropout(0.2)
  dense(40) -> bn -> relu
  dense(5) as logits
}}

train {{
  batch = 16
  optimizer = {optimizer}
  loss = cross_entropy(@logits)
}}
"""
SGD = "sgd(0.1, momentum=0.9, nesterov=true, weight_decay=0.01, decay_bn=false)"
ADAM = "adam(0.01, weight_decay=0.01)"
COUNTS = (1, 16, 9)
LEFT = ("dense2.weight", "dense1.weight")


def engine(optimizer: str) -> Any:
    net = netdsl.loads(NET.format(optimizer=optimizer))
    return load(emit_cached(net.schedule(), CPU, net.name)).Model(batch=16)


def trained(engine: Any) -> dict[str, np.ndarray]:
    """What some steps leave behind, and the gradients of the last, asked for after other work."""
    rng = np.random.default_rng(0)
    for count in COUNTS:
        batch = rng.standard_normal((count, 2, 6, 6), np.float32), rng.integers(0, 5, count)
        engine.train_step(*batch, lr=0.1)
    engine.forward(rng.standard_normal((16, 2, 6, 6), np.float32))
    gradients = {f"gradient/{name}": array for name, array in engine.gradients().items()}
    return engine.snapshot() | gradients


@pytest.mark.parametrize("optimizer", [SGD, ADAM])
def test_training_is_the_same_to_the_bit(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = engine(optimizer)
    wanted = trained(plain)
    monkeypatch.setattr(products, "LARGE", 1000)
    ours = engine(optimizer)
    assert (plain.PRODUCTS, ours.PRODUCTS) == ((), LEFT)
    found = trained(ours)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_gradients_are_not_held_until_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(products, "LARGE", 1000)
    ours = engine(SGD)
    assert not any(array.any() for array in ours.gradients().values())
    trained(ours)
    assert all(array.any() for array in ours.gradients().values())
    ours.reset()
    assert not any(array.any() for array in ours.gradients().values())


def test_the_plan_tells_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "LARGE", 1000)
    schedule = CPU.lower(netdsl.loads(NET.format(optimizer=SGD)).schedule(), "f4")
    large = sum(placed.size for placed in schedule.weights if str(placed.buffer) in LEFT)
    assert memory(schedule, 16).gradients == 4 * (schedule.size - large)
    note = Choices(schedule, training=True).get("dense1", "dweight")
    assert note and (note.how, note.why) == (products.HOW, products.WHY)
