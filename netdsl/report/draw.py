"""The picture of a network: graphviz text, and files made from it."""

from __future__ import annotations

from pathlib import Path

import graphviz

from netdsl.errors import DataError, RunError
from netdsl.files import replace
from netdsl.ir import Graph
from netdsl.report.picture_edges import Edge, edges, shape_text
from netdsl.report.picture_flow import Flow, Kind
from netdsl.report.picture_labels import DIM, GREY, INK, PALE, SKIP, legend_label, plain
from netdsl.report.picture_nodes import ENDS, Nodes
from netdsl.report.picture_outline import outline
from netdsl.report.picture_parts import Stack
from netdsl.report.picture_ties import Ties
from netdsl.report.picture_view import Depth, View, view

FORMATS = ("svg", "png", "pdf", "dot")
PNG_DPI = "144"

INSTALL = (
    "install graphviz (Debian, Ubuntu: apt-get install graphviz; macOS: brew install graphviz; "
    "conda: conda install graphviz), or look at the .dot file with any graphviz viewer"
)


def draw(graph: Graph, depth: Depth = "auto", left_right: bool = False) -> graphviz.Digraph:
    """The network as a graphviz graph: the same graph gives the same text.

    Blocks are boxes, those deeper than ``depth`` levels single nodes; repeats are drawn once.
    """
    flow = Flow(graph)
    shown = view(flow, outline(flow), depth)
    canvas = _canvas(graph.name, _legend(flow, shown), left_right)
    Nodes(flow, shown, Ties(flow, shown), left_right).fill(canvas, shown.root.items)
    for edge in edges(flow, shown):
        _edge(canvas, edge)
    _outputs(canvas, flow, shown)
    return canvas


def render(graph: Graph, path: Path, depth: Depth = "auto", left_right: bool = False) -> list[Path]:
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
    picture = draw(graph, depth, left_right)
    text = picture.source.encode()
    if suffix == "dot":
        return [_write(path, text)]
    if suffix == "png":
        picture.graph_attr["dpi"] = PNG_DPI
    try:
        return [_write(path, picture.pipe(format=suffix, quiet=True))]
    except graphviz.ExecutableNotFound as error:
        written = _write(path.with_suffix(".dot"), text)
        raise RunError(
            "E508", f"the program 'dot' is missing: wrote {written} instead of {path}", help=INSTALL
        ) from error
    except graphviz.CalledProcessError as error:
        written = _write(path.with_suffix(".dot"), text)
        raise RunError("E509", f"the program 'dot' failed on {written}: {error}") from error


def _edge(canvas: graphviz.Digraph, edge: Edge) -> None:
    # Heavy edges are straight: the chain is, what skips or goes aside bends around it.
    style = {"weight": "500" if edge.joins else "1000"}
    if edge.skip:
        style = {"color": SKIP, "penwidth": "1.6", "weight": "1"}
    if edge.side:
        style = {"style": "dashed", "weight": "1"}
    if edge.shape:
        style["label"] = plain(f" {edge.shape} ")
    canvas.edge(edge.tail, edge.head, **style)


def _outputs(canvas: graphviz.Digraph, flow: Flow, view: View) -> None:
    for number, name in enumerate(flow.graph.outputs):
        source = flow.graph.origin(name)
        canvas.node(f"output{number}", plain(f"output {flow.called(source)}"), **ENDS)
        shape = shape_text(flow, view, source)
        _edge(canvas, Edge(view.ids[view.leaf(source.name)], f"output{number}", shape))


def _legend(flow: Flow, view: View) -> str:
    """What stands below the picture."""
    graph = flow.graph
    caption = f"{graph.name}: {graph.learnt():,} parameters"
    stacks = (leaf for leaf in view.leaves if isinstance(leaf, Stack))
    kinds: set[Kind] = {flow.kinds[node.name] for stack in stacks for node in stack.nodes}
    drawn = any(edge.skip for edge in edges(flow, view))
    return legend_label(caption, kinds, drawn, any(node.side for node in flow.nodes))


def _canvas(name: str, legend: str, left_right: bool) -> graphviz.Digraph:
    font = {"fontname": "Helvetica", "fontcolor": INK}
    return graphviz.Digraph(
        plain(name),
        graph_attr={
            **font,
            "rankdir": "LR" if left_right else "TB",
            "label": legend,
            "labelloc": "b",
            "bgcolor": "white",
            "nodesep": "0.25",
            "ranksep": "0.18",
            "fontsize": "10",
            "ordering": "out",
            "style": "rounded,filled",
            "color": PALE,
        },
        node_attr={
            **font,
            "style": "filled",
            "color": GREY,
            "penwidth": "0.8",
            "fontsize": "11",
            "height": "0.3",
            "margin": "0.08,0.03",
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
