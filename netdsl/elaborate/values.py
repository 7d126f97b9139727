"""Values known when a file is compiled: what expressions evaluate to, and the scopes of names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

from netdsl.arguments import Word, spell
from netdsl.errors import Frame, MeaningError, nearest
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import Tensor

LONGEST = 100_000
"""The most items that a list may have: a range is written out."""

BIGGEST = 2**62
"""The largest whole number that an expression may reach."""


@dataclass(frozen=True)
class TensorValue:
    """A tensor of the network: the node that makes it, and its type."""

    node: str
    tensor: Tensor


@dataclass(frozen=True)
class Argument:
    """An evaluated argument and its place."""

    name: ast.Name | None
    value: Any
    span: Span


@dataclass(frozen=True)
class Given:
    """A call that stands for an object: ``sgd(lr=0.1)``. What it means depends on who takes it."""

    name: str
    args: tuple[Argument, ...]
    span: Span

    def __str__(self) -> str:
        return self.span.text


@dataclass(frozen=True)
class BodyValue:
    """``{ ... }`` as a value, with the names that it sees."""

    body: ast.Body
    scope: Scope


@dataclass
class Scope:
    """Names and their values, inside other scopes; ``defaults`` are those of the ``default`` statements.

    ``labels`` are the tensors named with ``as``: all of a block call or a net shares them, however
    deep the braces. ``entering`` is the tensor that ``in`` means.
    """

    parent: Scope | None = None
    names: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, tuple[Argument, ...]] = field(default_factory=dict)
    labels: dict[str, tuple[TensorValue, Span]] = field(default_factory=dict)
    entering: TensorValue | None = None
    frames: tuple[Frame, ...] = ()

    def inner(self) -> Scope:
        """A scope for what stands between braces."""
        return Scope(self, labels=self.labels, entering=self.entering, frames=self.frames)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find(self, name: str) -> tuple[bool, Any]:
        """Whether a name has a value here, and which."""
        for scope in self.chain():
            if name in scope.names:
                return True, scope.names[name]
        return False, None

    def default(self, name: str) -> tuple[Argument, ...]:
        """The arguments that calls of a name take unless they say otherwise, outermost first."""
        found = [scope.defaults[name] for scope in self.chain() if name in scope.defaults]
        return tuple(argument for arguments in reversed(found) for argument in arguments)

    def visible(self) -> list[str]:
        """All names that have a value here."""
        return [name for scope in self.chain() for name in scope.names]

    def error(self, code: str, message: str, span: Span, help: str | None = None) -> MeaningError:
        """An error at a place, with the block calls that led there."""
        return MeaningError(code, message, span, help, self.frames)


def evaluate(expr: ast.Expr, scope: Scope) -> Any:
    """The value of an expression."""
    return _RULES[type(expr)](expr, scope)


def unknown(name: str, span: Span, scope: Scope) -> MeaningError:
    """The error for a name without a value."""
    return scope.error("E101", f"unknown name '{name}'", span, nearest(name, scope.visible()))


def arguments(args: tuple[ast.Arg, ...], scope: Scope) -> tuple[Argument, ...]:
    """Evaluate the arguments of a call."""
    return tuple(Argument(arg.name, evaluate(arg.value, scope), arg.span) for arg in args)


# ---- rules, one for each kind of expression --------------------------------------


def _literal(expr: ast.Literal, scope: Scope) -> Any:
    return expr.value


def _var(expr: ast.Var, scope: Scope) -> Any:
    known, value = scope.find(expr.name)
    return value if known else Word(expr.name)


def _fn(expr: ast.Fn, scope: Scope) -> Any:
    args = arguments(expr.args, scope)
    function = _FUNCTIONS.get(expr.name.text)
    plain = all(a.name is None and isinstance(a.value, (int, float, list)) for a in args)
    if function is None or not plain or not args:
        return Given(expr.name.text, args, expr.span)
    try:
        return function(*(a.value for a in args))
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{expr.name.text} cannot take {', '.join(spell(a.value) for a in args)}"
        raise scope.error("E102", message, expr.span) from error


def _tensor(expr: ast.TensorRef, scope: Scope) -> TensorValue:
    return tensor(expr.name, expr.span, scope)


def tensor(name: str, span: Span, scope: Scope) -> TensorValue:
    """The tensor that ``@name`` means."""
    if name == "in":
        return _entering(span, scope)
    known, value = scope.find(name)
    if known and isinstance(value, TensorValue):
        return value
    if name in scope.labels:
        return scope.labels[name][0]
    if known:
        raise scope.error("E104", f"'{name}' is {spell(value)}, not a tensor", span)
    message = f"no tensor is called '{name}' here"
    help = nearest(name, scope.labels) or "name a tensor with: step as name"
    raise scope.error("E103", message, span, help)


def _in(expr: ast.In, scope: Scope) -> TensorValue:
    return _entering(expr.span, scope)


def _entering(span: Span, scope: Scope) -> TensorValue:
    if scope.entering is None:
        raise scope.error("E105", "'in' is what enters a block, and no block is around", span)
    return scope.entering


def _attr(expr: ast.Attr, scope: Scope) -> Any:
    value = evaluate(expr.value, scope)
    name = expr.name.text
    if not isinstance(value, TensorValue):
        raise scope.error("E106", f"{spell(value)} has no .{name}", expr.span)
    dims = value.tensor.dims
    known = dict(zip(("c", *"dhw"[4 - len(dims) :]), dims, strict=False)) | {"shape": dims}
    if name not in known:
        help = f"it has {', '.join('.' + word for word in known)}"
        raise scope.error(
            "E106", f"a tensor of {value.tensor} has no .{name}", expr.name.span, help
        )
    return known[name]


def _index(expr: ast.Index, scope: Scope) -> Any:
    value, index = evaluate(expr.value, scope), evaluate(expr.index, scope)
    if isinstance(value, Word):
        raise unknown(value.name, expr.value.span, scope)
    if not isinstance(value, (list, tuple)):
        raise scope.error("E107", f"{spell(value)} is no list", expr.value.span)
    if isinstance(index, bool) or not isinstance(index, int):
        raise scope.error(
            "E107", f"an index is a whole number, not {spell(index)}", expr.index.span
        )
    if not -len(value) <= index < len(value):
        message = f"index {index} is outside of a list of {len(value)}"
        raise scope.error("E107", message, expr.index.span, "the first item has index 0")
    return value[index]


def _unary(expr: ast.Unary, scope: Scope) -> Any:
    value = evaluate(expr.value, scope)
    if expr.op == "not":
        return not truth(expr.value, scope)
    if isinstance(value, Word):
        raise unknown(value.name, expr.value.span, scope)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise scope.error("E102", f"cannot take the negative of {spell(value)}", expr.span)
    return -value


def truth(expr: ast.Expr, scope: Scope) -> bool:
    """The value of a condition."""
    value = evaluate(expr, scope)
    if not isinstance(value, bool):
        message = f"a condition is true or false, not {spell(value)}"
        raise scope.error("E108", message, expr.span, "compare it: n > 0")
    return value


def _binary(expr: ast.Binary, scope: Scope) -> Any:
    if expr.op in ("and", "or"):
        left = truth(expr.left, scope)
        decided = left if expr.op == "or" else not left
        return left if decided else truth(expr.right, scope)
    left, right = evaluate(expr.left, scope), evaluate(expr.right, scope)
    if expr.op in ("==", "!="):
        return (left == right) == (expr.op == "==")
    for side, value in ((expr.left, left), (expr.right, right)):
        if isinstance(value, Word):
            raise unknown(value.name, side.span, scope)
    try:
        return _compute(expr.op, left, right)
    except (TypeError, ZeroDivisionError, OverflowError, ValueError) as error:
        reason = str(error) if isinstance(error, (ZeroDivisionError, OverflowError)) else ""
        message = reason or f"cannot compute {spell(left)} {expr.op} {spell(right)}"
        raise scope.error("E102", message, expr.span) from error


def _compute(op: str, left: Any, right: Any) -> Any:
    if op == "..":
        return _range(left, right)
    if op == "+" and isinstance(left, list) and isinstance(right, list):
        return _short([*left, *right])
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in (left, right)):
        raise TypeError
    if op in ("/", "//", "%") and right == 0:
        raise ZeroDivisionError("division by zero")
    if op == "**" and (abs(right) > 1000 or (left == 0 and right < 0)):
        raise OverflowError(f"{left} ** {right} is too large")
    if op == "/" and isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    result = _OPERATORS[op](left, right)
    if isinstance(result, complex) or (not isinstance(result, bool) and abs(result) > BIGGEST):
        raise OverflowError(f"{left} {op} {right} is too large")
    return result


def _range(first: Any, last: Any) -> list[int]:
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in (first, last)):
        raise TypeError
    if last - first >= LONGEST:
        raise OverflowError(
            f"a range of {last - first + 1:,} numbers; at most {LONGEST:,} are possible"
        )
    return list(range(first, last + 1))


def _short(items: list[Any]) -> list[Any]:
    if len(items) > LONGEST:
        raise OverflowError(f"a list of {len(items):,} items; at most {LONGEST:,} are possible")
    return items


def _ternary(expr: ast.Ternary, scope: Scope) -> Any:
    return evaluate(expr.then if truth(expr.condition, scope) else expr.otherwise, scope)


def _tuple(expr: ast.TupleExpr, scope: Scope) -> tuple[Any, ...]:
    return tuple(evaluate(item, scope) for item in expr.items)


def _list(expr: ast.ListExpr, scope: Scope) -> list[Any]:
    return [evaluate(item, scope) for item in expr.items]


def _body(expr: ast.BodyExpr, scope: Scope) -> BodyValue:
    return BodyValue(expr.body, scope)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min, "max": max, "abs": abs, "len": len, "sum": sum, "round": round,
    "ceil": ceil, "floor": floor,
}  # fmt: skip

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
