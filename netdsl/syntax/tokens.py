"""Text to words: what is not a word of the language, and how much of it is too much."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from lark import Token, UnexpectedCharacters

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span

MAX_TOKENS = 200_000

_HELP = {
    "'": 'strings stand in double quotes: "..."',
    ":": "values are given with =, and { } hold what belongs together",
    "→": "write ->",
    "⇒": "write ->",
    "–": "write -",
    "−": "write -",
    "×": "write 3x3 for dimensions and a * b for a product",
    "·": "write a * b",
    "^": "write a ** b for a power",
    "&": "write a and b",
    "|": "write a or b",
    "!": "write not a",
    "\\": "a line ends where the sentence ends; a pipe may go on after ->",
    "`": 'names stand bare, strings in double quotes: "..."',
    "“": 'strings stand in straight double quotes: "..."',
    "”": 'strings stand in straight double quotes: "..."',
    "$": "names are made of letters, digits and _",
    "?": "a choice is written: a if condition else b",
}


def place(source: Source, first: Token, last: Token | None = None) -> Span:
    """The place of a word, or from one to another."""
    start, end = first.start_pos, (last or first).end_pos
    assert start is not None
    assert end is not None
    return source.span(start, end)


def collect(stream: Iterator[Token], source: Source) -> list[Token]:
    """All words of a source; at most ``MAX_TOKENS``, so that no file can hang the compiler."""
    tokens: list[Token] = []
    try:
        for token in stream:
            tokens.append(token)
            if len(tokens) > MAX_TOKENS:
                raise _too_many(token, source)
    except UnexpectedCharacters as error:
        raise _foreign(source, error.pos_in_stream, tokens) from None
    return tokens


def _too_many(token: Token, source: Source) -> SyntaxFault:
    return SyntaxFault(
        "E006",
        f"the file has more than {MAX_TOKENS:_} words",
        place(source, token),
        "say what repeats with block, for or * n",
    )


def _foreign(source: Source, at: int, tokens: list[Token]) -> SyntaxFault:
    """A character that begins no word."""
    char = source.text[at]
    span = source.span(at, at + 1)
    if char == ";":
        return _semicolon(source, at, tokens)
    if char == '"':
        line_end = at + len(source.text[at:].splitlines()[0])
        return SyntaxFault(
            "E012",
            "this string has no end",
            source.span(at, line_end),
            'close it with " on the same line',
        )
    shown = f"'{char}'" if char.isprintable() and not char.isspace() else _call_it(char)
    help = _HELP.get(char)
    if char.isalpha() and not char.isascii() and not help:
        help = "names are made of the letters a to z, digits and _"
    return SyntaxFault("E010", f"{shown} is not part of the language", span, help)


def _semicolon(source: Source, at: int, tokens: list[Token]) -> SyntaxFault:
    rest = source.text[at + 1 :].split("\n", 1)[0].strip(" \t\r;})]")
    brackets = sum((token == "(") - (token == ")") for token in tokens)
    if brackets > 0 and rest:
        message = "; does not separate arguments"
        return SyntaxFault("E011", message, source.span(at, at + 1), "write a comma")
    if not rest or rest.startswith("#"):
        message = "statements end at the end of the line; drop the ;"
        return SyntaxFault("E011", message, source.span(at, at + 1))
    return SyntaxFault(
        "E011",
        "; does not separate statements",
        source.span(at, at + 1),
        "begin a new line, or write -> between steps",
    )


def _call_it(char: str) -> str:
    name = unicodedata.name(char, "").lower() or f"control character {ord(char)}"
    return f"the invisible character U+{ord(char):04X} ({name})"
