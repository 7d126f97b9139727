"""Numbers as they are written: ``61_706``, ``0.5``, ``1e-4``, ``3x3``."""

from __future__ import annotations

import math
import re

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span
from netdsl.syntax.words import Word, place

MAX_DIGITS = 18
NUMBERS = {"INT", "FLOAT", "DIMS"}
# As people write 1x8x8 with blanks inside, or another sign.
_DIMENSIONS = re.compile(r"[0-9_x]+(?:[ \t]*[xX×][ \t]*[0-9][0-9_]*)+")


def read_number(text: str) -> int | float | tuple[int, ...]:
    """The value of a number's text; a ``ValueError`` if the text is no number."""
    if "x" in text:
        return tuple(int(extent) for extent in text.split("x"))
    if any(sign in text for sign in ".eE"):
        return float(text)
    return int(text)


def check_numbers(words: list[Word], source: Source) -> dict[int, SyntaxFault]:
    """What is wrong with numbers, by offset: they are too large, or something sticks to them."""
    wrong: dict[int, SyntaxFault] = {}
    end = 0
    for at, word in enumerate(words):
        if word.type not in NUMBERS or word.start < end:
            continue
        fault = _check_size(word, source) or _check_end(words[at : at + 3], source)
        point = words[at - 1] if at else word
        if fault is None and point == "." and point.end == word.start:
            fault, word = _check_point(point, word, source), point
        if fault:
            wrong[word.start] = fault
            end = fault.span.end if fault.span else end
    return wrong


def _check_size(number: Word, source: Source) -> SyntaxFault | None:
    span = place(source, number)
    if number.type == "FLOAT":
        value = float(number)
        if math.isinf(value):
            return SyntaxFault("E007", f"{_short(number)} is too large for a number", span)
        if value == 0 and re.match(r"[0._]*[1-9]", number):
            return SyntaxFault(
                "E007", f"{_short(number)} is too small to be told from 0", span, "write 0"
            )
    elif len(number) > MAX_DIGITS and _longest(number) > MAX_DIGITS:
        return SyntaxFault(
            "E007",
            f"{_short(number)} has more than {MAX_DIGITS} digits",
            span,
            "a whole number here is a size or a count; nothing is that large",
        )
    return None


def _longest(number: str) -> int:
    return max(len(part.replace("_", "")) for part in number.split("x"))


def _check_end(words: list[Word], source: Source) -> SyntaxFault | None:
    """Nothing may follow a number that makes it look like another number."""
    if len(words) < 2:
        return None
    number, word = words[:2]
    after = words[-1]
    touching = number.end == word.start
    if touching and (word.isidentifier() or word.type in NUMBERS or word == "."):
        further = after.type in NUMBERS | {"NAME"} and after.start == word.end
        return _malformed(place(source, number, after if word == "." and further else word))
    if number.type != "FLOAT" and re.fullmatch(r"[xX][0-9]*|×", word):
        found = _DIMENSIONS.match(source.text, number.start)
        span = source.span(*found.span()) if found else place(source, number, word)
        dims = re.sub(r"\s+", "", span.text).lower().replace("×", "x")
        help = f"write it as one word: {dims}" if found else "a number follows each x, as in 3x3"
        said = "has blanks inside" if re.search(r"\s", span.text) else "is not a number"
        return SyntaxFault("E013", f"{span.text} {said}", span, help)
    return None


def _check_point(point: Word, number: Word, source: Source) -> SyntaxFault | None:
    span = place(source, point, number)
    if span.start and re.match(r"[\w)\]]", source.text[span.start - 1]):
        return None
    return SyntaxFault("E013", f"{span.text} begins with a point", span, f"write 0{span.text}")


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
