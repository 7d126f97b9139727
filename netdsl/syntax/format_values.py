"""Values to text: each operator with the parentheses it needs, and no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netdsl.errors import SyntaxFault
from netdsl.syntax import ast
from netdsl.syntax.comments import Notes
from netdsl.syntax.layout import Bracket, Doc, Row, seq
from netdsl.syntax.numbers import read_number

_LEVELS = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">", ".."), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    "neg": 7,
    "**": 8,
}
_TERNARY, _OR, _COMPARED, _POSTFIX = 0, 1, 4, 9


def format_value(notes: Notes, expr: ast.Expr, level: int = _TERNARY) -> Doc:
    """A value as a piece, in parentheses if it binds less than ``level`` asks for."""
    own, doc = _bound(notes, expr)
    return seq("(", doc, ")") if own < level else doc


def format_args(notes: Notes, args: tuple[ast.Arg, ...], start: int, end: int) -> Doc:
    """``(a, b=c)`` that stands between two offsets; nothing for none: ``relu()`` is ``relu``."""
    forced = notes.within(start, end)
    if not args and not forced:
        return ""
    rows, aside = notes.rows(args, lambda one: Row(_arg(notes, one)), start, end)
    return Bracket("(", rows, ")", aside=aside, forced=forced)


def format_string(text: str) -> str:
    """A string in quotes."""
    if any(char in text for char in '"\r\n'):
        raise SyntaxFault("E012", 'a string of the language holds no " and no line end')
    return f'"{text}"'


def is_whole(value: object) -> bool:
    """Whether a value may count steps as it stands."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _arg(notes: Notes, arg: ast.Arg) -> Doc:
    return seq(f"{arg.name.text}=" if arg.name else "", format_value(notes, arg.value))


def _bound(notes: Notes, expr: ast.Expr) -> tuple[int, Doc]:
    """How strongly a value holds together, and its text."""
    match expr:
        case ast.Ternary(then=then, condition=condition, otherwise=otherwise):
            head = seq(format_value(notes, then, _OR), " if ", format_value(notes, condition, _OR))
            return _TERNARY, seq(head, " else ", format_value(notes, otherwise))
        case ast.Binary():
            return _LEVELS[expr.op], _binary(notes, expr)
        case ast.Unary(op="not", value=value):
            return _LEVELS["not"], seq("not ", format_value(notes, value, _LEVELS["not"]))
        case ast.Unary(op=op, value=value):
            return _LEVELS["neg"], seq(op, format_value(notes, value, _LEVELS["neg"]))
        case ast.Literal(value=value):
            text = _literal(expr, value)
            return _LEVELS["neg"] if text.startswith("-") else _POSTFIX, text
        case _:
            return _POSTFIX, _OPERANDS[type(expr)](notes, expr)


def _binary(notes: Notes, expr: ast.Binary) -> Doc:
    level = _LEVELS[expr.op]
    left, right = level, level + 1
    if expr.op == "**":
        left, right = _POSTFIX, _LEVELS["neg"]
    elif level == _COMPARED:
        left = level + 1
    sign = ".." if expr.op == ".." else f" {expr.op} "
    return seq(format_value(notes, expr.left, left), sign, format_value(notes, expr.right, right))


def _attr(notes: Notes, expr: ast.Attr) -> Doc:
    """A number before a point would swallow it, so it stands in parentheses."""
    value = format_value(notes, expr.value, _POSTFIX)
    number = isinstance(expr.value, ast.Literal) and str(value)[-1].isdigit()
    return seq("(", value, f").{expr.name.text}") if number else seq(value, f".{expr.name.text}")


def _index(notes: Notes, expr: ast.Index) -> Doc:
    value = format_value(notes, expr.value, _POSTFIX)
    return seq(value, "[", format_value(notes, expr.index), "]")


def _items(notes: Notes, expr: ast.TupleExpr | ast.ListExpr, brackets: str) -> Doc:
    span = expr.span
    forced = notes.within(span.start, span.end)
    rows, aside = notes.rows(
        expr.items, lambda one: Row(format_value(notes, one)), span.start, span.end
    )
    lone = "," if brackets == "()" and len(expr.items) == 1 else ""
    return Bracket(brackets[0], rows, brackets[1], lone=lone, aside=aside, forced=forced)


def _body_value(notes: Notes, expr: ast.BodyExpr) -> Doc:
    # Statements hold values and values hold bodies, so one of the two modules asks the other late.
    from netdsl.syntax.format_steps import format_body

    return format_body(notes, expr.body, joined=notes.bare)


_OPERANDS: dict[type[ast.Expr], Callable[[Notes, Any], Doc]] = {
    ast.Var: lambda notes, expr: expr.name,
    ast.In: lambda notes, expr: "in",
    ast.TensorRef: lambda notes, expr: f"@{expr.name}",
    ast.Fn: lambda notes, expr: seq(
        expr.name.text, format_args(notes, expr.args, expr.name.span.end, expr.span.end) or "()"
    ),
    ast.Attr: _attr,
    ast.Index: _index,
    ast.TupleExpr: lambda notes, expr: _items(notes, expr, "()"),
    ast.ListExpr: lambda notes, expr: _items(notes, expr, "[]"),
    ast.BodyExpr: _body_value,
}


def _literal(expr: ast.Literal, value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return format_string(value)
    return _as_written(expr) or _number(value)


def _as_written(expr: ast.Literal) -> str | None:
    """``61_706`` and ``1e-4`` stay as the user spelt them."""
    text = expr.span.text
    try:
        value = read_number(text) if text[:1].isdigit() and text.isascii() else None
    except ValueError:
        return None
    same = type(value) is type(expr.value) and value == expr.value
    return text if same and text == text.strip() else None


def _number(value: object) -> str:
    if isinstance(value, tuple):
        if len(value) < 2 or any(extent < 0 for extent in value):
            return f"({', '.join(map(_number, value))}{',' if len(value) == 1 else ''})"
        return "x".join(map(str, value))
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    assert isinstance(value, float)
    if not math.isfinite(value):
        raise SyntaxFault("E007", f"{value} cannot be written as a number of the language")
    return repr(value)
