"""One op at a time on a target, through the whole road: graph, schedule, emitted module, engine.

`run` works in a process of its own, since a target is chosen by the environment before numba is
imported. Gradients by inputs are read as those of weights: every input passes through `Given`,
whose weight is zero and has an element for each element of the input. The last op ends in `Dot`,
whose gradient is the target: so ``dy`` is given.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from os import environ
from typing import Any

import numpy as np
from op_cases import BATCH, build, case, loss_case, tensors

from netdsl.autodiff import schedule
from netdsl.initializers.zeros import Zeros
from netdsl.interpret import layer_backward, layer_forward, loss_value, update
from netdsl.ir import Graph, Node
from netdsl.kernel import kernel, real
from netdsl.op import Layer, Loss, Optimizer, Weight
from netdsl.optimizers.sgd import SGD
from netdsl.schedule import Schedule, Term
from netdsl.source import Source
from netdsl.tensor import DType, Tensor, flat

SEED = 1
SCALE = 0.25
STEPS = 3
PREDICTED = "predicted"
SPLIT = ("relu", "dropout", "dense(3)", "bn", "conv(2, 3)", "rnn(3)")
"""A layer for every form of kernel: elementwise, of 1, 2, 3 and 5 axes, of samples. They are tried
divided among threads, which tiny shapes are not worth: compiling them so takes twice as long."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Machine:
    """Where cases run: a device, what chooses it in the environment, and the threads to try."""

    device: str
    environment: tuple[tuple[str, str], ...]
    threads: tuple[int | None, ...]


MACHINES = {
    "cpu": Machine("cpu", (), (2, 2, 1)),
    "simulator": Machine("cuda", (("NUMBA_ENABLE_CUDASIM", "1"),), (None, None)),
    "gpu": Machine("cuda", (("NUMBA_ENABLE_CUDASIM", "0"),), (None, None)),
}


def rows(tensor: Tensor) -> tuple[int, ...]:
    return (-1, tensor.size) if tensor.batch else tensor.dims


class Given(Layer):
    """``y = x + weight``, for every sample its own: the gradient of the weight is that by ``y``."""

    decay: bool = True

    name = "given"
    view = staticmethod(rows)

    def shape(self, x: Tensor) -> Tensor:
        return x

    def weights(self, x: Tensor) -> dict[str, Weight]:
        return {"weight": Weight((BATCH, x.size), Zeros(), decay=self.decay)}


@kernel(Given)
def y(n, e, /, x, weight):
    return x[n, e] + weight[n, e]


@kernel(Given)
def dx(n, e, /, dy):
    return dy[n, e]


@kernel(Given)
def dweight(n, e, /, dy):
    return dy[n, e]


class Dot(Loss):
    """``loss = scale * sum(x * target)``: its gradient is the target."""

    name = "dot"
    view = staticmethod(flat)

    def target(self, x: Tensor) -> Tensor:
        return x


@kernel(Dot, makes="y")
def dot(_, /, x, target, *, scale):
    acc = real(0)
    for e in range(x.shape[0]):
        acc += x[e] * target[e]
    return real(scale) * acc


@kernel(Dot, makes="dx")
def dot_dx(e, /, target, *, scale):
    return real(scale) * target[e]


def rounded(array: Any) -> Any:
    """Numbers that float32 has, in float64; whole ones as they are."""
    array = np.asarray(array)
    return array if array.dtype.kind == "i" else array.astype(np.float32).astype(np.float64)


def layer_values(call: str, shapes: tuple[str, ...]) -> Any:
    """A layer, and values for all that it reads."""
    c = case(call, shapes)
    c.xs, c.dy = [rounded(x) for x in c.xs], rounded(c.dy)
    c.weights = {name: rounded(value) for name, value in c.weights.items()}
    c.state = {name: rounded(value) for name, value in c.state.items()}
    return c


