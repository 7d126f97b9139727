"""A network as people read it: blocks in blocks, and equal ones that follow each other as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from netdsl.ir import Graph, Node, Region


@dataclass(eq=False)
class Block:
    """A region with the layers and the blocks in it, in the order of the graph.

    The network itself is the block without a region; ``path`` is its name.
    """

    graph: Graph
    path: str
    region: Region | None
    items: list[Node | Block] = field(default_factory=list["Node | Block"])

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All layers in it, also those of blocks in it."""
        parts = (item.nodes if isinstance(item, Block) else (item,) for item in self.items)
        return tuple(node for part in parts for node in part)

    @property
    def connects(self) -> bool:
        """Whether it is a connection of the language, ``residual { }``, and no block's call."""
        region, frames = self.region, self.nodes[0].frames
        return region is not None and all(frame.call != region.span for frame in frames)

    @cached_property
    def last(self) -> Node:
        """The layer whose tensor leaves it, the last one if there are several."""
        names = {node.name for node in self.nodes}
        for node in reversed(self.nodes):
            users = self.graph.users(node.name)
            if node.name in self.graph.outputs or any(user.name not in names for user in users):
                return node
        return self.nodes[-1]

    @cached_property
    def entering(self) -> tuple[str, ...]:
        """The layers outside whose tensors enter it, in the order of their use."""
        names = {node.name for node in self.nodes}
        read = (name for node in self.nodes for name in node.inputs if name not in names)
        return tuple(dict.fromkeys(read))

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """What equal blocks have in common: layers, shapes, and wiring seen from within."""
        entering = tuple(self.graph[name].tensor for name in self.entering)
        return entering, tuple(
            (
                self.local(node.name),
                node.layer,
                node.tensor,
                tuple(map(self.local, node.inputs)),
                node.side,
                self.local(node.shared),
            )
            for node in self.nodes
        )

    def local(self, name: str) -> str | int:
        """What a name is within: without the path, or a number for what enters."""
        if name.startswith(f"{self.path}."):
            return name[len(self.path) :]
        return self.entering.index(name) if name in self.entering else name

    def link(self, before: Block) -> tuple[object, ...] | None:
        """How it hangs on its neighbour before it; None where it also reads something else.

        What enters comes out of the neighbour, or enters the neighbour too.
        """
        found: list[object] = []
        for slot, name in enumerate(self.entering):
            if name.startswith(f"{before.path}."):
                found.append(before.local(name))
            elif slot < len(before.entering) and before.entering[slot] == name:
                found.append(slot)
            else:
                return None
        return tuple(found)


@dataclass(frozen=True)
class Row:
    """A row of a table: a layer, or a block, or several equal blocks in a series.

    ``depth`` is how many blocks are around it; of several blocks the rows below it show the first.
    """

    depth: int
    nodes: tuple[Node, ...]
    last: Node
    name: str
    path: str
    region: Region | None = None
    times: int = 1


def tree(graph: Graph) -> Block:
    """The blocks of a network."""
    root = Block(graph, "", None)
    found: dict[str, Block] = {"": root}
    for node in graph:
        block, path = root, ""
        for part in node.path:
            path = f"{path}.{part}" if path else part
            if path not in found:
                found[path] = Block(graph, path, graph.regions.get(path))
                block.items.append(found[path])
            block = found[path]
        block.items.append(node)
    return root


def rows(block: Block, levels: int | None, unfold: bool = False, depth: int = 0) -> Iterator[Row]:
    """The rows of a block's items: ``levels`` of blocks are opened, all of them if None.

    Connections are opened with the block that they stand in. Unless they are unfolded, equal blocks
    are one row, and layers that only pass on what they get (``expect``, ``id``) have none.
    """
    for group in _groups(block.items, unfold):
        first, last = group[0], group[-1]
        if isinstance(first, Node):
            if unfold or not block.graph.passes_on(first):
                yield Row(depth, (first,), first, first.name.split(".")[-1], first.name)
            continue
        assert isinstance(last, Block)
        nodes = tuple(node for item in group if isinstance(item, Block) for node in item.nodes)
        name = _span(first.path.split(".")[-1], last.path.split(".")[-1])
        yield Row(depth, nodes, last.last, name, first.path, first.region, len(group))
        left = levels if levels is None or first.connects else levels - 1
        if left is None or left >= 0:
            yield from rows(first, left, unfold, depth + 1)


def _groups(items: Sequence[Node | Block], unfold: bool) -> list[list[Node | Block]]:
    """Items alone, or with the equal ones that follow them."""
    found: list[list[Node | Block]] = []
    links: set[tuple[object, ...] | None] = set()
    for item in items:
        before = found[-1][-1] if found else None
        if not unfold and isinstance(item, Block) and isinstance(before, Block):
            link = _link(before, item)
            if link is not None and links <= {link}:
                found[-1].append(item)
                links = {link}
                continue
        found.append([item])
        links = set()
    return found


def _link(before: Block, item: Block) -> tuple[object, ...] | None:
    same = len(before.nodes) == len(item.nodes) and _kind(before) == _kind(item)
    return item.link(before) if same and before.structure == item.structure else None


def _kind(block: Block) -> str:
    return block.region.kind if block.region else ""


def _span(first: str, last: str) -> str:
    """``bottleneck2..4`` of two names."""
    if first == last:
        return first
    stem = re.sub(r"\d+$", "", first)
    return f"{first}..{last.removeprefix(stem)}"
