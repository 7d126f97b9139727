"""Expressions: what they evaluate to when a file is compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import Any

from netdsl.arguments import Word
from netdsl.elaborate.scope import (
    LOST,
    Argument,
    BlockName,
    BodyValue,
    Given,
    Group,
    Lost,
    Scope,
    SharedValue,
    TensorValue,
    brief,
    known,
)
from netdsl.elaborate.strangers import tensor_help
from netdsl.errors import MeaningError, Problem
from netdsl.source import Span
from netdsl.syntax import ast

LONGEST = 10_000
"""The most items that a list may have, those of lists in it counted: a range is written out."""

DEEPEST_LIST = 64
"""How deep lists may lie in lists."""

BIGGEST = 2**62
"""The largest number that an expression may reach."""


def evaluate(expr: ast.Expr, scope: Scope) -> Any:
    """The value of an expression."""
    return _RULES[type(expr)](expr, scope)


def arguments(args: tuple[ast.Arg, ...], scope: Scope) -> Group:
    """Evaluate the arguments of a call."""
    return tuple(Argument(arg.name, _or_lost(arg.value, scope), arg.value.span) for arg in args)


def _or_lost(expr: ast.Expr, scope: Scope) -> Any:
    """The value, or `LOST`: the other arguments of a call are looked at all the same."""
    try:
        return evaluate(expr, scope)
    except Lost:
        return LOST


def truth(expr: ast.Expr, scope: Scope) -> bool:
    """The value of a condition."""
    value = known(evaluate(expr, scope), expr.span, scope)
    if not isinstance(value, bool):
        message = f"a condition is true or false, not {brief(value)}"
        raise scope.error("E108", message, expr.span, "compare it: n > 0")
    return value


def tensor(name: str, span: Span, scope: Scope) -> TensorValue:
    """The tensor that ``@name`` means."""
    if name == "in":
        return _entering(span, scope)
    found, value = scope.find(name)
    if found and isinstance(value, TensorValue):
        return value
    if name in scope.labels:
        return scope.labels[name][0]
    if found:
        step = isinstance(value, (BodyValue, SharedValue))
        help = f"write {name}, without @, {'as a step' if step else 'for its value'}"
        if isinstance(value, Word):
            help = f"give the tensor itself: {name}=@{value.name}"
        raise scope.error("E104", f"'{name}' is {brief(value)}, not a tensor", span, help)
    raise no_tensor(name, span, scope, tensor_help(name, span, scope))


def no_tensor(name: str, span: Span, scope: Scope, help: str) -> MeaningError:
    """The error for a tensor that there is not, where it is asked for."""
    return scope.error("E103", f"no tensor is called '{name}' here", span, help)


def _entering(span: Span, scope: Scope) -> TensorValue:
    if scope.entering is None:
        message = "'in' is what enters a block, and no block is around"
        help = "name a tensor with: step as x, and write @x, or @x.c for its channels"
        raise scope.error("E105", message, span, help)
    return scope.entering


# ---- rules, one for each kind of expression --------------------------------------


def _literal(expr: ast.Literal, scope: Scope) -> Any:
    return expr.value


def _var(expr: ast.Var, scope: Scope) -> Any:
    found, value = scope.find(expr.name)
    if value is LOST:
        raise Lost
    if found:
        return value
    return BlockName(expr.name, scope) if expr.name in scope.blocks else Word(expr.name)


def _fn(expr: ast.Fn, scope: Scope) -> Any:
    args = arguments(expr.args, scope)
    function = FUNCTIONS.get(expr.name.text)
    if function is None:
        return Given(expr.name.text, args, expr.span, scope)
    values = [known(arg.value, arg.span, scope) for arg in args]
    if any(value is LOST for value in values):
        raise Lost
    scope.spend(expr.span, _cost(values))
    try:
        if any(arg.name for arg in args):
            raise TypeError
        result = function(*values)
    except (TypeError, ValueError, OverflowError) as error:
        shown = ", ".join(map(brief, values)) or "nothing"
        message = f"{expr.name.text} cannot take {shown}"
        raise scope.error("E102", message, expr.span) from error
    return result


def _tensor(expr: ast.TensorRef, scope: Scope) -> TensorValue:
    return tensor(expr.name, expr.span, scope)


def _in(expr: ast.In, scope: Scope) -> TensorValue:
    return _entering(expr.span, scope)


def _attr(expr: ast.Attr, scope: Scope) -> Any:
    value = known(evaluate(expr.value, scope), expr.value.span, scope)
    name = expr.name.text
    if value is LOST:
        raise Lost
    if not isinstance(value, TensorValue):
        raise scope.error("E106", f"{brief(value)} has no .{name}", expr.name.span)
    dims = value.tensor.dims
    axes = ("c", *"dhw"[4 - len(dims) :]) if len(dims) <= 4 else ("c",)
    sizes = dict(zip(axes, dims, strict=False)) | {"shape": dims}
    if name not in sizes:
        help = f"it has {', '.join('.' + word for word in sizes)}"
        message = f"a tensor of {value.tensor} has no .{name}"
        raise scope.error("E106", message, expr.name.span, help)
    return sizes[name]


def _index(expr: ast.Index, scope: Scope) -> Any:
    value = known(evaluate(expr.value, scope), expr.value.span, scope)
    index = known(evaluate(expr.index, scope), expr.index.span, scope)
    if not isinstance(value, (list, tuple)):
        raise scope.error("E107", f"{brief(value)} is no list", expr.value.span)
    if isinstance(index, bool) or not isinstance(index, int):
        message = f"an index is a whole number, not {brief(index)}"
        raise scope.error("E107", message, expr.index.span)
    if not -len(value) <= index < len(value):
        message = f"index {index} is outside of a list of {len(value)}"
        raise scope.error("E107", message, expr.index.span, "the first item has index 0")
    return value[index]


def _unary(expr: ast.Unary, scope: Scope) -> Any:
    if expr.op == "not":
        return not truth(expr.value, scope)
    value = known(evaluate(expr.value, scope), expr.value.span, scope)
    if not _is_number(value):
        raise scope.error("E102", f"cannot take the negative of {brief(value)}", expr.span)
    return -value


def _binary(expr: ast.Binary, scope: Scope) -> Any:
    if expr.op in ("and", "or"):
        left = truth(expr.left, scope)
        decided = left if expr.op == "or" else not left
        return left if decided else truth(expr.right, scope)
    left, right = evaluate(expr.left, scope), evaluate(expr.right, scope)
    if expr.op in ("==", "!="):
        scope.spend(expr.span, _cost([left]))
        _words(expr, left, right, scope)
        return (left == right) == (expr.op == "==")
    known(left, expr.left.span, scope)
    known(right, expr.right.span, scope)
    try:
        result = _compute(expr.op, left, right)
    except Problem as problem:
        raise scope.error("E102", problem.message, expr.span, problem.help) from problem
    scope.spend(expr.span, _cost([result]))
    return result


def _words(expr: ast.Binary, left: Any, right: Any, scope: Scope) -> None:
    """A bare name may be compared with a parameter, ``mode == fast``; else it is misspelt."""
    for side, value, other in ((expr.left, left, expr.right), (expr.right, right, expr.left)):
        bare = isinstance(side, ast.Var) and not scope.find(side.name)[0]
        stands = isinstance(other, ast.Index) or (
            isinstance(other, ast.Var) and scope.find(other.name)[0]
        )
        if bare and not stands:
            known(value, side.span, scope)


def _compute(op: str, left: Any, right: Any) -> Any:
    if op == ".." and all(isinstance(v, int) and not isinstance(v, bool) for v in (left, right)):
        return list(range(left, left + _bounded(right - left + 1)))
    if op == "+" and isinstance(left, list) and isinstance(right, list):
        return _measured([*left, *right])
    if op == ".." or not (_is_number(left) and _is_number(right)):
        raise Problem(f"cannot compute {brief(left)} {op} {brief(right)}")
    if op in ("/", "//", "%") and right == 0:
        raise Problem(f"{left} {op} 0 is a division by zero")
    if op == "/" and isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    if op == "**" and (abs(right) > 1000 or (left == 0 and right < 0)):
        raise Problem(f"{left} {op} {right} is too large")
    try:
        result = _OPERATORS[op](left, right)
    except OverflowError:
        raise Problem(f"{left} {op} {right} is too large") from None
    if isinstance(result, complex):
        raise Problem(f"{left} ** {right} is no real number")
    if not isinstance(result, bool) and abs(result) > BIGGEST:
        raise Problem(f"{left} {op} {right} is too large")
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bounded(count: int) -> int:
    if count > LONGEST:
        raise Problem(f"a list of {count:,} items; at most {LONGEST:,} are possible")
    return max(count, 0)


def _measured(items: list[Any]) -> list[Any]:
    """The list itself; raises `Problem` if all it holds is too much, or nested too deep."""
    if _leaves(items) > LONGEST:
        raise Problem(f"a list with more than {LONGEST:,} items in all")
    return items


def _leaves(value: Any) -> int:
    """How many values a list holds, those of the lists in it counted, up to a little too many."""
    count, depth, level = 0, 0, [value]
    while level and count <= LONGEST and depth <= DEEPEST_LIST:
        count, depth = count + len(level), depth + 1
        rows = [item for item in level if isinstance(item, (list, tuple))]
        if sum(map(len, rows)) > LONGEST:
            return LONGEST + 1
        level = [item for row in rows for item in row]
    return count if depth <= DEEPEST_LIST else LONGEST + 1


def _cost(values: Sequence[Any]) -> int:
    """Lists make work by their length."""
    return 1 + sum(_leaves(v) // 25 for v in values if isinstance(v, (list, tuple)))


def _ternary(expr: ast.Ternary, scope: Scope) -> Any:
    return evaluate(expr.then if truth(expr.condition, scope) else expr.otherwise, scope)


def _tuple(expr: ast.TupleExpr, scope: Scope) -> tuple[Any, ...]:
    return tuple(_list(expr, scope))


def _list(expr: ast.ListExpr | ast.TupleExpr, scope: Scope) -> list[Any]:
    items = [evaluate(item, scope) for item in expr.items]
    try:
        _measured(items)
    except Problem as problem:
        raise scope.error("E102", problem.message, expr.span) from problem
    scope.spend(expr.span, _cost([items]))
    return items


def _body(expr: ast.BodyExpr, scope: Scope) -> BodyValue:
    return BodyValue(expr.body, scope)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min, "max": max, "abs": abs, "len": len, "sum": lambda values: sum(values),
    "ceil": ceil, "floor": floor, "round": lambda value: round(value),
}  # fmt: skip
"""What an expression may call. Each takes plain values and makes no large ones of small ones."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

_RULES: dict[type[ast.Expr], Callable[[Any, Scope], Any]] = {
    ast.Literal: _literal, ast.Var: _var, ast.Fn: _fn, ast.TensorRef: _tensor, ast.In: _in,
    ast.Attr: _attr, ast.Index: _index, ast.Unary: _unary, ast.Binary: _binary,
    ast.Ternary: _ternary, ast.TupleExpr: _tuple, ast.ListExpr: _list, ast.BodyExpr: _body,
}  # fmt: skip
