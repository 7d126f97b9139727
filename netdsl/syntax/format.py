"""Tree to text, in the one canonical form: reading it gives the same tree.

Two blanks of indent, one statement a line, a pipe on one line where it fits, one branch a line.
Texts of several lines carry the indent of all their lines but the first. Nothing is formatted
twice, so that deep nesting costs no more than its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from netdsl.errors import SyntaxFault
from netdsl.syntax import ast
from netdsl.syntax.numbers import read_number

WIDTH = 100

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


def format_file(file: ast.File) -> str:
    """The canonical text of a file: ``parse(format_file(f)) == f`` but for the places."""
    parts = [] if file.version is None else [f"netdsl {file.version}\n"]
    before: ast.Item | None = None
    for item in file.items:
        if before is None:
            parts.append("\n" if parts and _tall(item) else "")
        elif _tall(item) or (_tall(before) and not isinstance(item, ast.Alias)):
            parts.append("\n")
        parts.append(_item(item) + "\n")
        before = item
    return "".join(parts)


def format_expr(expr: ast.Expr) -> str:
    """The canonical text: ``parse_expr(format_expr(e)) == e`` but for the places."""
    return _expr(expr, 0)


def _tall(item: ast.Item) -> bool:
    return isinstance(item, ast.Net | ast.Block | ast.Train | ast.Sweep)


# ---- declarations and statements ---------------------------------------------


def _item(item: ast.Item) -> str:
    match item:
        case ast.Import(names=names, path=path):
            return f"import {_names(names)} from {_string(path)}"
        case ast.Let() | ast.Default():
            return _statement(item, 0)
        case ast.Block(name=name, params=params, body=body):
            return f"block {name.text}{_params(params)} {_body(body, 0)}"
        case ast.Net(name=name, params=params, body=body):
            return f"net {name.text}{_params(params)} {_body(body, 0)}"
        case ast.Alias(name=name, base=base, args=args):
            return f"net {name.text} = {base.text}{_args(args, 0)}"
        case ast.Train(name=name, settings=settings):
            return f"train {_settings(name, settings)}"
        case ast.Sweep(name=name, settings=settings):
            return f"sweep {_settings(name, settings)}"


def _params(params: tuple[ast.Param, ...]) -> str:
    if not params:
        return ""
    shown = (
        param.name.text + (f"={_expr(param.default, 0)}" if param.default is not None else "")
        for param in params
    )
    return f"({', '.join(shown)})"


def _settings(name: ast.Name | None, settings: tuple[ast.Setting, ...]) -> str:
    """``paper { ... }`` with the signs of equality in one column."""
    head = f"{name.text} " if name else ""
    if not settings:
        return head + "{}"
    width = max(len(setting.key.text) for setting in settings)
    lines = [f"  {one.key.text:{width}} = {_expr(one.value, 2)}" for one in settings]
    return "\n".join([head + "{", *lines, "}"])


def _statement(statement: ast.Statement, indent: int) -> str:
    match statement:
        case ast.Input(name=name, args=args):
            return f"input {name.text}{_args(args, indent) or '()'}"
        case ast.Output(names=names):
            return f"output {_names(names)}"
        case ast.Let(name=name, value=value):
            return f"let {name.text} = {_expr(value, indent)}"
        case ast.Default(name=name, args=args):
            return f"default {name.text}{_args(args, indent) or '()'}"
        case ast.Shared(name=name, pipe=pipe):
            head = f"shared {name.text} = "
            return head + _pipe(pipe, indent, len(head))
        case ast.Side(pipe=pipe):
            return "side " + _pipe(pipe, indent, len("side "))
        case ast.Pipe():
            return _pipe(statement, indent)


def _body(body: ast.Body, indent: int) -> str:
    if not body.statements:
        return "{}"
    blank = "\n" + " " * (indent + 2)
    inner = (_statement(statement, indent + 2) for statement in body.statements)
    return "{" + blank + blank.join(inner) + "\n" + " " * indent + "}"


def _names(names: Iterable[ast.Name]) -> str:
    return ", ".join(name.text for name in names)


# ---- steps -------------------------------------------------------------------


def _pipe(pipe: ast.Pipe, indent: int, head: int = 0) -> str:
    """On one line if it fits behind ``head`` other columns, else broken after each arrow."""
    steps = [_step(step, indent) for step in pipe.steps]
    text = " -> ".join(steps)
    first, *rest = text.split("\n")
    if indent + head + len(first) <= WIDTH and all(len(line) <= WIDTH for line in rest):
        return text
    further = [step.replace("\n", "\n  ") for step in steps[1:]]
    return (" ->\n" + " " * (indent + 2)).join([steps[0], *further])


def _step(step: ast.Step, indent: int) -> str:
    text = _atom(step.atom, indent)
    if step.count is not None:
        text += f" * {_count(step.count, indent)}"
    return f"{text} as {step.label.text}" if step.label else text


def _count(count: ast.Expr, indent: int) -> str:
    text = _expr(count, indent)
    bare = isinstance(count, ast.Var) or (isinstance(count, ast.Literal) and _whole(count.value))
    return text if bare else f"({text})"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _atom(atom: ast.Atom, indent: int) -> str:
    match atom:
        case ast.Call(name=name, args=args):
            return name.text + _args(args, indent)
        case ast.Merge(name=name, args=args, branches=branches):
            blank = "\n" + " " * (indent + 2)
            inner = blank.join(_pipe(branch, indent + 2) for branch in branches)
            return f"{name.text}{_args(args, indent)} [{blank}{inner}\n{' ' * indent}]"
        case ast.Wrap(name=name, args=args, body=body):
            return f"{name.text}{_args(args, indent)} {_body(body, indent)}"
        case ast.Ref(name=name):
            return f"@{name}"
        case ast.Body():
            return _body(atom, indent)
        case ast.If():
            return _if(atom, indent)
        case ast.For(names=names, values=values, body=body):
            return f"for {_names(names)} in {_expr(values, indent)} {_body(body, indent)}"


def _if(one: ast.If, indent: int) -> str:
    text = f"if {_expr(one.condition, indent)} {_body(one.then, indent)}"
    otherwise = one.otherwise
    if otherwise is None:
        return text
    match otherwise.statements:
        case (ast.Pipe(steps=(ast.Step(atom=ast.If() as inner, count=None, label=None),)),):
            return f"{text} else {_if(inner, indent)}"
        case _:
            return f"{text} else {_body(otherwise, indent)}"


def _args(args: tuple[ast.Arg, ...], indent: int) -> str:
    """Nothing for no arguments: ``relu()`` and ``relu`` are one tree."""
    if not args:
        return ""
    return f"({', '.join([_arg(arg, indent) for arg in args])})"


def _arg(arg: ast.Arg, indent: int) -> str:
    return (f"{arg.name.text}=" if arg.name else "") + _expr(arg.value, indent)


# ---- values ------------------------------------------------------------------


def _expr(expr: ast.Expr, indent: int, level: int = _TERNARY) -> str:
    """The text of a value, in parentheses if it binds less than ``level`` asks for."""
    own, text = _bound(expr, indent)
    return f"({text})" if own < level else text


def _bound(expr: ast.Expr, indent: int) -> tuple[int, str]:
    """How strongly a value holds together, and its text."""
    match expr:
        case ast.Ternary(then=then, condition=condition, otherwise=otherwise):
            head = f"{_expr(then, indent, _OR)} if {_expr(condition, indent, _OR)}"
            return _TERNARY, f"{head} else {_expr(otherwise, indent)}"
        case ast.Binary():
            return _LEVELS[expr.op], _binary(expr, indent)
        case ast.Unary(op="not", value=value):
            return _LEVELS["not"], f"not {_expr(value, indent, _LEVELS['not'])}"
        case ast.Unary(op=op, value=value):
            return _LEVELS["neg"], op + _expr(value, indent, _LEVELS["neg"])
        case ast.Literal(value=value):
            text = _literal(expr, value)
            return _LEVELS["neg"] if text.startswith("-") else _POSTFIX, text
        case _:
            return _POSTFIX, _OPERANDS[type(expr)](expr, indent)


def _binary(expr: ast.Binary, indent: int) -> str:
    level = _LEVELS[expr.op]
    left, right = level, level + 1
    if expr.op == "**":
        left, right = _POSTFIX, _LEVELS["neg"]
    elif level == _COMPARED:
        left = level + 1
    sign = ".." if expr.op == ".." else f" {expr.op} "
    return _expr(expr.left, indent, left) + sign + _expr(expr.right, indent, right)


def _list(items: Iterable[ast.Expr], indent: int) -> str:
    return ", ".join([_expr(item, indent) for item in items])


def _attr(expr: ast.Attr, indent: int) -> str:
    """A number before a point would swallow it, so it stands in parentheses."""
    value = _expr(expr.value, indent, _POSTFIX)
    number = isinstance(expr.value, ast.Literal) and value[-1].isdigit()
    return f"({value}).{expr.name.text}" if number else f"{value}.{expr.name.text}"


def _tuple(expr: ast.TupleExpr, indent: int) -> str:
    comma = "," if len(expr.items) == 1 else ""
    return f"({_list(expr.items, indent)}{comma})"


def _body_value(expr: ast.BodyExpr, indent: int) -> str:
    """``{ conv(64, 1) -> bn }`` on one line where it is one statement of one line."""
    if len(expr.body.statements) != 1:
        return _body(expr.body, indent)
    inner = _statement(expr.body.statements[0], indent)
    if "\n" not in inner:
        return f"{{ {inner} }}"
    blank = "\n" + " " * indent
    return "{" + blank + "  " + inner.replace("\n", "\n  ") + blank + "}"


_OPERANDS: dict[type[ast.Expr], Callable[[Any, int], str]] = {
    ast.Var: lambda expr, indent: expr.name,
    ast.In: lambda expr, indent: "in",
    ast.TensorRef: lambda expr, indent: f"@{expr.name}",
    ast.Fn: lambda expr, indent: expr.name.text + (_args(expr.args, indent) or "()"),
    ast.Attr: _attr,
    ast.Index: lambda expr, indent: (
        f"{_expr(expr.value, indent, _POSTFIX)}[{_expr(expr.index, indent)}]"
    ),
    ast.TupleExpr: _tuple,
    ast.ListExpr: lambda expr, indent: f"[{_list(expr.items, indent)}]",
    ast.BodyExpr: _body_value,
}


def _literal(expr: ast.Literal, value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
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


def _string(text: str) -> str:
    if any(char in text for char in '"\r\n'):
        raise SyntaxFault("E012", 'a string of the language holds no " and no line end')
    return f'"{text}"'
