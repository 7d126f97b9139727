"""The command ``bench``: the time of a step, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from netdsl.backends.cpu.lower.notes import CONVERSIONS
from netdsl.compiler import Net
from netdsl.ir import Node
from netdsl.report.times import Spent, Times, told
from netdsl.runtime.model import Model
from netdsl.runtime.progress import progress
from netdsl.schedule import Call

WARM = 2
"""Steps before the clock runs: the first one records the program."""
LEAST, MOST, SECONDS = 5, 200, 3.0
"""So many steps are timed if nobody says how many: between these, for about so many seconds."""
RATE = 1e-6
"""Noise cannot be learnt, and a small step keeps numbers finite; it takes as long as any other."""

TRAINING, PREDICTION = ("train", "backward", "update"), ("predict",)
"""The passes of a step."""

Step = Callable[[], Any]
Clocks = Sequence[tuple[tuple[str, Call], float]]
"""Calls, each with its pass, and the seconds that they took."""


@dataclass(frozen=True)
class Ask:
    """What the user asked for; None is what the command chooses."""

    batch: int | None = None
    threads: int | None = None
    steps: int | None = None
    forward: bool = False
    machine: bool = False


def bench(net: Net, ask: Ask, width: int, say: Callable[[str], None]) -> None:
    """Time a network on noise, and tell."""
    times = measure(net, ask)
    say(json.dumps(times.as_json(), indent=2) if ask.machine else told(times, width))


def measure(net: Net, ask: Ask) -> Times:
    """Time whole steps first, and then the calls of further ones."""
    from netdsl.backends.cpu import CPU
    from netdsl.backends.cpu.explain import Choices
    from netdsl.backends.cpu.peak import peak

    training = net.recipe is not None and not ask.forward
    with progress() as screen:
        report = None if ask.machine else screen.compiling
        model = net.compile("cpu", ask.batch, report=report, threads=ask.threads)
    step = steps_of(model, training)
    plain = [timed(step) for _ in range(count(step, ask.steps))]
    passes = TRAINING if training else PREDICTION
    program = model.engine.program(model.engine.batch, *(f"{name}_pass" for name in passes))
    lowered = CPU.lower(net.schedule(), "f4")
    clocks, rest = with_clocks(step, program, len(plain))
    calls = [(name, call) for name in passes for call in getattr(lowered, name)]
    spent = [(calls[at], seconds) for at, seconds in zip(program.numbers, clocks, strict=True)]
    return Times(
        graph=net.graph,
        training=training,
        batch=model.engine.batch,
        threads=program.threads,
        steps=plain,
        clocked=float(clocks.sum()) + rest,
        peak=peak(program.threads),
        layers=by_layer(net, spent),
        others={**by_none(net, spent), "feeding and waiting": Spent(rest)},
        flops={node.name: flops(net, node, training, model.engine.batch) for node in net.graph},
        kernels={node.name: Choices(lowered, training).of(node.name) for node in net.graph},
    )


# ---- clocks --------------------------------------------------------------------------------------


def steps_of(model: Model, training: bool) -> Step:
    """A step on one batch of noise, which has been done before."""
    engine, generator = model.engine, np.random.default_rng(0)
    wanted = engine.wanted(target=training)
    batch = [noise(generator, engine.batch, row, row == engine.TARGET) for row in wanted]

    def step() -> Any:
        return engine.train_step(*batch, lr=RATE) if training else engine.forward(*batch)

    for _ in range(WARM):
        step()
    return step


def noise(
    generator: np.random.Generator, batch: int, row: Sequence[Any], target: bool
) -> np.ndarray:
    """Samples of an input, or targets: classes, words, or numbers."""
    _, sizes, kind, classes = row
    if kind == "int":
        return generator.integers(0, classes or 1, (batch, *sizes), np.int32)
    if target:  # losses may want shares
        return generator.random((batch, *sizes), np.float32)
    return generator.standard_normal((batch, *sizes), np.float32)


def timed(step: Step) -> float:
    """The seconds of a step."""
    begun = perf_counter()
    step()
    return perf_counter() - begun


def count(step: Step, steps: int | None) -> int:
    """How many steps to time."""
    return steps or int(min(MOST, max(LEAST, SECONDS / timed(step))))


def with_clocks(step: Step, program: Any, steps: int) -> tuple[np.ndarray, float]:
    """The medians over steps of the seconds of each call, and of those between calls."""
    program.timed()
    calls: list[np.ndarray] = []
    rest: list[float] = []
    for _ in range(steps):
        program.clock[...] = 0
        whole = timed(step)
        calls.append(program.clock * 1e-9)
        rest.append(whole - calls[-1].sum())
    return np.median(calls, axis=0), float(np.median(rest))


# ---- whose time it is ----------------------------------------------------------------------------


def is_conversion(call: Call) -> bool:
    """Whether a call computes nothing."""
    return call.kernel.fn.__name__ in CONVERSIONS


def owner(net: Net, call: Call) -> str:
    """The layer whose time a call takes; a value that is written late is still its own layer's."""
    made = call.out.buffer
    late = call.kernel.fn.__name__ == "materialise" and made.role == "value"
    return made.owner if late and made.owner in net.graph else call.owner


def by_layer(net: Net, spent: Clocks) -> dict[str, Spent]:
    """The seconds of every layer."""
    found = {node.name: Spent() for node in net.graph}
    for (part, call), seconds in spent:
        name = owner(net, call)
        if name in found and not is_conversion(call):
            found[name] += Spent(*((0.0, seconds) if part == "backward" else (seconds, 0.0)))
    return found


def by_none(net: Net, spent: Clocks) -> dict[str, Spent]:
    """The seconds that belong to no layer."""
    found: dict[str, Spent] = {}
    for (part, call), seconds in spent:
        if is_conversion(call):
            name = "conversions"
        elif owner(net, call) in net.graph:
            continue
        else:
            name = owner(net, call) or "optimizer"
        found.setdefault(name, Spent())
        found[name] += Spent(*((0.0, seconds) if part == "backward" else (seconds, 0.0)))
    return found


def flops(net: Net, node: Node, training: bool, batch: int) -> Spent:
    """The multiplications and additions of a layer: as many backward for each of its gradients."""
    each = 2.0 * net.graph.macs(node) * batch
    if not training:
        return Spent(each, 0.0)
    made = {c.out.buffer.role for c in net.schedule().backward if c.owner == node.name}
    if net.graph.weights(node):
        return Spent(each, each * len(made & {"grad", "dweight"}))
    return Spent(each, 2 * each if made else 0.0)
