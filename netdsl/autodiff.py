"""Graph to schedule: forward, backward and update, derived from the signatures of the kernels.

Reverse-mode differentiation needs no rules here: an op's kernel called ``dx`` makes the gradient by
``x``, and what it reads must still be there when the backward pass comes to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import networkx as nx

from netdsl.ir import Graph, Node
from netdsl.kernel import Kernel, When, backward_kernels
from netdsl.op import Optimizer
from netdsl.schedule import (
    Buffer,
    Call,
    Operand,
    Output,
    Reads,
    Schedule,
    Term,
)
from netdsl.tensor import DType, Tensor, View
from netdsl.update import RUNTIME, call_numbers, place, update


def schedule(
    graph: Graph, terms: Iterable[Term] = (), optimizer: Optimizer | None = None
) -> Schedule:
    """Everything a target must do to predict with a network, and to train it on the losses."""
    layers = _Layers(graph)
    losses = _Losses(layers, tuple(terms))
    reached = _reached(graph, losses.terms)
    learning = {graph[name].owner for name in reached}
    weights = place(graph, learning)
    outputs = _distinct(tuple(map(layers.output, graph.outputs)), graph.outputs)
    states = tuple(_states(graph))
    predict = tuple(layers.forward("eval"))
    backward = tuple(_accumulate([*losses.backward(reached), *layers.backward(reached)]))
    given = {output.buffer for output in outputs}
    kept = {operand.buffer for call in backward for operand in call.operands()}
    return Schedule(
        name=graph.name,
        inputs=tuple(layers.value(node.name) for node in graph.inputs),
        unread=tuple(layers.value(name) for name in _unread(graph)),
        outputs=outputs,
        target=losses.target(),
        classes=_bounds(losses.classes(), layers.bounds()),
        scored=losses.scored(),
        weights=weights,
        states=states,
        slots=optimizer.slots if optimizer else (),
        losses=losses.buffers,
        measured=losses.measured(),
        train=_prune(
            (*layers.forward("train"), *losses.forward(losses.buffers)),
            {*losses.buffers, *given, *kept, *(buffer for buffer, _ in states)},
        ),
        evaluate=_prune(
            (*predict, *losses.forward(losses.measured())), {*losses.measured(), *given}
        ),
        predict=_prune(predict, given),
        backward=_prune(backward, {replace(p.buffer, role="dweight") for p in weights}),
        update=tuple(update(optimizer, weights, learning)) if optimizer else (),
        lr=optimizer.lr if optimizer else None,
    )


def _bounds(first: dict[Buffer, int], second: dict[Buffer, int]) -> dict[Buffer, int]:
    """Of the bounds of each tensor the lower one."""
    both = {buffer: min(first[buffer], second[buffer]) for buffer in first.keys() & second.keys()}
    return {**first, **second, **both}


def _distinct(outputs: tuple[Output, ...], names: tuple[str, ...]) -> tuple[Output, ...]:
    """Outputs by the names of their nodes where one layer made several of them."""
    if len({output.name for output in outputs}) == len(outputs):
        return outputs
    return tuple(replace(o, name=name) for o, name in zip(outputs, names, strict=True))


def _unread(graph: Graph) -> list[str]:
    """The inputs that no output depends on: losses or side heads alone may read them."""
    behind = {*graph.outputs}.union(*(nx.ancestors(graph.network, o) for o in graph.outputs))
    return [node.name for node in graph.inputs if node.name not in behind]


def _reached(graph: Graph, terms: tuple[Term, ...]) -> set[str]:
    """The nodes that need a gradient: a weight lies behind them, or in them, and a loss ahead."""
    active: set[str] = set()
    for node in graph:
        if graph.weights(node) or any(name in active for name in node.inputs):
            active.add(node.name)
    seen = {term.prediction for term in terms}
    for node in reversed(graph.nodes):
        if node.name in seen:
            seen.update(node.inputs)
    return active & seen


def _states(graph: Graph) -> Iterator[tuple[Buffer, float]]:
    for node in filter(graph.owns, graph):
        for name, state in graph.state(node).items():
            yield Buffer("state", node.owner, name, state.tensor), state.value


class _Layers:
    """The tensors of a graph in memory, and the calls of its layers' kernels."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number = {node.name: i for i, node in enumerate(graph)}
        self.root: dict[str, str] = {}
        """For each node the one whose memory holds its tensor: aliases share their input's."""
        for node in graph:
            self.root[node.name] = self.root[node.inputs[0]] if node.layer.alias else node.name

    def value(self, name: str) -> Buffer:
        """The memory of a node's tensor."""
        root = self.graph[self.root[name]]
        return Buffer("value", root.name, "", root.tensor)

    def output(self, name: str) -> Output:
        """A node's tensor for the user, called as the file calls it, or after its layer."""
        called = self.graph.called.get(name, self.graph.origin(name).name)
        return Output(called, self.value(name), self.graph[name].tensor)

    def grad(self, name: str) -> Buffer:
        """The memory of the gradient by a node's tensor."""
        return replace(self.value(name), role="grad")

    def bounds(self) -> dict[Buffer, int]:
        """How many whole numbers a tensor may tell apart, by the layers that read it."""
        found: dict[Buffer, int] = {}
        for node in self.graph:
            if bound := node.layer.bound():
                for name in node.inputs:
                    found = _bounds(found, {self.value(name): bound})
        return found

    def forward(self, when: When) -> Iterator[Call]:
        """The calls of a forward pass, in training or in evaluation."""
        for node in self.graph:
            if node.inputs and not node.layer.alias:
                late = backward_kernels(node.layer.kernels)
                for kernel in node.layer.kernels:
                    if kernel.when in ("always", when) and kernel not in late:
                        yield self.call(node, kernel, self.made(node, kernel.makes))

    def backward(self, reached: set[str]) -> Iterator[Call]:
        """The calls of the backward pass, from the last layer to the first."""
        for node in reversed(self.graph.nodes):
            if node.name in reached and not node.layer.alias:
                for kernel in backward_kernels(node.layer.kernels):
                    yield from self.gradients(node, kernel, reached)

    def gradients(self, node: Node, kernel: Kernel, reached: set[str]) -> Iterator[Call]:
        """The calls of one kernel of the backward pass: a join's ``dx`` for each input."""
        weights, view = self.graph.weights(node), node.layer.view
        if kernel.makes in node.layer.aux(*self.graph.tensors(node)):
            yield self.call(node, kernel, self.made(node, kernel.makes))
            return
        by = kernel.makes.removeprefix("d")
        if by in weights:
            buffer = Buffer("dweight", node.owner, by, weights[by].tensor)
            yield self.call(node, kernel, Operand(buffer, view(buffer.tensor)))
            return
        inputs = dict(zip(node.layer.inputs(), node.inputs, strict=not node.layer.join))
        for which, name in enumerate(node.inputs if node.layer.join else [inputs.get(by)]):
            if name in reached:
                out = Operand(self.grad(name), view(self.graph[name].tensor))
                yield self.call(node, kernel, out, which)

    def call(self, node: Node, kernel: Kernel, out: Operand, which: int = 0) -> Call:
        """One kernel of a layer; ``which`` of several inputs a gradient is for."""
        xs = self.graph.tensors(node)
        given = {**RUNTIME, "layer": self.number[node.name], **node.layer.part(which, *xs)}
        reads: dict[str, Operand | tuple[Operand, ...] | None]
        reads = {name: self.read(node, name) for name in kernel.reads}
        if kernel.many:
            reads[kernel.many] = tuple(self.see(node, name) for name in node.inputs)
        baked, passed = call_numbers(kernel, node.layer.numbers(*xs), given)
        return Call(node.name, node.place, node.layer, kernel, out, reads, baked, passed)

    def see(self, node: Node, name: str) -> Operand:
        """A tensor as the kernels of a node see it."""
        return Operand(self.value(name), node.layer.view(self.graph[name].tensor))

    def made(self, node: Node, name: str) -> Operand:
        """What a kernel of the forward pass makes, or shares with others of its layer."""
        if name == "y":
            return self.see(node, node.name)
        xs = self.graph.tensors(node)
        if name in (state := node.layer.state(*xs)):
            buffer = Buffer("state", node.owner, name, state[name].tensor)
        else:
            buffer = Buffer("aux", node.name, name, node.layer.aux(*xs)[name])
        return Operand(buffer, node.layer.view(buffer.tensor))

    def read(self, node: Node, name: str) -> Operand | None:
        """What a kernel of a node reads by a name; None if this layer goes without it."""
        layer, xs = node.layer, self.graph.tensors(node)
        if name in layer.inputs():
            return self.see(node, node.inputs[layer.inputs().index(name)])
        if name == "dy":
            return Operand(self.grad(node.name), layer.view(node.tensor))
        if name == "y" or name in layer.state(*xs) or name in layer.aux(*xs):
            return self.made(node, name)
        weight = layer.weights(*xs).get(name)
        if weight is None:
            return None
        return Operand(Buffer("weight", node.owner, name, weight.tensor), layer.view(weight.tensor))


