"""How much of an outline is shown: which boxes are open, and where each layer is drawn."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property
from typing import Literal

from netdsl.errors import DataError
from netdsl.ir import Node
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_parts import Box, Item, Repeat, Stack

Depth = int | Literal["auto", "all"]
"""How many levels of blocks are open; ``auto`` opens what fits on a page."""

MOST = 30
"""How many nodes and titles in a column are still legible on a page."""

Leaf = Stack | Box
"""What is drawn as one node: a stack, or a closed box."""


def read_depth(given: int | str) -> Depth:
    """A depth as the command line or Python gives it; DataError E418 if it is none."""
    if given in ("auto", "all"):
        return given  # type: ignore[return-value]
    if isinstance(given, str) and given.isdecimal():
        given = int(given)
    if isinstance(given, str) or given < 0:
        help = "0 draws every block as one node, 1 opens the outer blocks"
        raise DataError("E418", f"depth is a number, auto or all, not '{given}'", help=help)
    return given


class View:
    """An outline of which the boxes with the paths ``opened`` are open.

    Of a repeat the first turn is drawn; it stands for the later ones.
    """

    def __init__(self, root: Box, opened: frozenset[str]) -> None:
        self.root = root
        self.opened = opened

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """What is drawn as a node, in the order of the file."""
        return tuple(self.leaves_of(self.root.items))

    @cached_property
    def ids(self) -> dict[Leaf, str]:
        """What graphviz calls the leaves."""
        return {leaf: f"n{number}" for number, leaf in enumerate(self.leaves)}

    @cached_property
    def stands(self) -> dict[str, str]:
        """The layer of the turn before it that stands for a layer of a later turn, by names."""
        return dict(self._stands(self.root.items))

    @cached_property
    def twins(self) -> dict[str, list[Node]]:
        """The layers that a drawn one stands for, itself among them, by its name."""
        twins: dict[str, list[Node]] = {}
        for node in self.root.nodes:
            twins.setdefault(self.drawn(node.name), []).append(node)
        return twins

    @cached_property
    def _leaf_of(self) -> dict[str, Leaf]:
        return {node.name: leaf for leaf in self.leaves for node in leaf.nodes}

    def drawn(self, name: str) -> str:
        """The layer that stands for another in the picture."""
        while name in self.stands:
            name = self.stands[name]
        return name

    def leaf(self, name: str) -> Leaf:
        """Where a layer is drawn."""
        return self._leaf_of[self.drawn(name)]

    def height(self, flow: Flow) -> int:
        """How many nodes and titles stand below one another, about."""
        ranks: dict[Leaf, int] = {}
        for node in flow.nodes:
            if node.name not in self.stands:
                leaf = self.leaf(node.name)
                above = (self.leaf(source.name) for source in flow.sources[node.name])
                over = [ranks[other] + 1 for other in above if other is not leaf]
                ranks[leaf] = max(ranks.get(leaf, 1), *over, 1)
        return max(ranks.values()) + self._frames(self.root.items)

    def _frames(self, items: tuple[Item, ...]) -> int:
        """How many boxes are drawn around others."""
        count = 0
        for item in items:
            if isinstance(item, Repeat):
                count += self._frames(item.first) + (len(item.first) > 1)
            elif isinstance(item, Box) and item.path in self.opened:
                count += self._frames(item.items) + 1
        return count

    def leaves_of(self, items: tuple[Item, ...]) -> Iterator[Leaf]:
        """What is drawn as a node of some items, in the order of the file."""
        for item in items:
            if isinstance(item, Repeat):
                yield from self.leaves_of(item.first)
            elif isinstance(item, Box) and item.path in self.opened:
                yield from self.leaves_of(item.items)
            else:
                yield item

    def _stands(self, items: tuple[Item, ...]) -> Iterator[tuple[str, str]]:
        for item in items:
            if isinstance(item, Box) and item.path in self.opened:
                yield from self._stands(item.items)
            elif isinstance(item, Repeat):
                first = [node.name for part in item.first for node in part.nodes]
                for turn in item.turns[1:]:
                    later = [node.name for part in turn for node in part.nodes]
                    yield from zip(later, first, strict=True)
                yield from self._stands(item.first)


def view(flow: Flow, root: Box, depth: Depth = "auto") -> View:
    """An outline with so many levels of blocks open.

    ``auto`` opens everything if that fits on a page; else of blocks that differ in numbers alone
    the first; else as many levels as fit.
    """
    if depth == "all":
        return View(root, frozenset(_to(root.items, len(root.nodes))))
    if depth != "auto":
        return View(root, frozenset(_to(root.items, depth)))
    deepest = _levels(root.items)
    choices = [frozenset(_to(root.items, deepest)), frozenset(_once(root.items, set()))]
    choices += [frozenset(_to(root.items, level)) for level in range(deepest - 1, -1, -1)]
    views = [View(root, opened) for opened in choices]
    return next((each for each in views if each.height(flow) <= MOST), views[-1])


def _to(items: tuple[Item, ...], levels: int) -> Iterator[str]:
    """The paths of the boxes that are open where so many levels are."""
    for item in items:
        if isinstance(item, Repeat):
            yield from _to(item.first, levels)
        elif isinstance(item, Box) and (levels or item.kind == "side"):
            yield item.path
            yield from _to(item.items, levels - 1 if item.kind != "side" else levels)


def _once(items: tuple[Item, ...], seen: set[Hashable]) -> Iterator[str]:
    """The paths of the boxes that are the first of their form."""
    for item in items:
        if isinstance(item, Repeat):
            yield from _once(item.first, seen)
        elif isinstance(item, Box) and item.form not in seen and not item.side:
            seen.add(item.form)
            yield item.path
            yield from _once(item.items, seen)


def _levels(items: tuple[Item, ...]) -> int:
    """How deep boxes lie in one another."""
    depths = [0]
    for item in items:
        if isinstance(item, Repeat):
            depths.append(_levels(item.first))
        elif isinstance(item, Box):
            depths.append(_levels(item.items) + 1)
    return max(depths)
