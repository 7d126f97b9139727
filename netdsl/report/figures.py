"""The figures of a network, layer by layer and added up: parameters, MACs, memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from netdsl.ir import Graph, Node
from netdsl.kernel import backward_kernels
from netdsl.report.fields import Fields, receptive_fields

BYTES = 4
"""Of an element: memory is told for float32, and whole numbers have as many."""


@dataclass(frozen=True)
class Peak:
    """The most memory that training takes with a batch, and how it is meant to train."""

    size: int
    assumes: str


@dataclass(frozen=True)
class Figures:
    """What layers cost: ``memory`` is what one sample's forward pass keeps of them, in bytes."""

    parameters: int = 0
    macs: int = 0
    memory: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.memory + other.memory,
        )


class Measured:
    """A graph with the figures and the receptive field of every node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def _figures(self) -> dict[str, Figures]:
        return {node.name: figures(self.graph, node) for node in self.graph}

    @cached_property
    def fields(self) -> dict[str, Fields]:
        """The receptive field of every node, by its name."""
        return receptive_fields(self.graph)

    def __getitem__(self, node: Node) -> Figures:
        return self._figures[node.name]

    def total(self, nodes: Iterable[Node]) -> Figures:
        """The sums over some nodes; weights that several of them share count once."""
        return sum((self[node] for node in nodes), Figures())


def figures(graph: Graph, node: Node) -> Figures:
    """What a node costs; weights are those of the first layer that uses them."""
    return Figures(graph.parameters(node), graph.macs(node), BYTES * kept(graph, node))


def kept(graph: Graph, node: Node) -> int:
    """How many numbers the forward pass of one sample stores; an alias stores none."""
    if node.layer.alias:
        return 0
    aux = node.layer.aux(*graph.tensors(node))
    late = {kernel.makes for kernel in backward_kernels(node.layer.kernels)} if aux else set()
    return node.tensor.size + sum(
        tensor.size for name, tensor in aux.items() if tensor.batch and name not in late
    )


def main_macs(graph: Graph) -> int:
    """The MACs of a sample without side heads, which only training computes."""
    return sum(graph.macs(node) for node in graph if not node.side)


def shared_parameters(graph: Graph) -> int:
    """How many of the parameters several layers use."""
    owners = {node.shared for node in graph if node.shared}
    return sum(graph.parameters(node) for node in graph if node.owner in owners)


def side_parameters(graph: Graph) -> int:
    """How many of the parameters only side heads use."""
    main = {node.owner for node in graph if not node.side}
    return sum(graph.parameters(node) for node in graph if node.owner not in main)


def states(graph: Graph) -> dict[str, int]:
    """How many numbers are kept from step to step without being learnt, by their names."""
    found: dict[str, int] = {}
    for node in filter(graph.owns, graph):
        for name, state in graph.state(node).items():
            found[name] = found.get(name, 0) + state.tensor.size
    return found


def plain_peak(graph: Graph, batch: int) -> Peak:
    """The peak of training with ``sgd``, where the gradients of the outputs are given.

    It counts weights with their gradients and velocities, every tensor, and a gradient of each
    behind which a weight lies: what the schedule of such a training counts, without its losses.
    """
    weights = sum(graph.parameters(node) for node in graph)
    shared = 3 * weights + sum(states(graph).values()) + _once(graph)
    assumes = "with sgd (there is no train section)"
    return Peak(BYTES * (shared + batch * _each(graph)), assumes)


def _each(graph: Graph) -> int:
    """The numbers that training holds of one sample."""
    learning, total, roots = _learning(graph), 0, _roots(graph)
    for node in graph:
        if not node.layer.alias:
            aux = node.layer.aux(*graph.tensors(node)).values()
            total += node.tensor.size + sum(tensor.size for tensor in aux if tensor.batch)
    return total + sum(graph[name].tensor.size for name in {roots[name] for name in learning})


def _once(graph: Graph) -> int:
    """The numbers that layers hold for the whole batch at once, such as its means."""
    return sum(
        tensor.size
        for node in graph
        for tensor in node.layer.aux(*graph.tensors(node)).values()
        if not tensor.batch
    )


def _learning(graph: Graph) -> set[str]:
    """The nodes that need a gradient: a weight lies behind them, or in them."""
    found: set[str] = set()
    for node in graph:
        if graph.weights(node) or any(name in found for name in node.inputs):
            found.add(node.name)
    return found


def _roots(graph: Graph) -> dict[str, str]:
    """For each node the one whose memory holds its tensor: aliases share their input's."""
    found: dict[str, str] = {}
    for node in graph:
        found[node.name] = found[node.inputs[0]] if node.layer.alias else node.name
    return found
