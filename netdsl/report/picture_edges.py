"""The edges of a picture: one for each tensor that goes from one node to another."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir import Node
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_parts import Box, Stack
from netdsl.report.picture_view import View


@dataclass(frozen=True)
class Edge:
    """From one drawn node to another, by their ids.

    ``shape`` is the text on it. A ``skip`` goes around others, ``side`` leads into a side head,
    ``joins`` leads into a join.
    """

    tail: str
    head: str
    shape: str = ""
    skip: bool = False
    side: bool = False
    joins: bool = False


def edges(flow: Flow, view: View) -> list[Edge]:
    """The edges in the order of what they enter; a shape is told once, where it is new."""
    found: dict[tuple[str, str], tuple[Node, Node, bool]] = {}
    for node in flow.nodes:
        if node.name in view.stands:
            continue
        head = view.leaf(node.name)
        for source in flow.sources[node.name]:
            tail = view.leaf(source.name)
            ends = view.ids[tail], view.ids[head]
            if tail is not head:
                skip = (source.name, node.name) in flow.skips
                known = found.get(ends)
                found[ends] = source, node, skip and (known is None or known[2])
    made: list[Edge] = []
    told: set[str] = set()
    for (tail, head), (source, node, skip) in found.items():
        side = node.side and not source.side
        tells = not skip and not side and source.name not in told
        told |= {source.name} if tells else set()
        shape = shape_text(flow, view, source) if tells else ""
        joins = flow.kinds[node.name] == "join" and isinstance(view.leaf(node.name), Stack)
        made.append(Edge(tail, head, shape, skip, side, joins))
    return made


def shape_text(flow: Flow, view: View, source: Node) -> str:
    """The shape of what a node makes; nothing where that is no news, or is told elsewhere."""
    leaf = view.leaf(source.name)
    if isinstance(leaf, Box):
        return ""  # a closed block tells its shape itself
    twins = view.twins[view.drawn(source.name)]
    if source is not twins[-1] and len({twin.tensor for twin in twins}) > 1:
        return ""  # inside a repeat, whose turns differ
    first = view.twins[leaf.nodes[0].name]
    entering = {other.tensor for node in first for other in flow.sources[node.name]}
    return "" if entering == {source.tensor} else str(source.tensor)
