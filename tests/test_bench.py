"""``netdsl bench`` and ``compile --explain``: whose time a call takes, and what is told of kernels.

No time is compared: what can be known of them is that they belong to the right layers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from shell import Capture, run

import netdsl
from netdsl import bench
from netdsl.backends.cpu import CPU
from netdsl.backends.cpu.explain import Choices, memory, near, words
from netdsl.bench import Ask
from netdsl.compiler import load

TEXT = """net Small {
  input image(3x12x12)
  conv(32, 3, bias=false) -> bn -> relu
  conv(32, 3) -> relu -> maxpool(2)
  residual { conv(32, 3, pad=1) -> bn }
  relu -> conv(32, 3, groups=32) -> tanh -> flatten -> dense(10) as logits
}

train {
  optimizer = sgd(lr=0.1, momentum=0.9)
  loss      = cross_entropy(@logits)
  batch     = 8
}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    path.write_text(TEXT)
    return path


def test_every_call_is_some_layers(small: Path) -> None:
    net = load(small)
    times = bench.measure(net, Ask(threads=2, steps=1))
    assert (times.batch, times.threads, len(times.steps)) == (8, 2, 1)
    asked = times.layers
    worked = {name for name, spent in asked.items() if spent.whole}
    assert worked == {
        "conv1", "bn1", "conv2", "maxpool1", "residual1.conv1", "residual1.bn1",
        "residual1.add1", "conv3", "tanh1", "logits",
    }  # fmt: skip
    assert {"loss", "optimizer", "feeding and waiting"} <= set(times.others)
    assert all(asked[name].backward for name in ("conv1", "bn1", "conv2", "conv3", "logits"))
    spent = sum(s.whole for s in asked.values()) + sum(s.whole for s in times.others.values())
    assert spent == pytest.approx(times.clocked)


def test_operations(small: Path) -> None:
    net = load(small)
    flops = {n.name: bench.flops(net, n, True, 8) for n in net.graph}
    each = 2 * 8 * net.graph.macs(net.graph["conv1"])
    assert (flops["conv1"].forward, flops["conv1"].backward) == (each, each)  # no dx
    each = 2 * 8 * net.graph.macs(net.graph["conv2"])
    assert (flops["conv2"].forward, flops["conv2"].backward) == (each, 2 * each)
    assert bench.flops(net, net.graph["conv2"], False, 8).backward == 0
    assert not flops["relu1"].whole


def test_what_is_told_of_kernels(small: Path) -> None:
    lowered = CPU.lower(load(small).schedule(), "f4")
    choices = Choices(lowered, training=True)
    found = {
        f"{note.owner} {name}": words(note)
        for owner in (
            "conv1",
            "bn1",
            "relu1",
            "conv2",
            "relu2",
            "residual1.conv1",
            "relu3",
            "conv3",
        )
        for name, note in choices.of(owner).items()
    }
    assert found["conv1 y"] == "direct" and "conv1 dx" not in found
    assert found["conv2 y"] == found["conv2 dx"] == found["conv2 dweight"] == "winograd F(4x4)"
    assert found["bn1 y"] == found["relu1 y"] == "made in conv2"
    assert found["relu2 y"] == "fused into conv2"
    assert found["relu3 y"] == "fused into residual1.add1"
    assert found["conv3 y"] == found["conv3 dweight"] == "depthwise"
    assert choices.notes["bn1", "y"].why == "statistics with conv1"
    evaluated = Choices(lowered, training=False)
    assert evaluated.notes["bn1", "y"].why == "running statistics"
    assert evaluated.of("conv2").keys() == {"y"}


def test_names_are_told_as_one_says_them() -> None:
    assert near("stage1.block1.bn1", "stage1.block1.conv1") == "conv1"
    assert near("stage1.relu1", "stage1.block1.add1") == "block1.add1"
    assert near("bn1", "stage1.block1.conv1") == "stage1…conv1"


@pytest.mark.parametrize("batch", [1, 8, 50])
def test_the_plan_of_memory_is_what_the_engine_takes(small: Path, batch: int) -> None:
    net = load(small)
    plan = memory(CPU.lower(net.schedule(), "f4"), batch)
    engine = net.compile("cpu", batch, threads=2).engine
    engine.train_step(np.zeros((batch, 3, 12, 12)), np.zeros(batch, int))
    program = engine.program(batch, "train_pass", "backward_pass", "update_pass")
    arena = next(iter(engine._values.values()))
    while arena.base is not None:
        arena = arena.base
    taken = [*engine._flat.values(), *engine._state.values(), program.own, arena]
    together = sum(array.nbytes for array in taken)
    assert plan.total(2) == pytest.approx(together, rel=0.05)
    assert plan.arena == pytest.approx(arena.nbytes, rel=0.05, abs=256)
    shares = plan.weights, plan.gradients, plan.optimizer
    assert shares == tuple(engine._flat[n].nbytes for n in ("weight", "dweight", "velocity"))


def test_the_command(small: Path, capsys: Capture) -> None:
    assert run("bench", small, "--steps", "1", "--forward", "--threads", "1") == 0
    told = capsys.readouterr().out
    assert "Small, prediction on noise: batches of 8, 1 thread\n" in told
    assert "fused into conv2" in told and "backward" not in told and "optimizer" not in told
    assert max(map(len, told.splitlines())) <= 100
    assert run("bench", small, "--steps", "2", "--json", "--batch", "5") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["batch"], told["steps"], told["training"]) == (5, 2, True)
    layers = {layer["name"]: layer for layer in told["layers"]}
    assert layers["conv2"]["kernels"]["dx"] == "winograd F(4x4)"
    assert layers["conv2"]["shape"] == [32, 8, 8]
    assert told["peak_flops"] > 1e9


def test_words_and_targets_without_classes() -> None:
    net = netdsl.loads(
        "net A {\n  input x(7, dtype=int)\n  embedding(9, 4) -> lstm(5)\n"
        "  dense(3) -> sigmoid as y\n}\n\n"
        "train {\n  optimizer = adam()\n  loss = mse(@y)\n  batch = 4\n}\n"
    )
    times = bench.measure(net, Ask(steps=1))
    assert times.training and times.layers["lstm1"].whole


def test_what_is_for_the_cpu_alone(small: Path, capsys: Capture) -> None:
    assert run("bench", small, "--set", "train.device=cuda") == 2
    assert "bench is for the CPU" in capsys.readouterr().err
    assert run("compile", small, "--explain", "--device", "cuda") == 2
    assert "--explain is for the CPU" in capsys.readouterr().err
    assert run("compile", small, "--batch", "4") == 2
    assert "--batch is for --explain" in capsys.readouterr().err


def test_explain_writes_a_module_if_told_to(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("compile", small, "--explain") == 0
    told = capsys.readouterr().out
    assert "arena" in told and "winograd F(4x4)" in told and "statistics with conv1" in told
    assert max(map(len, told.splitlines())) <= 100
    assert not list(tmp_path.glob("*.py"))
    assert run("compile", small, "--explain", "-o", "small.py") == 0
    assert (tmp_path / "small.py").is_file()
