"""Words: the smallest pieces of a text, each a string that knows its type and place."""

from __future__ import annotations

from netdsl.source import Source, Span

WRONG = "$WRONG"
END = "$END"


class Word(str):
    """A word as it is written. ``type`` is its name in the grammar, ``source.text[start:end]`` it.

    ``$WRONG`` is the type of what is no word of the language, ``$END`` that of the end of the text.
    """

    __slots__ = ("end", "start", "type")

    type: str
    start: int
    end: int


def make(text: str, type: str, start: int) -> Word:
    """A word of a type that begins at an offset."""
    made = Word(text)
    made.type, made.start, made.end = type, start, start + len(text)
    return made


def place(source: Source, first: Word, last: Word | None = None) -> Span:
    """The place of a word, or from one to another."""
    return source.span(first.start, (last or first).end)
