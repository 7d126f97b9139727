"""Where a mistake happened: the word the parser refused, and what stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span
from netdsl.syntax.numbers import NUMBERS
from netdsl.syntax.words import Word, make, place

STATEMENTS = frozenset(["input", "output", "let", "default", "shared", "side"])
DECLARATIONS = frozenset(["import", "block", "net", "train", "sweep", "netdsl"])
OPERATORS = frozenset(["or", "and", "not", "if", "else", "from", "as"])
CONSTANTS = frozenset(["true", "false", "none", "in"])
WORDS = STATEMENTS | DECLARATIONS | OPERATORS | CONSTANTS | {"for"}

_OPENS_VALUE = frozenset(["(", "[", "{", "@", "-"]) | CONSTANTS
_CLOSES = frozenset([")", "]", "}"]) | CONSTANTS


@dataclass(frozen=True)
class Enclosure:
    """What is open around a word.

    ``kind``: file, value, body, settings, merge, args, params, list, index or paren. ``opener`` and
    ``start`` are indices: of the bracket, and of the first word of the current statement.
    """

    kind: str
    opener: int
    start: int


@dataclass(frozen=True)
class Scene:
    """The words of a text, the index of the one that does not fit, and what would have fitted.

    ``wrong`` says what is wrong with those that are no words of the language, by their offsets.
    """

    source: Source
    words: list[Word]
    at: int
    accepts: frozenset[str]
    expression: bool
    wrong: dict[int, SyntaxFault]

    @property
    def word(self) -> Word:
        """The word that does not fit."""
        return self.words[self.at]

    @property
    def before(self) -> Word:
        """The word before it; an empty one at the start of the text."""
        return self.words[self.at - 1] if self.at else make("", "$START", 0)

    @property
    def after(self) -> Word:
        """The word after it; the empty last one at the end."""
        return self.words[min(self.at + 1, len(self.words) - 1)]

    @cached_property
    def around(self) -> Enclosure:
        """What is open around the word."""
        stack = [Enclosure("value" if self.expression else "file", -1, 0)]
        for at, word in enumerate(self.words[: self.at]):
            if word in ("(", "[", "{"):
                stack.append(Enclosure(self._kind(at, stack[-1]), at, at + 1))
            elif word in (")", "]", "}"):
                stack.pop()
            elif word.type == "_NL" or (word == "," and stack[-1].kind == "merge"):
                stack[-1] = Enclosure(stack[-1].kind, stack[-1].opener, at + 1)
        return stack[-1]

    @property
    def last(self) -> int:
        """The index of the last word, which is empty."""
        return len(self.words) - 1

    @property
    def line(self) -> str:
        """The line of the word."""
        return self.source.line(self.span().line)

    @property
    def first(self) -> Word:
        """The first word of the statement."""
        return self.words[self.around.start]

    @property
    def begins(self) -> bool:
        """Whether the word would begin a statement."""
        return self.at == self.around.start

    @property
    def in_steps(self) -> bool:
        """Whether steps are being written, rather than a value or the head of a statement."""
        if self.around.kind == "merge":
            return True
        if self.around.kind != "body":
            return False
        if self.first == "shared":
            return self.at > self.around.start + 2
        return self.first not in STATEMENTS - {"side"} and not self._in_head()

    def _in_head(self) -> bool:
        """Whether the last ``if`` or ``for`` of the statement has not come to its brace."""
        depth = 0
        for word in reversed(self.words[self.around.start : self.at]):
            depth += (word in (")", "]", "}")) - (word in ("(", "[", "{"))
            if depth == 0 and word in ("{", "->"):
                return False
            if depth == 0 and word in ("if", "for"):
                return True
        return False

    def _kind(self, at: int, outer: Enclosure) -> str:
        """What the bracket at an index opens."""
        bracket, before = self.words[at], self.words[at - 1] if at else make("", "$START", 0)
        named = before.type == "NAME"
        first = self.words[outer.start]
        if bracket == "{":
            return "settings" if first in ("train", "sweep") else "body"
        if bracket == "(":
            if named and at - outer.start == 2 and first in ("net", "block"):
                return "params"
            return "args" if named else "paren"
        if not named and before not in (")", "]"):
            return "list"
        steps = outer.kind == "merge" or (outer.kind == "body" and first not in STATEMENTS)
        heads = ("if", "for", "in", "not", "and", "or")
        in_head = any(word in heads for word in self.words[outer.start : at])
        return "merge" if steps and before != "]" and not in_head else "index"

    # ---- pieces of the text --------------------------------------------------

    def span(self, at: int | None = None) -> Span:
        """The place of a word; for the end of a line or the text, just after the last word."""
        word = self.words[self.at if at is None else at]
        if word.type in ("_NL", "$END"):
            end = self.words[(self.at if at is None else at) - 1].end or 0
            end = min(end, len(self.source.text)) if self.at else 0
            return self.source.span(end, end)
        return place(self.source, word)

    def between(self, first: int, last: int) -> Span:
        """The place from one word to another, both included."""
        return place(self.source, self.words[first], self.words[last])

    def unit_before(self) -> str:
        """The value or step that ends before the word, as the user wrote it, shortened."""
        at = self.at - 1
        while at > 0 and self.words[at] in (")", "]", "}"):
            at = self._opener(at)
            if self.words[at - 1].type != "NAME" and self.words[at - 1] not in (")", "]"):
                break
            at -= 1
        return _short(self.between(at, self.at - 1).text)

    def unit_after(self) -> str:
        """The value or step that begins with the word, shortened."""
        last = self.at
        if self.word.type == "NAME" or self.word == "@":
            last += self.word == "@"
            while self.words[min(last + 1, len(self.words) - 1)] in ("(", "["):
                last = self._closer(last + 1)
        elif self.word in ("(", "[", "{"):
            last = self._closer(last)
        elif self.word == "-":
            last += 1
        return _short(self.between(self.at, min(last, len(self.words) - 1)).text)

    def _opener(self, at: int) -> int:
        depth = 0
        for index in range(at, -1, -1):
            depth += (self.words[index] in (")", "]", "}")) - (self.words[index] in ("(", "[", "{"))
            if depth == 0:
                return index
        return 0

    def _closer(self, at: int) -> int:
        depth = 0
        for index in range(at, len(self.words)):
            depth += (self.words[index] in ("(", "[", "{")) - (self.words[index] in (")", "]", "}"))
            if depth == 0:
                return index
        return len(self.words) - 1


def begins_value(word: Word) -> bool:
    """Whether a value, or a step, may begin with the word."""
    return (
        word.type in NUMBERS | {"NAME", "STRING"}
        or word in _OPENS_VALUE
        or word in ("not", "if", "for")
    )


def ends_value(word: Word) -> bool:
    """Whether a value, or a step, may end with the word."""
    return word.type in NUMBERS | {"NAME", "STRING"} or word in _CLOSES


def spell(word: Word) -> str:
    """The word as a message quotes it."""
    if word.type == "_NL":
        return "the end of the line"
    if word.type == "$END":
        return "the end of the text"
    return f"'{_short(str(word))}'"


def _short(text: str, limit: int = 32) -> str:
    """One line of at most some characters: brackets too long to show keep their ends alone."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    head = min((flat.find(bracket) for bracket in "([{" if bracket in flat), default=-1)
    if 0 <= head < limit and flat[-1] in ")]}":
        return f"{flat[: head + 1]}...{flat[-1]}"
    return f"{flat[: limit - 3]}..."
