"""How an optimizer changes the weights: all in one flat buffer, in few calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netdsl.ir import Graph
from netdsl.kernel import Kernel
from netdsl.op import Optimizer
from netdsl.schedule import Buffer, Call, Operand, Placed, Reads, Role, Symbol
from netdsl.tensor import Tensor, flat

RUNTIME = {name: Symbol(name) for name in ("seed", "step")}
"""Numbers that a kernel may ask for and the running model supplies."""


def place(graph: Graph, learning: set[str]) -> tuple[Placed, ...]:
    """Lay all weights into one flat buffer.

    First those that weight decay always shrinks, then those it may spare, last those that no loss
    reaches: an update is so one loop over a part of the buffer.
    """
    owned = [
        (Buffer("weight", node.owner, name, weight.tensor), weight)
        for node in filter(graph.owns, graph)
        for name, weight in graph.weights(node).items()
    ]
    starts: dict[Buffer, int] = {}
    start = 0
    for buffer, weight in sorted(owned, key=lambda o: (o[0].owner not in learning, not o[1].decay)):
        starts[buffer] = start
        start += weight.tensor.size
    return tuple(Placed(buffer, weight, starts[buffer]) for buffer, weight in owned)


def update(optimizer: Optimizer, weights: tuple[Placed, ...], owners: set[str]) -> Iterator[Call]:
    """The calls that change the weights of some owners; those that no loss reaches stay."""
    numbers = {p.name: getattr(optimizer, p.name) for p in optimizer.parameters()}
    learning = [placed for placed in weights if placed.buffer.owner in owners]
    stop = sum(placed.size for placed in learning)
    spared = stop
    if not numbers.get("decay_bn", True):
        spared = min((p.start for p in learning if not p.weight.decay), default=stop)
    whole = Tensor((sum(placed.size for placed in weights),), batch=False)
    spare = {"weight_decay": 0.0} if "weight_decay" in numbers else {}
    for part, own in [((0, spared), numbers), ((spared, stop), {**numbers, **spare})]:
        for kernel in optimizer.kernels if part[0] < part[1] else ():
            reads: Reads = {name: _all(name, whole, part) for name in kernel.reads}
            baked, passed = call_numbers(kernel, own, {**RUNTIME, "lr": Symbol("lr")})
            out = _all(kernel.makes, whole, part)
            yield Call("", "train", optimizer, kernel, out, reads, baked, passed)


def _all(name: str, whole: Tensor, part: tuple[int, int]) -> Operand:
    """What an optimizer's kernel reads or makes by a name: a number for each weight."""
    roles: dict[str, Role] = {"p": "weight", "g": "dweight"}
    return Operand(Buffer(roles.get(name, "slot"), "", name, whole), flat(whole), part)


def call_numbers(
    kernel: Kernel, own: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of a call, those to be compiled in and those to be passed.

    What the op says itself is compiled in unless it is a float: so no change of a learning rate or
    of a probability compiles anything. What is given for the one call is passed.
    """
    known = {**own, **given}
    passed = {n: known[n] for n in kernel.numbers if n in given or isinstance(known[n], float)}
    return {n: known[n] for n in kernel.numbers if n not in passed}, passed
