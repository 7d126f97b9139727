"""Repeats in a row of items: equal pieces, each fed by the one before it, become one."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise

from netdsl.ir import Node
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_parts import Item, Repeat


def fold(items: tuple[Item, ...], flow: Flow) -> tuple[Item, ...]:
    """The items with repeats folded, the short ones first, so that long ones may hold them."""
    tried = 0
    while period := min((p for p in _distances(items) if p > tried), default=0):
        items = _fold(items, period, flow)
        tried = period
    return items


def _distances(items: tuple[Item, ...]) -> set[int]:
    """How far from each other equal items stand: the periods that a repeat may have."""
    last: dict[Hashable, int] = {}
    found: set[int] = set()
    for place, item in enumerate(items):
        if item.key in last:
            found.add(place - last[item.key])
        last[item.key] = place
    return found


def _fold(items: tuple[Item, ...], period: int, flow: Flow) -> tuple[Item, ...]:
    made: list[Item] = []
    start = 0
    while start < len(items):
        turns = _turns(items[start:], period, flow)
        made.append(Repeat(turns) if len(turns) > 1 else items[start])
        start += period * len(turns) if len(turns) > 1 else 1
    return tuple(made)


def _turns(items: tuple[Item, ...], period: int, flow: Flow) -> tuple[tuple[Item, ...], ...]:
    """The pieces of a length with which a row begins, as long as each goes on from the last."""
    turns = [items[:period]]
    keys = [item.key for item in turns[0]]
    while True:
        piece = items[len(turns) * period :][:period]
        if [item.key for item in piece] != keys or not _goes_on(turns, piece, flow):
            return tuple(turns)
        turns.append(piece)


def _goes_on(turns: list[tuple[Item, ...]], piece: tuple[Item, ...], flow: Flow) -> bool:
    """Whether a piece is to the last turn what that is to the one before it, and no other reads it.

    A tensor that enters comes from the same place in the turn before, or is the same for all.
    """
    this, here = _nodes(piece), _places(piece)
    last, there = _nodes(turns[-1]), _places(turns[-1])
    if not _alike_shared(turns, piece, flow):
        return False
    read_by = {user.name for node in last for user in flow.users[node.name]}
    if not read_by <= here.keys() | there.keys() or flow.ends & there.keys():
        return False
    before = _places(turns[-2]) if len(turns) > 1 else None
    entering: dict[int, str] = {}
    for a, b in zip(last, this, strict=True):
        if len(a.inputs) != len(b.inputs):
            return False
        for x, y in zip(flow.sources[a.name], flow.sources[b.name], strict=True):
            if y.name in here:
                same = there.get(x.name) == here[y.name]
            elif y.name not in there:
                same = x is y
            elif before is not None:
                same = before.get(x.name) == there[y.name]
            else:
                known = entering.setdefault(there[y.name], x.name)
                same = x.name == known and x.name not in there
            if not same:
                return False
    return bool(read_by & here.keys())


def _alike_shared(turns: list[tuple[Item, ...]], piece: tuple[Item, ...], flow: Flow) -> bool:
    """Whether all turns share one set of weights, or each has its own."""
    rows = [_nodes(turn) for turn in (*turns[-2:], piece)]
    same = {
        a.owner == b.owner
        for first, second in pairwise(rows)
        for a, b in zip(first, second, strict=True)
        if flow.keeps(b)
    }
    return not same or same == {True} or (same == {False} and not any(n.shared for n in rows[-1]))


def _nodes(items: tuple[Item, ...]) -> list[Node]:
    return [node for item in items for node in item.nodes]


def _places(items: tuple[Item, ...]) -> dict[str, int]:
    return {node.name: place for place, node in enumerate(_nodes(items))}
