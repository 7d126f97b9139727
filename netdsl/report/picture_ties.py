"""Shared weights in a picture: what says whose weights are used, and a colour for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.report.picture_flow import Flow
from netdsl.report.picture_parts import Box, Item, Repeat, Stack
from netdsl.report.picture_view import View

COLORS = ("#8e2f7d", "#2f7d5b", "#3355aa", "#8a6500", "#a03333", "#4a4a4a")


class Ties:
    """Who shares weights with whom, among the stacks and boxes of a view.

    A box of which all weights are shared is tied as a whole, and what is in it is not.
    """

    def __init__(self, flow: Flow, view: View) -> None:
        self.flow = flow
        self._owners = dict(self._walk(view.root.items))
        names = dict.fromkeys(self._owners.values())
        self._colors = {name: COLORS[n % len(COLORS)] for n, name in enumerate(names)}

    def owner(self, part: Stack | Box) -> str:
        """Whose weights it uses; nothing if they are its own."""
        return self._owners.get(part, "")

    def named(self, part: Stack | Box) -> str:
        """What others call it whose weights are its own; nothing if there are none."""
        names = [part.path] if isinstance(part, Box) else [node.name for node in part.nodes]
        return next((name for name in names if name in self._colors), "")

    def color(self, part: Stack | Box) -> str:
        """The colour of all who use the same weights, their owner among them."""
        return self._colors.get(self.owner(part) or self.named(part), "")

    def _walk(self, items: tuple[Item, ...]) -> Iterator[tuple[Stack | Box, str]]:
        for item in items:
            if isinstance(item, Repeat):
                yield from self._walk(item.first)
            elif owner := self._owner(item):
                yield item, owner
            elif isinstance(item, Box):
                yield from self._walk(item.items)

    def _owner(self, part: Stack | Box) -> str:
        kept = [node for node in part.nodes if self.flow.keeps(node)]
        if not kept or not all(node.shared for node in kept):
            return ""
        if isinstance(part, Stack):
            return kept[0].owner
        depth = part.path.count(".") + 1
        owners = {".".join(node.owner.split(".")[:depth]) for node in kept}
        return owners.pop() if len(owners) == 1 else ""
