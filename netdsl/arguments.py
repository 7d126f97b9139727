"""The kinds of argument that ops take, and how a value is checked against them.

A field of an op is annotated with one of the kinds below; `accept` turns what the user wrote into
what the op wants, or says in a sentence why it does not suit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from netdsl.errors import Problem, nearest

LARGEST = 2**40
"""No size, and no product of sizes, may pass this: far beyond any machine, and safe to multiply."""


@dataclass(frozen=True)
class Word:
    """A bare name that stands for itself: ``same`` in ``pad=same``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Whole:
    """A whole number from ``least`` on."""

    least: int

    def accept(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Problem(f"wants a whole number, not {spell(value)}", _number(value))
        if value < self.least:
            raise Problem(f"must be at least {self.least}, not {value}")
        if value > LARGEST:
            raise Problem(f"is too large: {value}")
        return value


@dataclass(frozen=True)
class Extent:
    """A whole number, or one for each spatial axis (``3x5``), from ``least`` on."""

    least: int

    def accept(self, value: object) -> int | tuple[int, ...]:
        whole = Whole(self.least)
        if isinstance(value, tuple):
            return tuple(whole.accept(item) for item in value)
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"wants a whole number or a size such as 3x3, not {spell(value)}"
            raise Problem(message, _number(value) or _sizes(value))
        return whole.accept(value)


@dataclass(frozen=True)
class Padding:
    """An extent from 0 on, or one of the words ``same`` and ``same_upper``."""

    def accept(self, value: object) -> int | tuple[int, ...] | str:
        if isinstance(value, (Word, str)):
            if str(value) in ("same", "same_upper"):
                return str(value)
            help = nearest(str(value).lower(), ("same", "same_upper"))
            help = "that is no padding: leave it out" if str(value).lower() == "valid" else help
            raise Problem(f"wants a size, same or same_upper, not {value}", help)
        return Extent(0).accept(value)


@dataclass(frozen=True)
class Number:
    """A number between two bounds; ``open_above`` and ``open_below`` leave a bound itself out."""

    least: float = float("-inf")
    most: float = float("inf")
    open_above: bool = False
    open_below: bool = False

    def accept(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Problem(f"wants a number, not {spell(value)}", _number(value))
        if not isfinite(value):
            raise Problem("wants a finite number")
        above = value >= self.most if self.open_above else value > self.most
        below = value <= self.least if self.open_below else value < self.least
        if above or below:
            part = self.least == 0 and self.most == 1 and 2 <= value < 100
            help = f"it is a part of one, such as {value / 100:g}" if part else None
            raise Problem(f"must be {self.bounds()}, not {value}", help)
        return float(value)

    def bounds(self) -> str:
        """The bounds in words."""
        least = f"{'above' if self.open_below else 'at least'} {self.least:g}"
        if self.most == float("inf"):
            return least
        return f"{least} and {'below' if self.open_above else 'at most'} {self.most:g}"


Count = Annotated[int, Whole(1)]
Index = Annotated[int, Whole(0)]
Sizes = Annotated[int | tuple[int, ...], Extent(1)]
Pad = Annotated[int | tuple[int, ...] | str, Padding()]
Real = Annotated[float, Number()]
NonNegative = Annotated[float, Number(0.0)]
Positive = Annotated[float, Number(0.0, open_below=True)]
Fraction = Annotated[float, Number(0.0, 1.0)]
Rate = Annotated[float, Number(0.0, 1.0, open_above=True)]


def accept(kind: Any, value: object) -> Any:
    """The value as an argument of that kind; raises `Problem` if it does not suit."""
    origin = get_origin(kind)
    if origin is Annotated:
        return get_args(kind)[1].accept(value)
    if origin is Literal:
        return _choice(get_args(kind), value)
    if origin in (Union, UnionType):
        return _optional(kind, value)
    if origin is tuple:
        return _row(get_args(kind)[0], value)
    if kind is bool:
        if not isinstance(value, bool):
            raise Problem(f"wants true or false, not {spell(value)}")
        return value
    if kind is str:
        if not isinstance(value, (str, Word)):
            raise Problem(f"wants a text, not {spell(value)}")
        return str(value)
    if isinstance(value, kind):
        return value
    raise Problem(f"wants {_article(kind)}, not {spell(value)}")


def _number(value: object) -> str | None:
    """The way out where a number was written as another kind of value."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+|(x\d+)+)?", value):
        return f"write {value}, without quotes"
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST:
        return f"write {value:.0f}"
    return None


def _sizes(value: object) -> str | None:
    """The way out where sizes were written as a list."""
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return f"write {'x'.join(map(str, value))}"
    return None


def _article(kind: Any) -> str:
    name = getattr(kind, "kind", None) or kind.__name__.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _choice(choices: tuple[str, ...], value: object) -> str:
    value = Word("none") if value is None else value
    if isinstance(value, (Word, str)) and str(value) in choices:
        return str(value)
    help = nearest(str(value), choices)
    raise Problem(f"must be one of {', '.join(choices)}, not {spell(value)}", help)


def _optional(kind: Any, value: object) -> Any:
    if value is None and NoneType in get_args(kind):
        return None
    (inner,) = [option for option in get_args(kind) if option is not NoneType]
    return accept(inner, value)


def _row(kind: Any, value: object) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise Problem(f"wants a list, not {spell(value)}")
    return tuple(accept(kind, item) for item in value)


def spell(value: object) -> str:
    """A value as the language writes it: ``[3, 4]``, ``3x3``, ``true``, ``"text"``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(spell, value)) + "]"
    if isinstance(value, tuple):
        if len(value) > 1 and all(isinstance(item, int) and item >= 0 for item in value):
            return "x".join(map(str, value))
        return "(" + ", ".join(map(spell, value)) + ("," if len(value) == 1 else "") + ")"
    return str(value)
