"""Source text and places in it."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """A text with a name: a file, or an expression of the command line.

    ``name`` is shown to people (``lenet5.net``); it is never opened again.
    """

    name: str
    text: str = field(repr=False)

    @cached_property
    def starts(self) -> list[int]:
        """The offset at which each line begins."""
        return [0, *(i + 1 for i, char in enumerate(self.text) if char == "\n")]

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        begin = self.starts[number - 1]
        end = self.starts[number] - 1 if number < len(self.starts) else len(self.text)
        return self.text[begin:end].rstrip("\r")

    def span(self, start: int, end: int) -> Span:
        """The place between two offsets."""
        return Span(self, start, end)


@dataclass(frozen=True)
class Span:
    """A piece of a source: ``source.text[start:end]``."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line of the first character, counted from 1."""
        return bisect_right(self.source.starts, self.start)

    @property
    def column(self) -> int:
        """The column of the first character, counted from 1."""
        return self.start - self.source.starts[self.line - 1] + 1

    @property
    def text(self) -> str:
        """The piece itself, as the user spelt it."""
        return self.source.text[self.start : self.end]

    @property
    def place(self) -> str:
        """``file:line:column``."""
        return f"{self.source.name}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """The place from the start of this one to the end of the other."""
        return Span(self.source, self.start, max(self.end, other.end))

    def excerpt(self) -> str:
        """The guilty line with a caret under the piece (its first line, if it has several)."""
        line = "".join(map(_visible, self.source.line(self.line)))
        first = self.column - 1
        width = max(1, min(self.end - self.start, len(line) - first))
        shown, first = _window(line, first)
        number = f"{self.line:4} | "
        gutter = " " * (len(number) - 2) + "| "
        last = first + max(1, min(width, len(shown) - first))
        caret = "^" * max(1, _cells(shown[first:last]))
        return f"{number}{shown}\n{gutter}{' ' * _cells(shown[:first])}{caret}"


def _visible(char: str) -> str:
    """A character as it may be shown: what would command the terminal is not passed on to it."""
    if char == "\t":
        return " "
    hidden = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "\N{REPLACEMENT CHARACTER}" if hidden else char


def _cells(text: str) -> int:
    """How many columns of a terminal a text fills: some characters fill two, some none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def _window(line: str, first: int, limit: int = 100) -> tuple[str, int]:
    """Cut a long line around the piece, so that an excerpt fits a terminal."""
    if len(line) <= limit:
        return line, first
    begin = max(0, min(first - 30, len(line) - limit))
    return line[begin : begin + limit], first - begin
