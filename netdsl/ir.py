"""The graph of a network: typed nodes over networkx, immutable, verified, printable.

A node is a layer with its inputs; an edge carries a tensor. The order of the nodes is a topological
order, the order of the file: whatever walks the graph meets producers first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import networkx as nx

from netdsl.errors import Frame, Warning_
from netdsl.op import Layer, State, Weight, call_text
from netdsl.source import Span
from netdsl.tensor import Tensor


@dataclass(frozen=True)
class Region:
    """A piece of the file that stands for several layers: a block's call, ``residual { }``.

    ``kind`` is the name of the block or of the connection, ``call`` what was written with its
    values, ``bottleneck(c=64, stride=1)``, ``span`` where, ``label`` what ``as`` calls it.
    """

    kind: str
    call: str
    span: Span
    label: str = ""


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    ``name`` is unique: the path of blocks and the layer, ``stage1.bottleneck2.conv1``. ``span`` is
    the step in the file, ``frames`` the block calls that led there, outermost first. ``shared`` is
    the layer whose weights it uses, if they are not its own. A ``side`` node belongs to a head that
    only training computes.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    tensor: Tensor
    span: Span
    frames: tuple[Frame, ...] = ()
    shared: str = ""
    side: bool = False

    @property
    def owner(self) -> str:
        """The layer under whose name its weights are kept."""
        return self.shared or self.name

    @property
    def path(self) -> tuple[str, ...]:
        """The blocks around it, outermost first."""
        return tuple(self.name.split(".")[:-1])

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.span.source.name}:{self.span.line}"


@dataclass(frozen=True)
class Graph:
    """A network: nodes in topological order, its outputs, what else losses read, and warnings.

    ``called`` are the names that the file gives to outputs. ``regions`` tells of the blocks that
    the names of the nodes go through, by their paths.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    heads: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warning_, ...] = field(default=(), compare=False)
    regions: Mapping[str, Region] = field(default_factory=dict, compare=False)

    @cached_property
    def network(self) -> nx.MultiDiGraph[str]:
        """The same as a networkx graph: nodes carry ``node``, edges ``slot`` and ``tensor``."""
        network = nx.MultiDiGraph(name=self.name)
        for node in self.nodes:
            network.add_node(node.name, node=node)
        for node in self.nodes:
            for slot, source in enumerate(node.inputs):
                network.add_edge(source, node.name, slot=slot, tensor=self[source].tensor)
        return network

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {node.owner: node.name for node in reversed(self.nodes)}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that nothing enters: what the user feeds."""
        return tuple(node for node in self.nodes if not node.inputs)

    def tensors(self, node: Node) -> tuple[Tensor, ...]:
        """The types of what enters a node."""
        return tuple(self[name].tensor for name in node.inputs)

    def weights(self, node: Node) -> dict[str, Weight]:
        """What a node learns, by name."""
        return node.layer.weights(*self.tensors(node))

    def state(self, node: Node) -> dict[str, State]:
        """What a node keeps from step to step, by name."""
        return node.layer.state(*self.tensors(node))

    def owns(self, node: Node) -> bool:
        """Whether a node is the first to use its weights and its state; others only share them."""
        return self._owners[node.owner] == node.name

    def parameters(self, node: Node) -> int:
        """How many numbers a node learns; what it shares with an earlier one does not count."""
        if not self.owns(node):
            return 0
        return sum(weight.tensor.size for weight in self.weights(node).values())

    def learnt(self) -> int:
        """How many numbers all nodes learn."""
        return sum(map(self.parameters, self))

    def macs(self, node: Node) -> int:
        """Multiply-accumulate operations of a node for one sample."""
        return node.layer.macs(*self.tensors(node))

    def users(self, name: str) -> tuple[Node, ...]:
        """The nodes that a tensor enters, in order, each once."""
        return tuple(self[user] for user in self.network.successors(name))

    def passes_on(self, node: Node) -> bool:
        """Whether a node gives what it gets, in the same shape: ``id`` and ``expect`` do."""
        return node.layer.alias and self.tensors(node) == (node.tensor,)

    def origin(self, name: str) -> Node:
        """The node that made a tensor, whatever has passed it on since."""
        node = self[name]
        while self.passes_on(node):
            node = self[node.inputs[0]]
        return node

    def behind(self, names: Iterable[str]) -> set[str]:
        """The named nodes and all that they depend on."""
        found = set(names)
        for node in reversed(self.nodes):
            if node.name in found:
                found.update(node.inputs)
        return found

    def keep(self, names: Iterable[str]) -> Graph:
        """The graph with only the named nodes, and the regions that hold any of them."""
        kept = set(names)
        nodes = tuple(node for node in self.nodes if node.name in kept)
        held = {path for node in nodes for path in accumulate(node.path, "{}.{}".format)}
        regions = {path: region for path, region in self.regions.items() if path in held}
        return replace(self, nodes=nodes, regions=regions)

    def warn(self, *warnings: Warning_) -> Graph:
        """The graph with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def verify(self) -> Graph:
        """Check the invariants that every pass relies on; returns the graph itself.

        Raises AssertionError, since only a bug of the compiler can break them.
        """
        known: dict[str, Tensor] = {}
        for node in self.nodes:
            assert node.name not in known, f"two nodes are called {node.name}"
            for name in node.inputs:
                assert name in known, f"{node.name} reads {name} before it is made"
            if node.inputs:
                shape = node.layer.shape(*(known[name] for name in node.inputs))
                assert shape == node.tensor, f"{node.name} makes {shape}, not {node.tensor}"
            known[node.name] = node.tensor
        for name in (*self.outputs, *self.heads):
            assert name in known, f"output {name} does not exist"
        assert nx.is_directed_acyclic_graph(self.network)
        return self

    def __str__(self) -> str:
        """The text form: a line a node, ``name: 6x28x28 = conv(...) from image``."""
        lines = [f"graph {self.name}"]
        for node in self.nodes:
            source = f" from {', '.join(node.inputs)}" if node.inputs else ""
            more = f" with the weights of {node.shared}" if node.shared else ""
            more += ", in training only" if node.side else ""
            lines.append(f"  {node.name}: {node.tensor} = {call_text(node.layer)}{source}{more}")
        lines.append(f"  outputs {', '.join(self.outputs)}")
        return "\n".join(lines)
