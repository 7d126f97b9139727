"""Which layers of two networks correspond, so that one that is inserted shifts no other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netdsl.ir import Node
from netdsl.op import call_text

WORTH = (3, 4, 2)
"""What a pair is worth that has the same op, the same arguments, the same name: names are often
numbers of the compiler's, so arguments say more."""

Pairs = list[tuple[int, int]]


def align(before: Sequence[Node], after: Sequence[Node]) -> list[tuple[Node, Node]]:
    """Pairs of nodes, in the order of both networks, that are worth the most together.

    Of ties the earliest nodes are taken: what is repeated more often has grown at its end.
    """
    codes: dict[str, int] = {}
    left, right = _coded(before, codes), _coded(after, codes)
    pairs = _best(left, right, (0, len(before)), (0, len(after)))
    return [(before[i], after[j]) for i, j in pairs]


def _coded(nodes: Sequence[Node], codes: dict[str, int]) -> np.ndarray:
    """A row for each node: numbers for its op, its call and its name, equal if they are."""
    words = [(node.layer.name, call_text(node.layer), f"@{node.name}") for node in nodes]
    rows = [[codes.setdefault(word, len(codes)) for word in each] for each in words]
    return np.array(rows, np.int64).reshape(len(nodes), len(WORTH))


def _best(
    left: np.ndarray, right: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]
) -> Pairs:
    """The best pairs of two pieces, by halves, in the memory of one row (Hirschberg 1975)."""
    (top, bottom), (first, last) = rows, columns
    if top == bottom or first == last:
        return []
    if bottom - top == 1:
        worth = _worth(left[top], right[first:last])
        return [(top, first + int(worth.argmax()))] if worth.any() else []
    middle = (top + bottom) // 2
    above = _scores(left[top:middle], right[first:last])
    below = _scores(left[middle:bottom][::-1], right[first:last][::-1])
    cut = first + int((above + below[::-1]).argmax())
    return [
        *_best(left, right, (top, middle), (first, cut)),
        *_best(left, right, (middle, bottom), (cut, last)),
    ]


def _scores(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What all of ``left`` is worth at best with the first 0, 1, 2 … of ``right``."""
    scores = np.zeros(len(right) + 1, np.int64)
    for row in left:
        paired = scores[:-1] + _worth(row, right)
        scores[1:] = np.maximum.accumulate(np.maximum(scores[1:], paired))
    return scores


def _worth(row: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (right == row) @ np.array(WORTH)
