"""Numbers as they are written: ``61_706``, ``0.5``, ``1e-4``, ``3x3``."""

from __future__ import annotations

import math
import re

from lark import Token

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span
from netdsl.syntax.tokens import place

MAX_DIGITS = 18
NUMBERS = {"INT", "FLOAT", "DIMS"}


def read_number(text: str) -> int | float | tuple[int, ...]:
    """The value of a number's text; a ``ValueError`` if the text is no number."""
    if "x" in text:
        return tuple(int(extent) for extent in text.split("x"))
    if any(sign in text for sign in ".eE"):
        return float(text)
    return int(text)


def check_numbers(tokens: list[Token], source: Source) -> None:
    """Every number is one the language can hold, and nothing sticks to it."""
    for before, token, after in zip(tokens, tokens[1:], [*tokens[2:], *tokens[-1:]], strict=False):
        if before.type in NUMBERS:
            _check_end(before, token, after, source)
        elif token.type in NUMBERS and before == "." and before.end_pos == token.start_pos:
            _check_point(before, token, source)
    for token in tokens:
        if token.type in NUMBERS:
            _check_size(token, source)


def _check_size(token: Token, source: Source) -> None:
    span = place(source, token)
    if token.type == "FLOAT":
        value = float(token)
        if math.isinf(value):
            raise SyntaxFault("E007", f"{_short(token)} is too large for a number", span)
        if value == 0 and re.match(r"[0._]*[1-9]", token):
            raise SyntaxFault(
                "E007", f"{_short(token)} is too small to be told from 0", span, "write 0"
            )
    elif any(len(part.replace("_", "")) > MAX_DIGITS for part in token.split("x")):
        raise SyntaxFault(
            "E007",
            f"{_short(token)} has more than {MAX_DIGITS} digits",
            span,
            "a whole number here is a size or a count; nothing is that large",
        )


def _check_end(number: Token, token: Token, after: Token, source: Source) -> None:
    """Nothing may follow a number that makes it look like another number."""
    word = token.type == "NAME" or token.isalpha()
    touching = number.end_pos == token.start_pos
    if touching and (word or token.type in NUMBERS or token == "."):
        further = after.type in NUMBERS | {"NAME"} and after.start_pos == token.end_pos
        raise _malformed(place(source, number, after if token == "." and further else token))
    if number.type != "FLOAT" and re.fullmatch(r"[xX][0-9]*", token):
        last = after if after.type in NUMBERS and token in "xX" else token
        span = place(source, number, last)
        dims = re.sub(r"\s+", "", span.text).lower()
        help = f"write it as one word: {dims}"
        raise SyntaxFault("E013", f"{span.text} has blanks inside", span, help)


def _check_point(point: Token, number: Token, source: Source) -> None:
    span = place(source, point, number)
    if span.start and re.match(r"[\w)\]]", source.text[span.start - 1]):
        return
    raise SyntaxFault("E013", f"{span.text} begins with a point", span, f"write 0{span.text}")


def _malformed(span: Span) -> SyntaxFault:
    text = _short(span.text)
    if span.text.endswith("."):
        help = f"write {text}0, or {text[:-1]} for a whole number"
    elif re.fullmatch(r"[0-9]+(X[0-9]+)+", span.text):
        help = f"dimensions are joined by a small x: {text.lower()}"
    elif re.fullmatch(r"[0-9x]+x", span.text):
        help = "a number follows each x, as in 3x3"
    elif re.fullmatch(r"[0-9]+(x\w+)+", span.text):
        help = f"names do not fit into dimensions; write ({span.text.replace('x', ', ')})"
    elif re.fullmatch(r"[0-9][0-9_.]*[A-Za-z]\w*", span.text) and not re.match(
        r"[0-9._]+[eE]", span.text
    ):
        digits, name = re.fullmatch(r"([0-9_.]+)(\w+?)", span.text).groups()  # type: ignore[union-attr]
        help = f"write {digits} * {name} for a product; a name begins with a letter"
    else:
        help = "numbers look like 42, 61_706, 0.5, 1e-4 and 3x3"
    return SyntaxFault("E013", f"{text} is not a number", span, help)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
