"""Receptive fields: which part of each input a position of a layer's output sees.

They are unclipped, as the papers quote them: windows that hang over the edge count their padding
(the last pool of VGG-16 sees 212x212, ResNet-50 sees 427x427 of its 224x224). What sees all
positions sees the input and no padding. Branches are followed exactly, with their offsets: the
field of a join is the hull of what its branches see. Where a window goes over places that are
counted in another order by then (a picture made a sequence), its field is that of all of them.
The recurrence: Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural
networks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil, gcd, lcm

from netdsl.ir import Graph, Node
from netdsl.sight import SAME, Sight
from netdsl.tensor import Tensor

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Field:
    """What positions see along one axis of an input of that ``extent``.

    Position ``i`` sees ``spans[i % period]``, both ends included, moved by ``i // period * step``,
    where the period is the number of spans: 1 but after layers that enlarge their input. None sees
    nothing. ``count`` is how many positions there are; they are not ``steady`` where branches
    move at different steps.
    """

    spans: tuple[Span | None, ...]
    step: int
    count: int
    extent: int
    steady: bool = True

    @property
    def size(self) -> int:
        """The most that a position sees."""
        return max((last - first + 1 for first, last in filter(None, self.spans)), default=0)

    @property
    def stride(self) -> Fraction | None:
        """How far the field moves from a position to the next; None where that differs."""
        return Fraction(self.step, len(self.spans)) if self.steady else None

    @property
    def start(self) -> int | None:
        """The first that the first position sees: below 0 in the padding."""
        first = self.at(0)
        return first and first[0]

    @property
    def whole(self) -> bool:
        """Whether every position sees all of the input."""
        return self.step == 0 and all(
            span is not None and span[0] <= 0 and span[1] >= self.extent - 1 for span in self.spans
        )

    def at(self, position: int) -> Span | None:
        """What a position sees; those before the first and after the last are in the padding."""
        turn, phase = divmod(position, len(self.spans))
        span = self.spans[phase]
        return span and (span[0] + turn * self.step, span[1] + turn * self.step)

    def through(self, sight: Sight, count: int) -> Field:
        """The field of a layer whose positions see these in that way."""
        period = len(self.spans)
        if period == 1 and sight.over == 1 and self.spans[0]:
            first, last = self.spans[0]
            span = (first + sight.first * self.step, last + sight.last * self.step)
            return Field((span,), self.step * sight.step, count, self.extent, self.steady)
        # After so many positions the windows stand at the same phase again.
        whole = period * sight.over
        turns = whole // gcd(sight.step, whole)
        spans = tuple(_hull([self.at(j) for j in _places(sight, i)]) for i in range(turns))
        step = self.step * (turns * sight.step // whole)
        return Field(spans, step, count, self.extent, self.steady)

    def everywhere(self) -> Field:
        """The field of what sees all positions: it holds no padding."""
        span = _hull([self.at(i) for i in range(self.count)])
        kept = span and (max(0, span[0]), min(self.extent - 1, span[1]))
        return Field((kept,), 0, 1, self.extent)

    def along(self, count: int) -> Field:
        """The same for so many positions, where one position serves them all."""
        return self if self.count == count else self.everywhere()


Fields = Mapping[str, tuple[Field, ...]]
"""The fields of a node along each axis of every input of the network that it sees, by name."""


def receptive_fields(graph: Graph) -> dict[str, Fields]:
    """The fields of every node."""
    found: dict[str, Fields] = {}
    for node in graph:
        if not node.inputs:
            found[node.name] = {node.name: _own(node.tensor)}
            continue
        branches = [_through(graph, node, name, found[name]) for name in node.inputs]
        found[node.name] = branches[0] if len(branches) == 1 else _joined(branches)
    return found


def _own(tensor: Tensor) -> tuple[Field, ...]:
    """An input sees itself. The features of a vector are its positions."""
    return tuple(Field(((0, 0),), 1, size, size) for size in tensor.spatial or tensor.dims)


def _through(graph: Graph, node: Node, name: str, fields: Fields) -> Fields:
    """What a node sees through one of the tensors that enter it."""
    entering = (graph[name].tensor,) if node.layer.join else graph.tensors(node)
    sights = node.layer.sees(*entering)
    if sights is not None and all(sight == SAME for sight in sights):
        return fields
    counts = node.tensor.spatial if sights and len(sights) == len(node.tensor.spatial) else None
    return {name: _axes(axes, sights, counts) for name, axes in fields.items()}


def _axes(
    axes: tuple[Field, ...], sights: Sequence[Sight] | None, counts: tuple[int, ...] | None
) -> tuple[Field, ...]:
    if sights is None or len(sights) != len(axes):
        return tuple(axis.everywhere() for axis in axes)
    made: list[Field] = []
    for axis, sight, count in zip(axes, sights, counts or (1,) * len(axes), strict=True):
        again = made and axes[0] == axis and sights[0] == sight and made[0].count == count
        made.append(made[0] if again else axis.through(sight, count))
    return tuple(made)


def _joined(branches: Sequence[Fields]) -> Fields:
    """The hulls of what several branches see."""
    names = {name: None for branch in branches for name in branch}
    return {
        name: tuple(
            _union(list(axis))
            for axis in zip(*(b[name] for b in branches if name in b), strict=True)
        )
        for name in names
    }


def _union(fields: list[Field]) -> Field:
    count = max(field.count for field in fields)
    fields = [field for field, _ in groupby(field.along(count) for field in fields)]
    whole = [field for field in fields if field.whole]
    if whole or len(fields) == 1:
        return whole[0] if whole else fields[0]
    rates = {Fraction(field.step, len(field.spans)) for field in fields}
    steady = len(rates) == 1 and all(field.steady for field in fields)
    period = lcm(*(len(field.spans) for field in fields)) if steady else count
    spans = tuple(_hull([field.at(i) for field in fields]) for i in range(period))
    step = ceil(max(rates) * period)
    return Field(spans, step, count, fields[0].extent, steady)


def _hull(spans: Sequence[Span | None]) -> Span | None:
    seen = [span for span in spans if span]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def _places(sight: Sight, position: int) -> range:
    """The positions of its input that a position of a layer sees."""
    low = -((-position * sight.step - sight.first) // sight.over)
    return range(low, (position * sight.step + sight.last) // sight.over + 1)
