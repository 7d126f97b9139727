"""The outline of a picture: a graph as boxes and stacks, in the order of the file."""

from __future__ import annotations

import re
from itertools import groupby

from netdsl.ir import Graph, Node, Region
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_parts import Box, Item, Stack
from netdsl.report.picture_repeats import fold

SERIES = re.compile(r"\s*(as\s+\w+\s*)?->\s*")
"""What stands in the file between two steps of one pipe."""


def outline(flow: Flow) -> Box:
    """The whole picture as a box: blocks in boxes, layers in stacks, repeats folded."""
    return Box("", flow.graph.name, "net", _items(flow, flow.nodes, 0))


def _items(flow: Flow, nodes: tuple[Node, ...], depth: int) -> tuple[Item, ...]:
    """What stands in a box, ``depth`` boxes deep."""
    made: list[Item] = []
    for path, group in groupby(nodes, lambda node: _boxes(flow, node)[depth:][:1]):
        inside = tuple(group)
        if path:
            made.append(_box(flow.graph, path[0], _items(flow, inside, depth + 1)))
        else:
            made += _stacks(flow, inside)
    if not all(node.side for node in nodes):
        made = _aside(made)
    return fold(tuple(made), flow)


def _boxes(flow: Flow, node: Node) -> tuple[str, ...]:
    """The paths of the blocks around a node, outermost first.

    ``residual`` is drawn as what it is, an edge beside the chain, and needs no box.
    """
    paths = (".".join(node.path[: end + 1]) for end in range(len(node.path)))
    return tuple(path for path in paths if not flow.connection(path))


def _box(graph: Graph, path: str, items: tuple[Item, ...]) -> Item:
    """A block's box; a block that is one stack is that stack, one that is one block has one box."""
    last = path.split(".")[-1]
    region = graph.regions.get(path)
    label = region.label if region else ""
    if len(items) == 1 and isinstance(items[0], Stack):
        return Stack(items[0].nodes, label or items[0].label)
    if len(items) == 1 and isinstance(items[0], Box) and not items[0].side:
        items = items[0].items
    return Box(path, _title(region, last), region.kind if region else last, items)


def _title(region: Region | None, last: str) -> str:
    if region is None:
        return last
    return f"{region.label}: {region.call}" if region.label else region.call


def _aside(items: list[Item]) -> list[Item]:
    """Loose layers of a side head get a box of their own."""
    made: list[Item] = []
    for side, group in groupby(items, lambda item: all(node.side for node in item.nodes)):
        inside = tuple(group)
        loose = side and any(isinstance(item, Stack) for item in inside)
        path = f"side {inside[0].nodes[0].name}"
        made += [Box(path, "", "side", inside)] if loose else inside
    return made


def _stacks(flow: Flow, nodes: tuple[Node, ...]) -> list[Stack]:
    """Layers in stacks: what a pipe says together, and what is attached to the line above it."""
    stacks: list[list[Node]] = []
    for node in nodes:
        if stacks and _leads_to(flow, stacks[-1], node):
            stacks[-1].append(node)
        else:
            stacks.append([node])
    joined: list[list[Node]] = []
    for stack in stacks:
        if joined and all(map(flow.light, stack)) and _carries(flow, joined[-1], stack[0]):
            joined[-1] += stack
        else:
            joined.append(stack)
    return [Stack(tuple(stack)) for stack in joined]


def _leads_to(flow: Flow, stack: list[Node], node: Node) -> bool:
    """Whether a pipe draws a layer to those before it: ``conv -> bn``, ``bn -> relu -> conv``."""
    if not _one_pipe(stack[-1], node) or not _series(flow, stack, node):
        return False
    begun = all(map(flow.light, stack))
    if flow.light(node):
        return begun or flow.kinds[stack[0].name] == "learns"
    return begun and flow.kinds[node.name] == "learns"


def _carries(flow: Flow, stack: list[Node], node: Node) -> bool:
    """Whether a light layer is attached to the stack before it: ``conv -> bn``."""
    fit = flow.kinds[stack[0].name] not in ("end", "join") and not flow.light(stack[0])
    return fit and _series(flow, stack, node)


def _series(flow: Flow, stack: list[Node], node: Node) -> bool:
    """Whether a layer alone reads what a stack makes."""
    last = stack[-1]
    alone = flow.sources[node.name] == (last,) and len(flow.users[last.name]) == 1
    return alone and last.name not in flow.ends and last.side == node.side


def _one_pipe(a: Node, b: Node) -> bool:
    """Whether a step follows another in one pipe of the file, or both come of one step."""
    if a.span == b.span:
        return True
    if a.span.source is not b.span.source or a.frames != b.frames:
        return False
    between = a.span.source.text[a.span.end : b.span.start]
    return a.span.end < b.span.start and SERIES.fullmatch(between) is not None
