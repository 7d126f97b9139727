"""The picture of a network: graphviz text, and files made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import graphviz
import networkx as nx

from netdsl.errors import DataError, RunError
from netdsl.files import replace
from netdsl.ir import Graph, Node
from netdsl.op import call_text

FORMATS = ("svg", "png", "pdf", "dot")
PNG_DPI = "144"

INK, DIM, GREY, PALE = "#222222", "#636a75", "#8a8f98", "#c9cdd3"
SKIP = "#c2571a"
CLUSTER_FILLS = ("#f6f7f9", "#eceff3", "#e2e6ec")
FILLS = {
    "end": "#ffffff",
    "learns": "#cfe2f8",
    "scales": "#dfeef0",
    "activation": "#fbe3c2",
    "pooling": "#dcebcf",
    "join": "#e8dbf1",
    "other": "#f1f1ee",
}

INSTALL = (
    "install graphviz (Debian, Ubuntu: apt-get install graphviz; macOS: brew install graphviz; "
    "conda: conda install graphviz), or look at the .dot file with any graphviz viewer"
)


def draw(graph: Graph) -> graphviz.Digraph:
    """The network as a graphviz graph, top to bottom: the same graph gives the same text.

    Blocks are clusters, edges carry shapes, and edges that skip layers stand out.
    """
    plan = _Plan(graph)
    canvas = _canvas(graph.name)
    _fill(canvas, plan, _blocks(plan.shown))
    for node in plan.shown:
        skips = plan.skips(node)
        for source in plan.sources(node):
            ends = plan.ids[source.name], plan.ids[node.name]
            _edge(canvas, *ends, source, skips=source.name in skips)
    for number, name in enumerate(graph.outputs):
        source = graph.origin(name)
        style = {"shape": "ellipse", "fillcolor": FILLS["end"]}
        canvas.node(f"output{number}", _text("output", source.name), **style)
        _edge(canvas, plan.ids[source.name], f"output{number}", source, skips=False)
    return canvas


def render(graph: Graph, path: Path) -> list[Path]:
    """Write the picture in the format of the suffix; returns the files written.

    Where the program ``dot`` is missing, the graphviz text is written beside and `RunError` says
    so. A failure leaves no half-written file.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise DataError(
            "E412",
            f"a picture is written as svg, png, pdf or dot, not as '{path.name}'",
            help=f"give a name such as {path.stem or graph.name}.svg",
        )
    picture = draw(graph)
    if suffix == "dot":
        return [_write(path, picture.source.encode())]
    if suffix == "png":
        picture.graph_attr["dpi"] = PNG_DPI
    try:
        return [_write(path, picture.pipe(format=suffix, quiet=True))]
    except graphviz.ExecutableNotFound as error:
        text = _write(path.with_suffix(".dot"), draw(graph).source.encode())
        raise RunError(
            "E508", f"the program 'dot' is missing: wrote {text} instead of {path}", help=INSTALL
        ) from error
    except graphviz.CalledProcessError as error:
        text = _write(path.with_suffix(".dot"), draw(graph).source.encode())
        raise RunError("E509", f"the program 'dot' failed on {text}: {error}") from error


