"""How tensors flow between the layers of a picture: what a reader sees when identities are gone."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

from netdsl.ir import Graph, Node

Kind = Literal["end", "learns", "scales", "activation", "pooling", "join", "other"]


class Flow:
    """A graph without what only passes on: who reads whom, which layers skip, what sort they are.

    ``nodes`` are in the order of the file.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = tuple(node for node in graph if not graph.passes_on(node))
        self.ends = {graph.origin(name).name for name in (*graph.outputs, *graph.heads)}

    @cached_property
    def sources(self) -> dict[str, tuple[Node, ...]]:
        """What enters each layer, by its name."""
        return {n.name: tuple(map(self.graph.origin, n.inputs)) for n in self.nodes}

    @cached_property
    def users(self) -> dict[str, tuple[Node, ...]]:
        """The layers that each layer's tensor enters, once for every time."""
        users: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in self.sources[node.name]:
                users[source.name].append(node)
        return {name: tuple(nodes) for name, nodes in users.items()}

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The sort of each layer, for its colour: told from traits, so that a new layer has one."""
        return {node.name: self._kind(node) for node in self.nodes}

    @cached_property
    def _order(self) -> dict[str, int]:
        return {node.name: number for number, node in enumerate(self.nodes)}

    @cached_property
    def skips(self) -> frozenset[tuple[str, str]]:
        """The edges, ``(source, user)``, by which a tensor goes around other layers to a join."""
        found: set[tuple[str, str]] = set()
        for node in self.nodes:
            entering = self.sources[node.name]
            for source in entering if len(entering) > 1 else ():
                edges = self._way(source, node)
                fork = edges[-1][0]
                others = [other.name for other in entering if other is not source]
                if any(self._reaches(fork, other) for other in others):
                    found.update(edges)
        return frozenset(found)

    def called(self, node: Node) -> str:
        """What the file calls a layer: by ``as``, or by that of the block that it ends."""
        name = node.name.split(".")[-1]
        region = self.graph.regions.get(".".join(node.path))
        automatic = re.fullmatch(rf"{re.escape(node.layer.name)}\d*", name)
        return region.label if automatic and region and region.label else name

    def result(self, nodes: tuple[Node, ...]) -> Node:
        """The last of some layers that others read, or that the network gives."""
        inside = {node.name for node in nodes}
        read = [
            node
            for node in nodes
            if node.name in self.ends or any(u.name not in inside for u in self.users[node.name])
        ]
        return read[-1] if read else nodes[-1]

    def keeps(self, node: Node) -> bool:
        """Whether a layer has weights or state, and so may share them."""
        return bool(self.graph.weights(node) or self.graph.state(node))

    def light(self, node: Node) -> bool:
        """Whether a layer may be drawn attached to another: a bn, an activation, a dropout."""
        if self.kinds[node.name] not in ("scales", "activation", "other"):
            return False
        same = [source.tensor for source in self.sources[node.name]] == [node.tensor]
        return same and not self.graph.macs(node)

    def _kind(self, node: Node) -> Kind:
        layer, inputs = node.layer, self.graph.tensors(node)
        weights = self.graph.weights(node).values()
        if not inputs:
            return "end"
        if any(len(weight.dims) > 1 for weight in weights):
            return "learns"
        if weights or self.graph.state(node):
            return "scales"
        if layer.join:
            return "join"
        if layer.kernels and all(kernel.scalar for kernel in layer.kernels):
            return "activation"
        windowed = any(parameter.name == "window" for parameter in layer.parameters())
        flattened = len(node.tensor.dims) < len(inputs[0].dims)
        smaller = node.tensor.size < inputs[0].size
        return "pooling" if windowed or (flattened and smaller) else "other"

    def _way(self, source: Node, user: Node) -> list[tuple[str, str]]:
        """The edges from a user back through what belongs to a shortcut: crops, projections."""
        edges = [(source.name, user.name)]
        while self._along(source) and len(self.users[source.name]) == 1:
            user, source = source, self.sources[source.name][0]
            edges.append((source.name, user.name))
        return edges

    def _along(self, node: Node) -> bool:
        """Whether a layer lies on a shortcut: it is one's projection, or it only moves numbers."""
        if len(self.sources[node.name]) != 1:
            return False
        plain = self.kinds[node.name] == "other" and not self.graph.macs(node)
        return plain or self.shortcut(node)

    def shortcut(self, node: Node) -> bool:
        """Whether ``residual`` made a layer for its shortcut, or its shortcut's body did."""
        paths = [".".join(node.path[: end + 1]) for end in range(len(node.path))]
        if any(self.connection(path) == "shortcut" for path in paths):
            return True
        region = self.graph.regions.get(".".join(node.path))
        made = node.name.split(".")[-1].startswith("project")
        # A layer of the body may be called so too, but stands at a place of its own.
        return (
            made and region is not None and region.kind == "residual" and node.span == region.span
        )

    def connection(self, path: str) -> str:
        """``residual``, or ``shortcut`` where that is a body of it; nothing for a block."""
        region = self.graph.regions.get(path)
        if region is None or region.kind not in ("residual", "shortcut"):
            return ""
        around = self.graph.regions.get(path.rpartition(".")[0])
        within = around is not None and around.span == region.span
        return region.kind if region.kind == "residual" or within else ""

    def _reaches(self, fork: str, name: str) -> bool:
        """Whether a tensor is read, through others, by what makes another one."""
        first, seen, ahead = self._order[fork], {name}, [name]
        while ahead:
            for source in self.sources[ahead.pop()]:
                if source.name == fork:
                    return True
                if source.name not in seen and self._order[source.name] > first:
                    seen.add(source.name)
                    ahead.append(source.name)
        return False
