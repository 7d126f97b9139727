"""How editors show the words of the language: one table of patterns for all of them.

The patterns are made from the tables of the grammar, so a new word of the language is shown as one.
No word spans lines, so one list will do, tried in order at each place.
"""

from __future__ import annotations

import re
from functools import cache

from netdsl.syntax.table import load

Rules = list[tuple[str, tuple[str, ...]]]
"""Patterns, each with the classes of its groups; that of the whole where it has none."""

CONSTANTS = ("true", "false", "none")
OPERATOR_WORDS = ("and", "not", "or")
BRACKETS = "()[]{}"


@cache
def rules() -> Rules:
    """The patterns, of which the first that matches wins."""
    table = load()
    patterns = {name: _plain(pattern) for name, pattern in table.patterns.items()}
    name = patterns["NAME"]
    keywords = [word for word in table.words if word not in (*CONSTANTS, *OPERATOR_WORDS)]
    signs = [sign for sign in table.signs if sign not in BRACKETS and sign != ","]
    return [
        (patterns["COMMENT"], ("comment",)),
        (patterns["STRING"], ("string",)),
        (rf"\b(net|block)([ \t]+)(?!{_words(list(table.words))})({name})", _DECLARED),
        (_words(keywords), ("keyword",)),
        (_words(CONSTANTS), ("constant",)),
        (_words(OPERATOR_WORDS), ("word",)),
        (patterns["DIMS"], ("dims",)),
        (patterns["FLOAT"], ("number",)),
        (patterns["INT"], ("number",)),
        (rf"(?<=@){name}", ("tensor",)),
        (rf"{name}(?=[ \t]*\()", ("call",)),
        (name, ("name",)),
        ("|".join(map(_sign, sorted(signs, key=lambda sign: (-len(sign), sign)))), ("operator",)),
        (r"[\[\](){}]", ("bracket",)),
        (",", ("comma",)),
    ]


_DECLARED = ("keyword", "", "declared")


def _words(words: list[str] | tuple[str, ...]) -> str:
    return rf"\b(?:{'|'.join(sorted(words))})\b"


def _sign(sign: str) -> str:
    """The sign as a pattern that means the same to Python and to Oniguruma."""
    return re.sub(r"[^\w]", lambda at: f"\\{at[0]}" if at[0] in r".*+/?|^$" else at[0], sign)


def _plain(pattern: str) -> str:
    """A pattern without groups that are counted."""
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)