def loss_values(call: str, shapes: tuple[str, ...]) -> Any:
    """A loss with a prediction and a target."""
    c = loss_case(call, *shapes)
    c.x, c.target = rounded(c.x), rounded(c.target)
    return c


def optimizer_values(call: str) -> tuple[Optimizer, np.ndarray, list[np.ndarray]]:
    """An optimizer, weights (the second half is spared of decay if it may be) and gradients."""
    rng = np.random.default_rng(4)
    numbers = [rounded(rng.normal(size=(BATCH, 3))) for _ in range(2 + STEPS)]
    return build("optimizer", call), np.stack(numbers[:2]), numbers[2:]


# ---- what should come out ------------------------------------------------------


def expected(kind: str, call: str, shapes: tuple[str, ...]) -> Arrays:
    """What the interpreter says, in float64."""
    return {"layer": expected_layer, "loss": expected_loss, "optimizer": expected_optimizer}[kind](
        call, shapes
    )


def expected_layer(call: str, shapes: tuple[str, ...]) -> Arrays:
    c = layer_values(call, shapes)
    numbers = {"seed": SEED, "step": 1, "layer": 2 * len(c.xs)}
    evaluated = layer_forward(c.layer, c.xs, c.weights, c.state, False, numbers)
    made = layer_forward(c.layer, c.xs, c.weights, c.state, True, numbers)
    kept = {**c.state, **made}
    gradients = layer_backward(c.layer, c.xs, c.weights, kept, SCALE * c.dy, numbers)
    dxs = gradients.pop("dx", [])
    dxs = dxs if isinstance(dxs, list) else [dxs]
    found = {f"given{i}.weight": dx for i, dx in enumerate(dxs)}
    found |= {f"op.{name[1:]}": gradient for name, gradient in gradients.items()}
    found |= {f"op.{name}": kept[name] for name in c.state}
    return {PREDICTED: evaluated["y"], "y": made["y"], **found}


def expected_loss(call: str, shapes: tuple[str, ...]) -> Arrays:
    c = loss_values(call, shapes)
    loss, gradient = loss_value(c.loss, c.x, c.target, SCALE)
    return {"loss": np.array(loss), PREDICTED: np.array(loss), "given0.weight": gradient}


def expected_optimizer(call: str, _: tuple[str, ...]) -> Arrays:
    op, weights, gradients = optimizer_values(call)
    spared = replace(op, weight_decay=0.0) if not op.decay_bn else op  # type: ignore[attr-defined,call-arg]
    owners = {"given0.weight": op, "op.weight": spared}
    kept = {
        name: {"p": p, **{slot: np.zeros_like(p) for slot in op.slots}}
        for name, p in zip(owners, weights, strict=True)
    }
    found: Arrays = {}
    for step, gradient in enumerate(gradients, 1):
        for name, own in owners.items():
            values = kept[name]
            kept[name] = update(own, values.pop("p"), SCALE * gradient, values, step)
            found[f"{name} after {step}"] = kept[name]["p"]
            found |= {f"optimizer/{s}/{name} after {step}": kept[name][s] for s in op.slots}
    return found


# ---- what comes out, in a process of its own -----------------------------------


def process(machine: str) -> ProcessPoolExecutor:
    """A process in which `run` finds the machine."""
    return ProcessPoolExecutor(1, get_context("spawn"), begin, (MACHINES[machine].environment,))


def begin(environment: tuple[tuple[str, str], ...]) -> None:
    """Set up the process, before it imports numba."""
    environ.update(environment)
    warnings.simplefilter("error")


def run(machine: str, kind: str, call: str, shapes: tuple[str, ...]) -> list[Arrays]:
    """What a target makes of a case, anew for every number of threads to try."""
    engine = model(MACHINES[machine].device, case_schedule(kind, call, shapes), call in SPLIT)
    runs = {"layer": run_layer, "loss": run_loss, "optimizer": run_optimizer}
    runner = runs[kind](engine, call, shapes)
    found: list[Arrays] = []
    for threads in MACHINES[machine].threads:
        engine.threads = threads
        engine._bound.clear()
        found.append(next(runner))
    return found


