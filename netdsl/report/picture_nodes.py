"""The nodes and boxes of a picture, put on the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import graphviz

from netdsl.ir import Node
from netdsl.op import call_text
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_labels import (
    GREY,
    SKIP,
    closed_label,
    plain,
    stack_label,
    title_label,
)
from netdsl.report.picture_parts import Box, Item, Repeat, Stack
from netdsl.report.picture_ties import Ties
from netdsl.report.picture_view import Leaf, View

FRAMES = ("#f6f7f9", "#eceff3", "#e2e6ec")
ENDS = {"shape": "ellipse", "fillcolor": "#ffffff"}
TABLE = {"shape": "plain", "style": ""}
MOST_TOLD = 12
"""How many layers of a closed block its tooltip tells."""

Turns = tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Nodes:
    """What puts the parts of a view on a canvas. Titles stand beside the chain, so that no edge
    strikes them through: at the left of a column, above a row."""

    flow: Flow
    view: View
    ties: Ties
    left_right: bool

    def fill(self, canvas: graphviz.Digraph, items: tuple[Item, ...], depth: int = 0) -> None:
        """Draw what stands in a box that is so many boxes deep."""
        for item in items:
            turns: Turns = (item.nodes,)
            if isinstance(item, Repeat):
                turns = tuple(tuple(n for part in turn for n in part.nodes) for turn in item.turns)
                if len(item.first) > 1:
                    title = title_label("", len(turns), _again(turns))
                    self._frame(canvas, f"repeat {turns[0][0].name}", title, item.first, depth)
                    continue
                item = next(iter(item.first))
            assert not isinstance(item, Repeat)
            if isinstance(item, Box) and item.path in self.view.opened:
                self._box(canvas, item, turns, depth)
            else:
                self._leaf(canvas, item, turns)

    def _box(self, canvas: graphviz.Digraph, box: Box, turns: Turns, depth: int) -> None:
        title = title_label(box.title, len(turns), self._notes(box, turns))
        style = {"style": "rounded,filled,dashed", "color": GREY} if box.side else {}
        if color := self.ties.color(box):
            style["color"] = color
        self._frame(canvas, box.path, title, box.items, depth, **style)

    def _frame(
        self,
        canvas: graphviz.Digraph,
        name: str,
        title: str,
        items: tuple[Item, ...],
        depth: int,
        **style: str,
    ) -> None:
        frame = graphviz.Digraph(plain(f"cluster_{name}"))
        frame.attr(fillcolor=FRAMES[min(depth, len(FRAMES) - 1)], **style)
        row = [self.view.ids[leaf] for leaf in self._heads(items)]
        if self.left_right or self._forks(items):
            frame.attr(label=title, labeljust="l", labelloc="t")
        else:
            frame.attr(label="")
            frame.node(plain(f"title {name}"), title, **TABLE)
            row.insert(0, plain(f"title {name}"))
        for one, other in pairwise(row):
            # An edge of no length keeps branches in the order of the file, side by side.
            frame.edge(one, other, style="invis", minlen="0", weight="1")
        self.fill(frame, items, depth + 1)
        canvas.subgraph(frame)

    def _forks(self, items: tuple[Item, ...]) -> bool:
        """Whether several items begin a box, a frame among them: graphviz orders them as it likes,
        and a title left of the first could be anywhere."""
        heads = set(self._heads(items))
        begun = [leaves for item in items if heads & (leaves := set(self.view.leaves_of((item,))))]
        return len(begun) > 1 and any(len(leaves) > 1 for leaves in begun)

    def _heads(self, items: tuple[Item, ...]) -> list[Leaf]:
        """The nodes of a box that nothing in the box feeds."""
        inside = tuple(self.view.leaves_of(items))
        made = {node.name for leaf in inside for node in leaf.nodes}
        heads: list[Leaf] = []
        for leaf in inside:
            own = {node.name for node in leaf.nodes}
            fed = {source.name for name in own for source in self.flow.sources[name]}
            if not (fed - own) & made:
                heads.append(leaf)
        return heads

    def _leaf(self, canvas: graphviz.Digraph, leaf: Leaf, turns: Turns) -> None:
        first, name = leaf.nodes[0], self.view.ids[leaf]
        if not first.inputs:
            canvas.node(name, plain(f"input {first.name}"), tooltip=_tooltip(leaf), **ENDS)
            return
        notes = self._notes(leaf, turns)
        color = self.ties.color(leaf) or GREY
        if isinstance(leaf, Box):
            learnt = [sum(map(self.flow.graph.parameters, turn)) for turn in turns]
            label = closed_label(leaf, self.flow.result(turns[-1]).tensor, learnt, notes, color)
        else:
            color = SKIP if self.flow.shortcut(first) else color
            label = stack_label(self.flow, leaf, len(turns), notes, color)
        canvas.node(name, label, tooltip=_tooltip(leaf), **TABLE)

    def _notes(self, part: Stack | Box, turns: Turns) -> list[str]:
        """What else must be said of a part."""
        owner = self.ties.owner(part)
        named = self.ties.named(part)
        notes = [f"weights of {owner}"] if owner else [named] if named else _again(turns)
        return [*notes, "training only"] if isinstance(part, Box) and part.side else notes


def _again(turns: Turns) -> list[str]:
    """That all turns of a repeat use the weights of the first."""
    shared = len(turns) > 1 and any(node.shared for node in turns[1])
    return ["the same weights each time"] if shared else []


def _tooltip(leaf: Leaf) -> str:
    """Every layer in full, with its place."""
    lines = [f"{n.name} = {call_text(n.layer)} ({n.place})" for n in leaf.nodes[:MOST_TOLD]]
    rest = len(leaf.nodes) - MOST_TOLD
    return plain(*lines, *([f"and {rest} more"] if rest > 0 else []))