class _Losses:
    """The weighted losses over the tensors of a graph, and the calls of their kernels."""

    def __init__(self, layers: _Layers, terms: tuple[Term, ...]) -> None:
        self.layers = layers
        self.terms = terms
        names = ["loss"] if len(terms) == 1 else [f"loss{i + 1}" for i in range(len(terms))]
        self.buffers = tuple(
            Buffer("loss", self.fresh(name), "", Tensor((1,), batch=False)) for name in names
        )

    def fresh(self, name: str) -> str:
        """A name that no layer has."""
        while name in self.layers.graph:
            name += "_"
        return name

    def target(self) -> Buffer | None:
        """The labels' buffer; None if every loss compares tensors of the network."""
        for term in self.terms:
            if term.target is None:
                tensor = term.loss.target(self.layers.graph[term.prediction].tensor)
                return Buffer("target", self.fresh("target"), "", tensor)
        return None

    def classes(self) -> dict[Buffer, int]:
        """How many classes the losses tell apart, for every tensor of them that is a target."""
        found: dict[Buffer, int] = {}
        for term in self.terms:
            buffer = self.layers.value(term.target) if term.target else self.target()
            if buffer is not None and buffer.tensor.dtype is DType.INT:
                classes = term.loss.classes(self.layers.graph[term.prediction].tensor)
                found[buffer] = min(found.get(buffer, classes), classes)
        return found

    def scored(self) -> Output | None:
        """The prediction that metrics read: the first compared with labels, no side head's."""
        for term in self.terms:
            if term.target is None and not self.layers.graph[term.prediction].side:
                return self.layers.output(term.prediction)
        return None

    def measured(self) -> tuple[Buffer, ...]:
        """The losses that evaluation knows: those that read no side head."""
        pairs = zip(self.terms, self.buffers, strict=True)
        return tuple(b for term, b in pairs if not self.layers.graph[term.prediction].side)

    def forward(self, wanted: tuple[Buffer, ...]) -> Iterator[Call]:
        """The calls that measure losses."""
        for term, buffer in zip(self.terms, self.buffers, strict=True):
            for kernel in term.loss.kernels if buffer in wanted else ():
                if kernel.makes != "dx":
                    yield self.call(term, buffer, kernel)

    def backward(self, reached: set[str]) -> Iterator[Call]:
        """The calls that make the gradients by the predictions."""
        for term, buffer in zip(self.terms, self.buffers, strict=True):
            for kernel in term.loss.kernels:
                if kernel.makes == "dx" and term.prediction in reached:
                    yield self.call(term, buffer, kernel)

    def call(self, term: Term, buffer: Buffer, kernel: Kernel) -> Call:
        """One kernel of a loss."""
        x = self.layers.graph[term.prediction]
        reads: Reads = {name: self.operand(term, buffer, name) for name in kernel.reads}
        baked, passed = call_numbers(kernel, term.loss.numbers(x.tensor), {"scale": term.weight})
        out = self.operand(term, buffer, kernel.makes)
        return Call(buffer.owner, x.place, term.loss, kernel, out, reads, baked, passed)

    def operand(self, term: Term, buffer: Buffer, name: str) -> Operand:
        """What a kernel of a loss reads or makes by a name."""
        graph, view = self.layers.graph, term.loss.view
        x = graph[term.prediction]
        if name == "x":
            return Operand(self.layers.value(x.name), view(x.tensor))
        if name == "dx":
            return Operand(self.layers.grad(x.name), view(x.tensor))
        if name == "y":
            return Operand(buffer, view(buffer.tensor))
        if name == "target":
            return self.compared(term, view)
        tensor = term.loss.aux(x.tensor)[name]
        return Operand(Buffer("aux", buffer.owner, name, tensor), view(tensor))

    def compared(self, term: Term, view: View) -> Operand:
        """What a loss compares its prediction with: the labels, or a tensor of the network."""
        if term.target is not None:
            return Operand(
                self.layers.value(term.target), view(self.layers.graph[term.target].tensor)
            )
        labels = self.target()
        assert labels is not None
        return Operand(labels, view(labels.tensor))


def _accumulate(calls: Iterable[Call]) -> Iterator[Call]:
    """The calls of a backward pass, adding to gradients that an earlier call has begun."""
    begun: set[Buffer] = set()
    for call in calls:
        buffer = call.out.buffer
        yield replace(call, add=buffer.role in ("grad", "dweight") and buffer in begun)
        begun.add(buffer)


def _prune(calls: Iterable[Call], wanted: set[Buffer]) -> tuple[Call, ...]:
    """Only the calls whose result is wanted, or read by a later one that is kept."""
    needed = set(wanted)
    kept: list[Call] = []
    for call in reversed(tuple(calls)):
        if call.out.buffer in needed:
            kept.append(call)
            needed.update(operand.buffer for operand in call.operands())
    return tuple(reversed(kept))
