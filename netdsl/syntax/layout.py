"""Pieces of text that know how wide they are, laid out in lines of at most ``WIDTH`` columns.

A bracket is one line where it fits, else one row a line. Braces and branches break before what
stands around them: once broken they stay so, hence nothing may hang on how wide they were, or text
laid out twice would differ from text laid out once. All widths are known when a piece is
made, so nothing is laid out twice, and deep nesting costs no more than its size. Texts of several
lines carry the indent of all their lines but the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from netdsl.syntax.columns import Line, align

WIDTH = 100
INDENT = 2


class Size(NamedTuple):
    """The columns of the first and the last line of a piece, and whether it has several.

    ``middle`` are those of the widest line between two pieces that are tall themselves.
    """

    first: int
    last: int
    tall: bool
    middle: int = 0

    def then(self, other: Size) -> Size:
        """The size of two pieces, one behind the other."""
        first = self.first if self.tall else self.first + other.first
        last = other.last if other.tall else self.last + other.last
        between = self.last + other.first if self.tall and other.tall else 0
        middle = max(self.middle, other.middle, between)
        return Size(first, last, self.tall or other.tall, middle)


@dataclass(frozen=True)
class Row:
    """A piece on lines of its own, with the comment behind it; or a comment alone."""

    doc: Doc
    aside: str = ""
    blank: bool = False
    remark: bool = False
    head: str = ""
    label: int = 0
    arrow: int = 0

    def line(self, indent: int, end: str) -> Line:
        """The row as text behind an indent."""
        text = _text(self.doc) if self.remark else lay(self.doc, indent, indent, len(end)) + end
        flat = "\n" not in text and not self.remark
        head = self.head if flat else ""
        return Line(text, self.aside, self.blank, self.remark, head, self.label, self.arrow)


@dataclass(frozen=True)
class Seq:
    """Pieces one behind the other."""

    parts: tuple[Doc, ...]

    @cached_property
    def size(self) -> Size:
        """The size on as few lines as may be."""
        return _sum(map(size, self.parts))

    @cached_property
    def tight(self) -> Size:
        """The size with braces and branches broken."""
        return _sum(map(_tight, self.parts))


@dataclass(frozen=True)
class Bracket:
    """``( a, b )``: on one line where it fits and is not ``forced``, or one row a line.

    On one line ``pad`` stands inside the brackets and ``lone`` behind the last row; else ``comma``
    stands behind each row, and the comment ``aside`` behind the opening bracket.
    """

    open: str
    rows: tuple[Row, ...]
    close: str
    pad: str = ""
    lone: str = field(default="", kw_only=True)
    comma: str = field(default=",", kw_only=True)
    aside: str = field(default="", kw_only=True)
    forced: bool = field(default=False, kw_only=True)

    @cached_property
    def flat(self) -> Doc:
        """On one line, but for rows that are tall themselves."""
        inner = [part for row in self.rows for part in (", ", row.doc)][1:]
        pad = self.pad if self.rows else ""
        return seq(self.open + pad, *inner, self.lone + pad + self.close)

    @cached_property
    def size(self) -> Size:
        """The size on as few lines as may be."""
        return Size(len(self.open), len(self.close), True) if self.forced else size(self.flat)

    @cached_property
    def tight(self) -> Size:
        """The size with braces and branches broken."""
        if self.forced or (self.rows and not self.comma):
            return Size(len(self.open), len(self.close), True)
        return _tight(self.flat)

    @cached_property
    def braced(self) -> bool:
        """Whether there are braces in it, or it is one of braces."""
        return self.open == "{" or any(_braced(row.doc) for row in self.rows)

    @property
    def whole(self) -> bool:
        """Whether it is never broken for its width: what is in its braces is, or it is empty."""
        return not self.forced and (not self.rows or (self.comma == "," and self.braced))

    def broken(self, indent: int) -> str:
        """One row a line."""
        aside = f"  {self.aside}" if self.aside else ""
        if not self.rows:
            return f"{self.open}{aside}\n{' ' * indent}{self.close}"
        inner = lines(self.rows, indent + INDENT, self.comma)
        return f"{self.open}{aside}\n{inner}\n{' ' * indent}{self.close}"


@dataclass(frozen=True)
class Series:
    """``a -> b``: on one line where it fits and is not ``forced``, or broken after each arrow."""

    rows: tuple[Row, ...]
    forced: bool

    @cached_property
    def flat(self) -> Doc:
        """On one line, but for steps that are tall themselves."""
        return seq(*[part for row in self.rows for part in (" -> ", row.doc)][1:])

    @cached_property
    def size(self) -> Size:
        """The size on as few lines as may be."""
        if not self.forced:
            return size(self.flat)
        return Size(size(self.rows[0].doc).first + 3, size(self.rows[-1].doc).last, True)

    @cached_property
    def tight(self) -> Size:
        """The size with braces and branches broken."""
        if not self.forced:
            return _tight(self.flat)
        return Size(_tight(self.rows[0].doc).first + 3, _tight(self.rows[-1].doc).last, True)

    def whole(self, indent: int, column: int, after: int) -> bool:
        """Whether it stays together for its width: its braces break, and that is enough.

        But if a line for each step leaves all braces whole, then the arrows are broken.
        """
        if self.forced or not _fits(self.tight, indent, column, after):
            return False
        columns = [column, *[indent + INDENT] * (len(self.rows) - 1)]
        behind = [*[len(" ->")] * (len(self.rows) - 1), after]
        sizes = [size(row.doc) for row in self.rows]
        return any(
            one.tall or at + one.first + more > WIDTH
            for one, at, more in zip(sizes, columns, behind, strict=True)
        )

    def broken(self, indent: int, column: int, after: int) -> str:
        """Every step on lines of its own."""
        first, *middle, last = self.rows
        aside = f"  {first.aside}" if first.aside else ""
        begin = lay(first.doc, indent, column, len(" ->")) + " ->" + aside
        inner = indent + INDENT
        further = [row.line(inner, " ->") for row in middle]
        end = Line(lay(last.doc, inner, inner, after))
        return f"{begin}\n{align([*further, end], inner, WIDTH)}"


Doc = str | Seq | Bracket | Series


def seq(*docs: Doc) -> Doc:
    """The pieces one behind the other, in as few pieces as may be."""
    parts: list[Doc] = []
    for doc in docs:
        for part in doc.parts if isinstance(doc, Seq) else (doc,):
            last = parts[-1] if parts else None
            if isinstance(part, str) and isinstance(last, str):
                parts[-1] = last + part
            else:
                parts.append(part)
    return parts[0] if len(parts) == 1 else Seq(tuple(parts))


def size(doc: Doc) -> Size:
    """The size of a piece on as few lines as may be."""
    return Size(len(doc), len(doc), False) if isinstance(doc, str) else doc.size


def lines(rows: Sequence[Row], indent: int, comma: str = "") -> str:
    """Rows one below the other, each behind the indent, what belongs in columns in columns."""
    return align([row.line(indent, comma) for row in rows], indent, WIDTH)


def lay(doc: Doc, indent: int, column: int, after: int) -> str:
    """The text of a piece that begins in a column and has ``after`` columns behind it."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Seq):
        return _lay_parts(doc.parts, indent, column, after)
    if not doc.forced and _fits(doc.size, indent, column, after):
        return lay(doc.flat, indent, column, after)
    if isinstance(doc, Series):
        if doc.whole(indent, column, after):
            return lay(doc.flat, indent, column, after)
        return doc.broken(indent, column, after)
    return lay(doc.flat, indent, column, after) if doc.whole else doc.broken(indent)


