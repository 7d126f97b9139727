"""What an argument may be, in words."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from netdsl.arguments import Extent, Number, Padding, Whole
from reference.words import KINDS


def takes(kind: Any) -> str:
    """The kind of an argument in words."""
    if get_origin(kind) is Annotated:
        return _accepts(get_args(kind)[1])
    if get_origin(kind) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        inner = [takes(option) for option in get_args(kind) if option is not NoneType]
        return f"{' or '.join(inner)}, or `none`"
    if get_origin(kind) is tuple:
        return f"list, each {takes(get_args(kind)[0])}"
    if kind is bool:
        return "`true` or `false`"
    if kind is str:
        return "text"
    return f"[{kind.kind}](#{KINDS[kind.kind][0].lower().replace(' ', '-')})"


def _accepts(rule: object) -> str:
    if isinstance(rule, Whole):
        return f"whole number from {rule.least}"
    if isinstance(rule, Extent):
        return f"size from {rule.least}"
    if isinstance(rule, Padding):
        return "size from 0, `same` or `same_upper`"
    if isinstance(rule, Number):
        return f"number {rule.bounds()}" if rule != Number() else "number"
    words = (rule.__doc__ or "").split("\n", 1)[0].rstrip(".")
    return markdown(words[0].lower() + words[1:])


def markdown(text: str) -> str:
    """The text of a docstring for a page and its tables."""
    return re.sub(r"``(.+?)``", r"`\1`", text, flags=re.S).replace("|", "\\|")