def run_layer(engine: Any, call: str, shapes: tuple[str, ...]) -> Iterator[Arrays]:
    c = layer_values(call, shapes)
    values = {**c.weights, **c.state}
    while True:
        begin_anew(engine, {f"op.{name}": value for name, value in values.items()})
        predicted = engine.forward(*c.xs)
        engine.train_step(*c.xs, c.dy)
        after = engine.snapshot()
        states = {f"op.{name}": after[f"op.{name}"] for name in c.state}
        yield {PREDICTED: predicted, "y": engine.outputs(BATCH)[0], **engine.gradients(), **states}


def run_loss(engine: Any, call: str, shapes: tuple[str, ...]) -> Iterator[Arrays]:
    c = loss_values(call, shapes)
    while True:
        begin_anew(engine, {})
        predicted = np.array(engine.loss(c.x, c.target))
        loss = np.array(engine.train_step(c.x, c.target))
        yield {PREDICTED: predicted, "loss": loss, **engine.gradients()}


def run_optimizer(engine: Any, call: str, _: tuple[str, ...]) -> Iterator[Arrays]:
    _, weights, gradients = optimizer_values(call)
    first = {"given0.weight": weights[0], "op.weight": weights[1]}
    while True:
        begin_anew(engine, first)
        found: Arrays = {}
        for step, gradient in enumerate(gradients, 1):
            engine.train_step(np.zeros_like(gradient), gradient)
            left = engine.snapshot().items()
            found |= {f"{n} after {step}": a for n, a in left if not n.startswith("training/")}
        yield found


def begin_anew(engine: Any, values: Arrays) -> None:
    """Forget what the last run has learnt, and set weights and states."""
    engine.reset(SEED)
    engine.restore({**engine.snapshot(), **values})


def model(device: str, work: Schedule, split: bool) -> Any:
    """The engine of a schedule.

    With ``split`` the work is divided among threads even where it is too small for that.
    """
    from netdsl.backends.emit import emit_cached
    from netdsl.backends.loader import load
    from netdsl.device import target_of

    target = target_of(device)
    if split:
        loops = target.loops
        target = replace(target, loops=lambda plan: loops(replace(plan, small=False)))
    return load(emit_cached(work, target, "A case.")).Model(seed=SEED, batch=BATCH)


def case_schedule(kind: str, call: str, shapes: tuple[str, ...]) -> Schedule:
    """What a target must do for a case."""
    if kind == "layer":
        c = case(call, shapes)
        return network(c.inputs, c.layer, Dot(), SGD(lr=0.1))
    if kind == "loss":
        return network(tensors(shapes), None, build("loss", call), SGD(lr=0.1))
    return network([Tensor((3,))], Given(decay=False), Dot(), build("optimizer", call))


def network(
    inputs: list[Tensor], layer: Layer | None, loss: Loss, optimizer: Optimizer
) -> Schedule:
    """The schedule of a network of one layer (or of none), ending in one loss."""
    place = Source("cases.net", "").span(0, 0)
    named = [(f"x{i}", f"given{i}", tensor) for i, tensor in enumerate(inputs)]
    nodes = [
        Node(x, build("layer", f"input({tensor}, dtype={tensor.dtype})"), (), tensor, place)
        for x, _, tensor in named
    ]
    whole = any(tensor.dtype is DType.INT for tensor in inputs)  # these have no gradient
    nodes += [] if whole else [Node(g, Given(), (x,), tensor, place) for x, g, tensor in named]
    if layer:
        given = tuple(x if whole else given for x, given, _ in named)
        nodes.append(Node("op", layer, given, layer.shape(*inputs), place))
    last = nodes[-1].name
    graph = Graph("Case", tuple(nodes), (last,)).verify()
    return schedule(graph, [Term(SCALE, loss, last)], optimizer)
