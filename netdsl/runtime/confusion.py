"""The confusion matrix: what was taken for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion(predicted: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (row) was taken for each class (column)."""
    pairs = target.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def text(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The matrix as an aligned table; columns go by number, so that twenty classes fit.

    A zero is a dot: mistakes stand out. Recall is the share of a class that was recognised.
    """
    numbers = [str(number) for number in range(len(names))]
    named = list(names) != numbers
    heads = [
        f"{number:>{len(numbers[-1])}}{f' {name}' if named else ''}"
        for number, name in zip(numbers, names, strict=True)
    ]
    cells = [[str(count) if count else "." for count in row] for row in matrix.tolist()]
    head = max(len("target"), *map(len, heads))
    cell = max(len(entry) for row in [numbers, *cells] for entry in row)
    lines = [_line("target", numbers, "recall", head, cell)]
    for name, row, counts in zip(heads, cells, matrix.tolist(), strict=True):
        lines.append(_line(name, row, _recall(counts, len(lines) - 1), head, cell))
    width = len(lines[0]) - head - len("recall") - 8
    return "\n".join([f"{'':{head}}  {'predicted':^{width}}".rstrip(), *lines])


def _line(name: str, cells: Sequence[str], recall: str, head: int, cell: int) -> str:
    return f"{name:{head}}  {' '.join(f'{entry:>{cell}}' for entry in cells)}  {recall:>8}"


def _recall(counts: list[int], own: int) -> str:
    return f"{100 * counts[own] / sum(counts):.2f} %" if sum(counts) else "-"
