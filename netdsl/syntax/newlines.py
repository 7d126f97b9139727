"""Which line ends separate sentences, and which are mere layout."""

from __future__ import annotations

from netdsl.syntax.words import Word

CLOSERS = {"(": ")", "[": "]", "{": "}"}
CLOSING = frozenset(CLOSERS.values())
_SILENT_AFTER = {"->", ",", "(", "[", "{"}
_SILENT_BEFORE = {"->", ",", ")", "]", "}", "else"}


def fold(tokens: list[Word]) -> list[Word]:
    """Keep one line end where it separates two sentences, and no other.

    Dropped are those at the ends of the text, inside ``( )``, after ``-> , ( [ {`` and before
    ``-> , ) ] } else``. The brackets must have been checked.
    """
    kept: list[Word] = []
    opened: list[str] = []
    pending: Word | None = None
    for token in tokens:
        if token.type == "_NL":
            pending = pending or token
            continue
        if pending and kept and _separates(kept[-1], token, opened):
            kept.append(pending)
        pending = None
        if token in CLOSERS:
            opened.append(str(token))
        elif token in CLOSING:
            opened.pop()
        kept.append(token)
    return kept


def _separates(before: Word, after: Word, opened: list[str]) -> bool:
    if opened and opened[-1] == "(":
        return False
    return before not in _SILENT_AFTER and after not in _SILENT_BEFORE
