"""Aligned text tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
WIDTH = 100
"""Of a table, unless the terminal has another."""
LEAST = 12
"""No cell is cut below this width, even if the table is then too wide."""


@dataclass(frozen=True)
class Column:
    """A column: its title; numbers stand at the right, and a long cell may be cut.

    One that is not ``needed`` is left out where there is no room.
    """

    title: str
    right: bool = False
    cut: bool = False
    needed: bool = True


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int = WIDTH
) -> tuple[str, ...]:
    """The lines of a table: the titles, a rule, the rows.

    Where it would be wider than ``width``, the columns that may be cut give way, the widest first,
    and then those are left out that are not needed, the last first.
    """
    widths = [
        max(len(column.title), *(len(row[i]) for row in rows)) if rows else len(column.title)
        for i, column in enumerate(columns)
    ]
    _squeeze(widths, columns, width)
    if _whole(widths) > width and (spare := [i for i, c in enumerate(columns) if not c.needed]):
        kept = [i for i in range(len(columns)) if i != spare[-1]]
        fewer = [[row[i] for i in kept] for row in rows]
        return table([columns[i] for i in kept], fewer, width)
    titles = _line([column.title for column in columns], columns, widths)
    rule = "-" * _whole(widths)
    return (titles, rule, *(_line(row, columns, widths) for row in rows))


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _squeeze(widths: list[int], columns: Sequence[Column], width: int) -> None:
    flexible = [i for i, column in enumerate(columns) if column.cut]
    for _ in range(_whole(widths) - width):
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
