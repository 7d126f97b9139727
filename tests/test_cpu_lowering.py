"""Random networks on the CPU against their schedules in plain Python: what is fused stays right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle import Oracle

import netdsl
from netdsl.backends.cpu import CPU
from netdsl.backends.emit import emit_cached
from netdsl.backends.loader import load
from netdsl.errors import NetError

TRAIN = """
train {
  optimizer = sgd(lr=0.05, momentum=0.9, weight_decay=0.001)
  loss = cross_entropy
}
"""
BATCH, SEED, RATE = 4, 1, 0.05
TOLERANCE = {"f4": 2e-2, "f8": 1e-8}
"""Relative to the largest gradient: roundings grow, an error of the lowering is as large as one."""


class Drawn:
    """Draws a chain of layers, and keeps in mind how many channels it has."""

    def __init__(self, data: st.DataObject, channels: int) -> None:
        self.data, self.channels = data, channels

    def one_of(self, *options: Any) -> Any:
        return self.data.draw(st.sampled_from(options))

    def convolution(self) -> str:
        kind = self.one_of("same", "same", "stride", "point", "depthwise", "up")
        bias = self.one_of("", ", bias=false")
        if kind == "depthwise":
            return f"conv({self.channels}, 3, pad=1, groups={self.channels}{bias})"
        self.channels = self.one_of(2, 4, 5, 9, 17)
        if kind == "up":
            return f"upconv({self.channels}, 2, stride=2{bias})"
        more = {"same": "3, pad=1", "stride": "3, stride=2", "point": "1"}[kind]
        return f"conv({self.channels}, {more}{bias})"

    def plain(self) -> str:
        """A layer that has no branches and keeps the number of channels."""
        return self.one_of(
            "bn", "bn", "relu", "relu", "relu6", "tanh", "lrn(3)", "dropout(0.3)", "maxpool(2)",
            "maxpool(3, stride=1, pad=1)", "avgpool(2)", "avgpool(3, stride=1, pad=1)", "elu",
            "leaky_relu(0.2)", "sigmoid", "drop_path(0.3)", "upsample(2)",
        )  # fmt: skip

    def narrow(self) -> str:
        """A layer of networks whose images may lie side by side."""
        if self.one_of(True, False):
            return self.one_of(
                "relu", "tanh", "sigmoid", "relu6", "maxpool(2)", "avgpool(2)",
                "maxpool(3, stride=2)", "avgpool(3, stride=1, pad=1)",
            )  # fmt: skip
        window = self.one_of("3, pad=1", "3", "1", "5, pad=2", "3, stride=2, pad=1", "5, pad=2")
        return f"conv({self.one_of(1, 2, 5, 6, 9)}, {window}{self.one_of('', ', bias=false')})"

    def same(self, out: int, depth: int = 0) -> str:
        """Some layers that keep the sizes of pictures, and end with so many channels."""
        inner = [f"conv({out}, {self.one_of('1', '3, pad=1')}{self.one_of('', ', bias=false')})"]
        inner += self.data.draw(st.lists(st.sampled_from(["bn", "relu", "relu6"]), max_size=2))
        if depth < 2 and self.one_of(True, False, False):
            inner.append(self.nested(out, depth + 1))
        return " -> ".join([*self.one_of([], ["bn"], ["relu"], ["bn", "relu"]), *inner])

    def nested(self, out: int, depth: int) -> str:
        """Branches of so many channels all together."""
        if self.one_of(True, False):
            return f"residual {{ {self.same(out, depth)} }}"
        return f"concat [ {self.same(1, depth)}, {self.same(out - 1, depth)} ]"

    def branching(self) -> str:
        kind = self.one_of("residual", "project", "concat", "dense", "gate", "max")
        if kind == "residual":
            return f"residual {{ {self.same(4)} -> {self.same(self.channels)} }}"
        if kind == "project":
            self.channels = self.one_of(4, 6)
            return f"residual(shortcut=project) {{ {self.same(self.channels)} }}"
        if kind == "dense":
            self.channels += 6
            return "dense_block(2) { bn -> relu -> conv(3, 3, pad=1) }"
        if kind == "gate":
            return f"mul [ id, global_avgpool -> dense({self.channels}) -> sigmoid ]"
        if kind == "max":
            return f"max [ {self.same(self.channels)}, id ]"
        one, two = self.one_of(2, 3, 5), self.one_of(2, 4)
        branches = f"{self.same(one)}, maxpool(3, stride=1, pad=1) -> {self.same(two)}"
        self.channels = one + two
        return f"concat [ {branches} ]"

    def layer(self) -> str:
        return self.one_of(self.convolution, self.plain, self.plain, self.branching)()


@st.composite
def networks(draw: st.DrawFn) -> str:
    """The text of a network for small pictures."""
    data = draw(st.data())
    channels, high, wide = (draw(st.integers(1, 3)), *draw(st.tuples(*[st.integers(4, 7)] * 2)))
    drawn = Drawn(data, channels)
    layer = drawn.one_of(drawn.layer, drawn.layer, drawn.narrow)
    layers = [drawn.convolution() if layer == drawn.layer else "conv(3, 3, pad=1)"]
    layers += [layer() for _ in range(draw(st.integers(1, 5)))]
    layers.append(draw(st.sampled_from(["flatten", "global_avgpool", "global_maxpool"])))
    layers += draw(st.sampled_from([[], ["dense(7)", "relu"], ["dense(6)", "bn", "tanh"]]))
    chain = "\n  ".join([*layers, "dense(3)"])
    return f"net A {{\n  input x({channels}x{high}x{wide})\n  {chain}\n}}\n{TRAIN}"


def agree(text: str, real: str) -> None:
    """Two steps with batches of different sizes, and what evaluation says after them."""
    try:
        net = netdsl.loads(text)
    except NetError:
        assume(False)
    schedule = net.schedule()
    engine = load(emit_cached(schedule, CPU, net.name, real)).Model(seed=SEED, batch=BATCH)
    rng = np.random.default_rng(0)
    # No bias is zero: an activation of what is zero but for roundings passes gradients, or not.
    first = engine.parameters() | engine.statistics()
    first = {n: a + (a.ndim == 1) * rng.uniform(0.1, 0.3, a.shape) for n, a in first.items()}
    engine.restore(first)
    oracle = Oracle(schedule, first)
    fed = [*schedule.inputs, schedule.target]
    for step, count in enumerate((BATCH, BATCH - 1), 1):
        x = rng.standard_normal((count, *engine.INPUTS[0][1]))
        y = rng.integers(0, 3, count)
        live = {"count": count, "seed": SEED, "step": step, "lr": RATE}
        oracle.feed(fed, (x, y.reshape(-1, 1)))
        oracle.run((*schedule.train, *schedule.backward, *schedule.update), **live)
        wanted = sum(float(oracle.tensors[loss][0]) for loss in schedule.losses)
        found = engine.train_step(x, y, lr=RATE)
        close(found, wanted, max(1.0, wanted), real, f"loss of step {step}")
        slopes, ours = oracle.gradients(), engine.gradients()
        largest = max(np.abs(array).max() for array in slopes.values())
        for name, array in slopes.items():
            close(ours[name], array, largest, real, f"{name} in step {step}")
    oracle.feed(fed, (x, y.reshape(-1, 1)))
    oracle.run(schedule.predict, **live)
    wanted = oracle.tensors[schedule.outputs[0].buffer].reshape(count, -1)
    close(engine.forward(x), wanted, np.abs(wanted).max(), real, "prediction")


def close(found: Any, wanted: Any, scale: float, real: str, about: str) -> None:
    assert np.isfinite(wanted).all(), f"{about}: the network itself is not finite"
    apart = np.abs(np.asarray(found) - wanted).max() / max(scale, 1e-6)
    assert apart < TOLERANCE[real], f"{about} is off by {apart:.1e}"


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=networks())
def test_random_networks(text: str) -> None:
    agree(text, "f4")


@pytest.mark.slow
@pytest.mark.parametrize("real", ["f4", "f8"])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=networks())
def test_random_networks_long(real: str, text: str) -> None:
    agree(text, real)
