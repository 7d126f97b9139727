"""Check the ``expect`` steps: the shapes and parameter counts that the author wrote down."""

from __future__ import annotations

import networkx as nx

from netdsl.errors import ShapeError
from netdsl.ir import Graph, Node
from netdsl.ops.expect import Expect
from netdsl.tensor import dims_text


def expectations(graph: Graph) -> Graph:
    """The graph itself; ShapeError E205 or E206 where it is not what the file expects.

    ``expect(params=n)`` counts the layers that lead to it: at the end of a net, all of them.
    """
    for node in graph:
        if isinstance(node.layer, Expect):
            _shape(graph, node, node.layer.dims)
            _count(graph, node, node.layer.params)
    return graph


def _shape(graph: Graph, node: Node, wanted: tuple[int, ...] | None) -> None:
    if wanted is not None and wanted != node.tensor.dims:
        message = f"{dims_text(wanted)} was expected, {node.tensor} comes"
        help = f"{graph[node.inputs[0]].name} makes it"
        if wanted == (*node.tensor.spatial, node.tensor.channels):
            help = f"channels come first: expect({node.tensor})"
        raise ShapeError("E205", message, node.span, help, node.frames)


def _count(graph: Graph, node: Node, wanted: int | None) -> None:
    if wanted is None:
        return
    above = nx.ancestors(graph.network, node.name)
    found = sum(graph.parameters(other) for other in graph if other.name in above)
    if found != wanted:
        message = f"{wanted:,} parameters were expected, there are {found:,}"
        help = f"{abs(found - wanted):,} too {'many' if found > wanted else 'few'}"
        raise ShapeError("E206", message, node.span, help, node.frames)