def _braced(doc: Doc) -> bool:
    if isinstance(doc, Seq):
        return any(_braced(part) for part in doc.parts)
    if isinstance(doc, Series):
        return any(_braced(row.doc) for row in doc.rows)
    return isinstance(doc, Bracket) and doc.braced


def _lay_parts(parts: tuple[Doc, ...], indent: int, column: int, after: int) -> str:
    behind = [Size(after, after, False)]
    for part in reversed(parts[1:]):
        behind.append(_tight(part).then(behind[-1]))
    texts: list[str] = []
    for part, rest in zip(parts, reversed(behind), strict=True):
        text = lay(part, indent, column, rest.first)
        texts.append(text)
        column = len(text) - text.rfind("\n") - 1 if "\n" in text else column + len(text)
    return "".join(texts)


def _fits(size: Size, indent: int, column: int, after: int) -> bool:
    if size.tall:
        inner = indent + max(size.last + after, size.middle)
        return column + size.first <= WIDTH and inner <= WIDTH
    return column + size.first + after <= WIDTH


def _tight(doc: Doc) -> Size:
    """The size of a piece whose braces and branches are broken."""
    return size(doc) if isinstance(doc, str) else doc.tight


def _sum(sizes: Iterable[Size]) -> Size:
    total = Size(0, 0, False)
    for one in sizes:
        total = total.then(one)
    return total


def _text(doc: Doc) -> str:
    assert isinstance(doc, str)
    return doc
