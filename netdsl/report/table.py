"""Aligned text tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
WIDTH = 100
"""Of a table, unless the terminal is wider."""
LEAST = 12
"""No cell is cut below this width, even if the table is then too wide."""


@dataclass(frozen=True)
class Column:
    """A column: its title; numbers stand at the right, and a long cell may be cut."""

    title: str
    right: bool = False
    cut: bool = False


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int = WIDTH
) -> tuple[str, ...]:
    """The lines of a table: the titles, a rule, the rows.

    Where it would be wider than ``width``, the columns that may be cut give way, the widest first.
    """
    widths = [
        max(len(column.title), *(len(row[i]) for row in rows)) if rows else len(column.title)
        for i, column in enumerate(columns)
    ]
    _squeeze(widths, columns, width)
    titles = _line([column.title for column in columns], columns, widths)
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return (titles, rule, *(_line(row, columns, widths) for row in rows))


def _squeeze(widths: list[int], columns: Sequence[Column], width: int) -> None:
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    flexible = [i for i, column in enumerate(columns) if column.cut]
    for _ in range(over):
        widest = max(flexible, key=lambda i: widths[i])
        if widths[widest] <= LEAST:
            return
        widths[widest] -= 1


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = (
        _shorten(cell, width).rjust(width) if column.right else _shorten(cell, width).ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    )
    return GAP.join(padded).rstrip()


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
