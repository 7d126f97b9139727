"""Lines one below the other: what people compare stands in columns.

In neighbouring lines that begin with the same layer, the first ``as`` and the first ``->`` are
aligned; so are the comments behind neighbouring lines. Where that would pass the width of a line,
or take more than ``REACH`` blanks, the lines stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

REACH = 16


@dataclass(frozen=True)
class Line:
    """A row as text, perhaps of several lines; ``label`` and ``arrow`` are columns in it, or 0.

    ``head`` is the layer it begins with, if it may stand in columns with its neighbours.
    """

    text: str
    aside: str = ""
    blank: bool = False
    remark: bool = False
    head: str = ""
    label: int = 0
    arrow: int = 0

    def widen(self, at: int, column: int) -> Line:
        """With what begins at a column of the text moved to another one, further right."""
        by = column - at
        text = self.text[:at] + " " * by + self.text[at:]
        arrow = self.arrow + by if self.arrow >= at else self.arrow
        return replace(self, text=text, arrow=arrow)


def align(lines: list[Line], indent: int, width: int) -> str:
    """The lines as one text, each behind the indent."""
    margin = " " * indent
    shown: list[str] = []
    for run in _runs(lines, _alike):
        run = _in_column(run, lambda line: line.label, width - indent)
        shown += [line.text for line in _in_column(run, lambda line: line.arrow, width - indent)]
    lines = [replace(line, text=text) for line, text in zip(lines, shown, strict=True)]
    texts = [text for run in _runs(lines, _both_aside) for text in _with_asides(run, width, indent)]
    blanks = ("\n" if line.blank and at else "" for at, line in enumerate(lines))
    return "\n".join(blank + margin + text for blank, text in zip(blanks, texts, strict=True))


def _runs(lines: list[Line], belong: Callable[[Line, Line], bool]) -> Iterator[list[Line]]:
    run: list[Line] = []
    for line in lines:
        if run and not belong(run[-1], line):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _alike(before: Line, line: Line) -> bool:
    return bool(line.head) and line.head == before.head and not line.blank


def _both_aside(before: Line, line: Line) -> bool:
    neighbours = not line.blank and "\n" not in line.text
    return bool(before.aside and line.aside) and neighbours


def _in_column(run: list[Line], place: Callable[[Line], int], room: int) -> list[Line]:
    columns = [place(line) for line in run if place(line)] or [0]
    if max(columns) - min(columns) > REACH:
        return run
    wide = [line.widen(place(line), max(columns)) if place(line) else line for line in run]
    return wide if all(len(line.text) <= room for line in wide) else run


def _with_asides(run: list[Line], width: int, indent: int) -> list[str]:
    if not run[0].aside:
        return [line.text for line in run]
    lengths = [_length(line.text, indent) for line in run]
    column = max(lengths)
    if any(column + 2 + len(line.aside) > width for line in run):
        return [f"{line.text}  {line.aside}" for line in run]
    return [
        f"{line.text}{' ' * (column - length)}  {line.aside}"
        for line, length in zip(run, lengths, strict=True)
    ]


def _length(text: str, indent: int) -> int:
    """The columns of the last line, which carries its indent itself unless it is the first."""
    return len(text) - text.rfind("\n") - 1 if "\n" in text else indent + len(text)