class _Plan:
    """What is drawn of a graph: no identities; their users get an edge from what they pass on."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shown = [node for node in graph if not graph.passes_on(node)]
        self.ids = {node.name: f"n{number}" for number, node in enumerate(self.shown)}

    def sources(self, node: Node) -> list[Node]:
        """The drawn nodes that enter a node."""
        return [self.graph.origin(name) for name in node.inputs]

    def skips(self, node: Node) -> set[str]:
        """The sources of a node that reach it through another of its sources too."""
        names = {source.name for source in self.sources(node)}
        above = (nx.ancestors(self.graph.network, name) for name in names if len(names) > 1)
        return names.intersection(*[set().union(*above)])


@dataclass
class _Block:
    """The nodes of a block and the blocks in it, by name, in the order of the graph."""

    name: str
    items: dict[str, Node | _Block] = field(default_factory=dict)

    def inner(self, name: str) -> _Block:
        """The block of that name in it, made at first use."""
        block = self.items.setdefault(f"{name}.", _Block(f"{self.name}{name}."))
        assert isinstance(block, _Block)
        return block


def _blocks(nodes: list[Node]) -> _Block:
    root = _Block("")
    for node in nodes:
        block = root
        for name in node.path:
            block = block.inner(name)
        block.items[node.name] = node
    return root


def _fill(canvas: graphviz.Digraph, plan: _Plan, block: _Block, depth: int = 0) -> None:
    for item in block.items.values():
        if isinstance(item, Node):
            _node(canvas, plan, item)
            continue
        path = item.name.rstrip(".")
        cluster = graphviz.Digraph(_text(f"cluster_{path}"))
        fill = CLUSTER_FILLS[min(depth, len(CLUSTER_FILLS) - 1)]
        cluster.attr(label=_text(path.split(".")[-1]), fillcolor=fill)
        _fill(cluster, plan, item, depth + 1)
        canvas.subgraph(cluster)


def _node(canvas: graphviz.Digraph, plan: _Plan, node: Node) -> None:
    canvas.node(
        plan.ids[node.name],
        _text(*_lines(node)),
        fillcolor=FILLS[_kind(plan.graph, node)],
        tooltip=_text(f"{node.name} ({node.place})"),
        **({} if node.inputs else {"shape": "ellipse"}),
    )


def _lines(node: Node) -> tuple[str, ...]:
    """The call, and the name where it says more: ``relu3`` does not, beside ``relu``."""
    name = node.name.split(".")[-1]
    if not node.inputs:
        return (node.layer.name, name)
    call = call_text(node.layer)
    plain = call == node.layer.name and re.fullmatch(rf"{re.escape(call)}\d*", name)
    return (call,) if plain else (call, name)


def _kind(graph: Graph, node: Node) -> str:
    """The sort of layer, for its colour: told from traits, so that a new layer has one."""
    layer, inputs = node.layer, graph.tensors(node)
    weights = graph.weights(node).values()
    if not inputs:
        return "end"
    if any(len(weight.dims) > 1 for weight in weights):
        return "learns"
    if weights or graph.state(node):
        return "scales"
    if layer.join:
        return "join"
    if layer.kernels and all(kernel.scalar for kernel in layer.kernels):
        return "activation"
    windowed = any(parameter.name == "window" for parameter in layer.parameters())
    return "pooling" if windowed or node.tensor.size < inputs[0].size else "other"


def _edge(canvas: graphviz.Digraph, tail: str, head: str, source: Node, skips: bool) -> None:
    # A skip edge has no weight, so that the layers it skips stay in a straight line.
    style = {"color": SKIP, "penwidth": "1.4", "weight": "0"} if skips else {"weight": "8"}
    canvas.edge(tail, head, label=_text(f" {source.tensor} "), **style)


def _text(*lines: str) -> str:
    """A label of these lines, in which nothing means anything to graphviz."""
    plain = (graphviz.escape(line.replace("&", "&amp;")) for line in lines)
    return graphviz.nohtml("\\n".join(plain))


def _canvas(name: str) -> graphviz.Digraph:
    font = {"fontname": "Helvetica", "fontcolor": INK}
    return graphviz.Digraph(
        _text(name),
        graph_attr={
            **font,
            "rankdir": "TB",
            "bgcolor": "white",
            "nodesep": "0.35",
            "ranksep": "0.32",
            "fontsize": "10",
            "labeljust": "l",
            "style": "rounded,filled",
            "color": PALE,
        },
        node_attr={
            **font,
            "shape": "box",
            "style": "rounded,filled",
            "color": GREY,
            "penwidth": "0.8",
            "fontsize": "11",
            "height": "0.35",
            "margin": "0.14,0.05",
        },
        edge_attr={
            **font,
            "fontcolor": DIM,
            "color": GREY,
            "penwidth": "0.9",
            "arrowsize": "0.6",
            "fontsize": "9",
        },
    )


def _write(path: Path, content: bytes) -> Path:
    replace(path, content)
    return path
