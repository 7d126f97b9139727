"""What a text holds beside its tree: comments, blank lines, and braces closed on their own line."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.layout import Row

_FOUND = re.compile(r'"[^"\r\n]*"|#[^\n]*')
Node = TypeVar("Node", bound=ast.Tree)


@dataclass(frozen=True)
class Comment:
    """A comment from its ``#`` to the end of its line; ``alone`` if nothing stands before it."""

    start: int
    text: str
    alone: bool

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.text)


def comments_of(text: str) -> list[Comment]:
    """The comments of a text that was parsed, in order."""
    found = (match for match in _FOUND.finditer(text) if match[0].startswith("#"))
    return [Comment(at.start(), at[0].rstrip(), _alone(text, at.start())) for at in found]


class Notes:
    """The comments of a source that were not yet written; none for a tree without its source.

    A comment belongs to the innermost list of things a line each (statements, branches, arguments,
    the steps of a pipe) in whose gaps it stands: behind the thing before it if it shares its line,
    else above the thing after it. A comment inside a thing, between operators or around a
    parenthesis, moves above that thing.
    """

    def __init__(self, source: Source | None) -> None:
        self._text = source.text if source else ""
        self._known = source is not None
        self._left = comments_of(self._text)
        self._places = [comment.start for comment in self._left]
        self._taken: set[int] = set()

    def within(self, start: int, end: int) -> bool:
        """Whether there is a comment between two offsets."""
        return bisect_left(self._places, start) < bisect_left(self._places, end)

    def joined(self, start: int, end: int) -> bool:
        """Whether the user wrote what lies between two offsets on one line."""
        return self._known and "\n" not in self._text[start:end]

    @property
    def bare(self) -> bool:
        """Whether there is a tree alone, without a source."""
        return not self._known

    def closing(self, start: int) -> int:
        """Where the first closing parenthesis after an offset stands, outside of comments."""
        at = self._text.find(")", start)
        while (before := bisect_left(self._places, at)) and self._left[before - 1].end > at:
            at = self._text.find(")", at + 1)
        return max(at, start)

    def take(self, start: int, end: int) -> list[Comment]:
        """The comments between two offsets that were not yet taken."""
        first, last = bisect_left(self._places, start), bisect_left(self._places, end)
        free = [at for at in range(first, last) if at not in self._taken]
        self._taken.update(free)
        return [self._left[at] for at in free]

    def rows(
        self,
        nodes: Iterable[Node],
        write: Callable[[Node], Row],
        start: int,
        end: int,
        *,
        early: Iterable[Comment] = (),
        loose: bool = False,
        strays: bool = True,
    ) -> tuple[tuple[Row, ...], str]:
        """The rows of nodes between two offsets with all comments, and that behind the opener.

        ``loose`` rows keep the blank lines between them; without ``strays`` the comments inside a
        node are left to the list around this one.
        """
        rows = [self._remark(comment, False) for comment in early]
        opener = ""
        for node in nodes:
            row = write(node)
            moved = self.take(node.span.start, node.span.end) if strays else []
            opener = self._gap(rows, start, node.span.start, loose) or opener
            blank = loose and self._blank(node.span.start)
            above = [self._remark(comment, False) for comment in moved]
            first, *rest = [*above, row]
            rows += [replace(first, blank=blank), *rest]
            start = node.span.end
        opener = self._gap(rows, start, end, loose) or opener
        return tuple(rows), opener

    def _gap(self, rows: list[Row], start: int, end: int, loose: bool) -> str:
        """Add the comments of a gap to the rows; that behind an opening bracket is returned."""
        found = self.take(start, end)
        opener = ""
        if found and not found[0].alone and not (rows and rows[-1].remark):
            text = found.pop(0).text
            if rows:
                rows[-1] = replace(rows[-1], aside=text)
            else:
                opener = text
        rows += [self._remark(comment, loose) for comment in found]
        return opener

    def _remark(self, comment: Comment, loose: bool) -> Row:
        return Row(comment.text, blank=loose and self._blank(comment.start), remark=True)

    def _blank(self, start: int) -> bool:
        """Whether a line of nothing comes before."""
        lines = 0
        while self._known and start > 0 and self._text[start - 1] in " \t\r\n":
            start -= 1
            lines += self._text[start] == "\n"
        return lines > 1


def _alone(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()
