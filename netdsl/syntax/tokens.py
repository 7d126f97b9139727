"""Text to words: what is not a word of the language, and how much of it is too much."""

from __future__ import annotations

import re
import unicodedata

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax.table import Table
from netdsl.syntax.words import WRONG, Word, make, place

MAX_TOKENS = 200_000

_HELP = {
    "'": 'strings stand in double quotes: "..."',
    ":": "values are given with =, and { } hold what belongs together",
    "→": "write ->",
    "⇒": "write ->",
    "–": "write -",
    "—": "write -",
    "−": "write -",
    "×": "write 3x3 for dimensions and a * b for a product",
    "·": "write a * b",
    "÷": "write a / b",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "…": "write a..b for a range",
    "^": "write a ** b for a power",
    "&": "write a and b",
    "|": "write a or b",
    "!": "write not a",
    "~": "write not a",
    "\\": "a line ends where the sentence ends; a pipe may go on after ->",
    "`": 'names stand bare, strings in double quotes: "..."',
    "“": 'strings stand in straight double quotes: "..."',
    "”": 'strings stand in straight double quotes: "..."',
    "„": 'strings stand in straight double quotes: "..."',
    "‘": 'strings stand in straight double quotes: "..."',
    "’": 'strings stand in straight double quotes: "..."',
    "$": "names are made of letters, digits and _",
    "?": "a choice is written: a if condition else b",
}
_DOUBLED = {"&&": "&", "||": "|"}
# What a person writes in one piece, and the language knows no part of.
_PIECE = re.compile(r"'[^'\r\n]*'|&&|\|\||[^\W\d_]+|.", re.DOTALL)

Wrong = dict[int, SyntaxFault]


def read_words(source: Source, table: Table) -> tuple[list[Word], Wrong]:
    """All words of a source, and what is wrong at the offsets of those of the type ``$WRONG``.

    There are at most ``MAX_TOKENS``, so that no file can hang the compiler.
    """
    words: list[Word] = []
    wrong: Wrong = {}
    text, signs, reserved, ignored = source.text, table.signs, table.words, table.ignored
    at = 0
    while at < len(text):
        found = table.pattern.match(text, at)
        if found is None:
            fault, end = _foreign(source, at, words)
            assert fault.span is not None
            begin = fault.span.start
            while words and words[-1].start >= begin:
                words.pop()
            words.append(make(text[begin:end], WRONG, begin))
            wrong[begin] = fault
            at = end
            continue
        kind = found.lastgroup or ""
        if kind not in ignored:
            made = Word(found[0])
            if kind == "SIGN":
                kind = signs[made]
            elif kind == "NAME":
                kind = reserved.get(made, kind)
            made.type, made.start, made.end = kind, at, found.end()
            words.append(made)
            if len(words) > MAX_TOKENS:
                raise _too_many(made, source)
        at = found.end()
    return words, wrong


def _too_many(last: Word, source: Source) -> SyntaxFault:
    return SyntaxFault(
        "E006",
        f"the file has more than {MAX_TOKENS:_} words",
        place(source, last),
        "say what repeats with block, for or * n",
    )


def _foreign(source: Source, at: int, words: list[Word]) -> tuple[SyntaxFault, int]:
    """What is wrong where no word begins, and where to read on."""
    line_end = at + len(source.text[at:].split("\n", 1)[0].rstrip("\r"))
    if slashes := _comment_before(source, at, words):
        return comment_fault(source, slashes), line_end
    char = source.text[at]
    if char == ";":
        return _semicolon(source, at, words), at + 1
    if char == '"':
        help = 'close it with " on the same line'
        span = source.span(at, line_end)
        return SyntaxFault("E012", "this string has no end", span, help), line_end
    piece = _PIECE.match(source.text, at)
    assert piece is not None
    text = piece[0]
    if char == "'" and len(text) == 1:
        return SyntaxFault(
            "E010", "' is not part of the language", source.span(at, at + 1), _HELP[char]
        ), line_end
    return _stranger(source, at, text), at + len(text)


def _stranger(source: Source, at: int, text: str) -> SyntaxFault:
    char = text[0]
    shown = f"'{text}'" if char.isprintable() and not char.isspace() else _call_it(char)
    if char == "'":
        shown = text
    help = _HELP.get(_DOUBLED.get(text, char))
    if char.isalpha() and not help:
        help = "names are made of the letters a to z, digits and _"
    span = source.span(at, at + len(text))
    return SyntaxFault("E010", f"{shown} is not part of the language", span, help)


def _comment_before(source: Source, at: int, words: list[Word]) -> Word | None:
    """``// it's a stem``: the slashes that were to begin a comment on this line."""
    begin = source.text.rfind("\n", 0, at) + 1
    for one in reversed(words):
        if one.start < begin:
            return None
        if one == "//":
            return one
    return None


def comment_fault(source: Source, slashes: Word) -> SyntaxFault:
    """Somebody wrote a comment as in C."""
    help = "write # instead; // divides whole numbers"
    return SyntaxFault("E014", "comments begin with #", place(source, slashes), help)


def _semicolon(source: Source, at: int, words: list[Word]) -> SyntaxFault:
    rest = source.text[at + 1 :].split("\n", 1)[0].strip(" \t\r;})]")
    brackets = sum((one == "(") - (one == ")") for one in words)
    span = source.span(at, at + 1)
    if brackets > 0 and rest:
        return SyntaxFault("E011", "; does not separate arguments", span, "write a comma")
    if not rest or rest.startswith("#"):
        message = "statements end at the end of the line; drop the ;"
        return SyntaxFault("E011", message, span)
    help = "begin a new line, or write -> between steps"
    return SyntaxFault("E011", "; does not separate statements", span, help)


def _call_it(char: str) -> str:
    name = unicodedata.name(char, "").lower() or f"control character {ord(char)}"
    return f"the invisible character U+{ord(char):04X} ({name})"
