"""Check the ``expect`` steps: the shapes and parameter counts that the author wrote down."""

from __future__ import annotations

from netdsl.errors import ShapeError
from netdsl.ir import Graph, Node
from netdsl.ops.expect import Expect
from netdsl.tensor import dims_text


def expectations(graph: Graph) -> Graph:
    """The graph itself; ShapeError E205 or E206 where it is not what the file expects.

    ``expect(params=n)`` counts the layers that lead to it: at the end of a net, all of them.
    """
    counts: _Counts | None = None
    for node in graph:
        if isinstance(node.layer, Expect):
            _shape(graph, node, node.layer.dims)
            if node.layer.params is not None:
                counts = counts or _Counts(graph)
                _count(graph, node, node.layer.params, counts.behind(node.name))
    return graph


def _shape(graph: Graph, node: Node, wanted: tuple[int, ...] | None) -> None:
    if wanted is not None and wanted != node.tensor.dims:
        message = f"{dims_text(wanted)} was expected, {node.tensor} comes"
        help = f"{graph[node.inputs[0]].name} makes it"
        if wanted == (*node.tensor.spatial, node.tensor.channels):
            help = f"channels come first: expect({node.tensor})"
        raise ShapeError("E205", message, node.span, help, node.frames)


def _count(graph: Graph, node: Node, wanted: int, count: int) -> None:
    if count != wanted:
        message = f"{wanted:,} parameters were expected, there are {count:,}"
        help = f"{abs(count - wanted):,} too {'many' if count > wanted else 'few'}"
        raise ShapeError("E206", message, node.span, help, node.frames)


class _Counts:
    """How many parameters lie behind each node, shared ones once: owners are bits of a number."""

    def __init__(self, graph: Graph) -> None:
        self.sizes: list[int] = []
        self.masks: dict[str, int] = {}
        self.known: dict[int, int] = {0: 0}
        bits: dict[str, int] = {}
        for node in graph:
            mask = 0
            for name in node.inputs:
                mask |= self.masks[name]
            if weights := graph.weights(node):
                bit = bits.setdefault(node.owner, len(bits))
                if bit == len(self.sizes):
                    self.sizes.append(sum(weight.tensor.size for weight in weights.values()))
                mask |= 1 << bit
            self.masks[node.name] = mask

    def behind(self, name: str) -> int:
        """The parameters of a node and of all that it depends on."""
        mask = self.masks[name]
        if mask not in self.known:
            digits = reversed(f"{mask:b}")
            pairs = zip(digits, self.sizes, strict=False)
            self.known[mask] = sum(size for digit, size in pairs if digit == "1")
        return self.known[mask]
