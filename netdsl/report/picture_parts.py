"""What a picture is made of: stacks of layers, boxes of blocks, repeats of either."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

from netdsl.ir import Node


@dataclass(frozen=True, eq=False)
class Stack:
    """Layers of one pipe that are drawn as one: a convolution with its bn and its relu.

    ``label`` is what the file calls the block that it is all of.
    """

    nodes: tuple[Node, ...]
    label: str = ""

    @cached_property
    def key(self) -> Hashable:
        """Equal for stacks that repeats may fold."""
        return (self.label, *((node.layer, node.side) for node in self.nodes))

    @cached_property
    def form(self) -> Hashable:
        """Equal for stacks that differ in numbers alone."""
        return tuple(node.layer.name for node in self.nodes)


@dataclass(frozen=True, eq=False)
class Box:
    """A block: what it is called, and what is in it. ``path`` tells it from all others."""

    path: str
    title: str
    kind: str
    items: tuple[Item, ...]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The layers in it."""
        return tuple(node for item in self.items for node in item.nodes)

    @cached_property
    def key(self) -> Hashable:
        """Equal for boxes that repeats may fold."""
        return (self.title, *(item.key for item in self.items))

    @cached_property
    def form(self) -> Hashable:
        """Equal for boxes that differ in numbers alone."""
        return (self.kind, *(item.form for item in self.items))

    @property
    def side(self) -> bool:
        """Whether training alone computes it."""
        return all(node.side for node in self.nodes)


@dataclass(frozen=True, eq=False)
class Repeat:
    """The same several times in series: only the first of the ``turns`` is drawn."""

    turns: tuple[tuple[Item, ...], ...]

    @property
    def first(self) -> tuple[Item, ...]:
        """What is drawn."""
        return self.turns[0]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The layers of all turns."""
        return tuple(node for turn in self.turns for item in turn for node in item.nodes)

    @cached_property
    def key(self) -> Hashable:
        """Equal for repeats that repeats may fold."""
        return (len(self.turns), *(item.key for item in self.first))

    @cached_property
    def form(self) -> Hashable:
        """Equal for repeats that differ in numbers alone."""
        return ("repeat", *(item.form for item in self.first))


Item = Stack | Box | Repeat
