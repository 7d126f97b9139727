"""Changes to a file before it is compiled: ``--set layers=[3, 8]``, ``--set train.epochs=3``.

They are made on the tree, so that the resolved file that is saved beside the weights has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

import numpy as np

from netdsl.errors import MeaningError, NetError, nearest
from netdsl.op import Op, Registry
from netdsl.recipe import Recipe
from netdsl.source import Source, Span
from netdsl.syntax import ast
from netdsl.syntax.parse import parse_expr

LARGEST = 10**17
"""The largest number that is taken from Python: the parser reads it back."""


@dataclass(frozen=True)
class Override:
    """A dotted name, and the expression that it gets."""

    key: ast.Name
    value: ast.Expr


def change(text: str) -> Override:
    """``layers=[3, 4, 6, 3]`` of the command line as an override."""
    source = Source("--set", text)
    key, equals, value = text.partition("=")
    if not equals or not all(part.isidentifier() for part in key.strip().split(".")):
        help = "write --set name=value"
        raise MeaningError("E149", "this sets nothing", source.span(0, len(text)), help)
    # The expression keeps its place in the text: blanks stand for the name before it.
    blanked = Source(source.name, " " * (len(key) + 1) + value)
    try:
        expr = parse_expr(blanked)
    except NetError as error:
        error.span = error.span and source.span(error.span.start, error.span.end)
        raise
    return Override(ast.Name(source.span(0, len(key)), key.strip()), moved(expr, source))


def override(
    file: ast.File, net: str, signature: tuple[str, list[str]], recipe: str | None,
    changes: Iterable[Override], registry: Registry,
) -> ast.File:  # fmt: skip
    """The file with changes to a net's parameters or, after ``train.``, to a recipe's keys.

    ``signature`` is the net that ``net`` stands for, and the names of its parameters.
    """
    for change in changes:
        head, _, rest = change.key.text.partition(".")
        if head == "train" and rest:
            change = replace(change, key=ast.Name(change.key.span, rest))
            file = _train(file, recipe, change, registry)
        else:
            file = _net(file, net, signature, change, registry)
    return file


def from_python(name: str, value: Any) -> Override:
    """A keyword argument of `netdsl.load` as an override; MeaningError E147 if it cannot be one."""
    source = Source("the arguments of load", f"{name} = {value!r}")
    span = source.span(len(name) + 3, len(source.text))
    return Override(ast.Name(source.span(0, len(name)), name), literal(value, span))


def literal(value: Any, span: Span) -> ast.Expr:
    """A Python value as an expression; MeaningError E147 if the language cannot write it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list):
        return ast.ListExpr(span, tuple(literal(item, span) for item in value))
    if isinstance(value, tuple):
        return ast.TupleExpr(span, tuple(literal(item, span) for item in value))
    if isinstance(value, str) and value.isascii() and value.isidentifier():
        return ast.Var(span, value)
    number = isinstance(value, (int, float)) and -LARGEST <= value <= LARGEST
    text = isinstance(value, str) and value.isprintable() and '"' not in value
    if value is None or number or text:
        return ast.Literal(span, value)
    help = "give a finite number, a text without quotes and line ends, a list or a tuple"
    raise MeaningError("E147", "the language cannot write this value", span, help)


def moved(tree: Any, source: Source) -> Any:
    """A tree with its places in another source: the same offsets."""
    if isinstance(tree, tuple):
        return tuple(moved(item, source) for item in tree)
    if isinstance(tree, Span):
        return source.span(tree.start, tree.end)
    if not isinstance(tree, ast.Tree):
        return tree
    parts = {field.name: moved(getattr(tree, field.name), source) for field in fields(tree)}
    return replace(tree, **parts)


# ---- the parameters of a net -----------------------------------------------------


def _net(
    file: ast.File, net: str, signature: tuple[str, list[str]], change: Override, registry: Registry
) -> ast.File:
    """Give a parameter of a net another default, or another argument to an alias."""
    key = change.key.text
    base, names = signature
    if key not in (*names, "strict"):
        help = nearest(key, names) or (f"it has {', '.join(names)}" if names else "it has none")
        help = _in_recipe(key, registry) or help
        raise MeaningError("E110", f"net {base} has no parameter '{key}'", change.key.span, help)

    def changed(item: ast.Item) -> ast.Item:
        if isinstance(item, ast.Alias) and item.name.text == net:
            return replace(item, args=_with(item.args, names, change.key, change.value))
        if isinstance(item, ast.Net) and item.name.text == net:
            given = ast.Param(change.value.span, change.key, change.value)
            params = tuple(given if p.name.text == key else p for p in item.params)
            return replace(item, params=params if given in params else (*params, given))
        return item

    return _each(file, changed)


def _in_recipe(key: str, registry: Registry) -> str | None:
    """Where a recipe has a key of that name, itself or in its optimizer."""
    names = [parameter.name for parameter in Recipe.parameters()]
    known = Recipe.synonyms.get(key, key)
    if known.partition(".")[0] in names:
        return f"it belongs to the recipe: --set train.{known}=..."
    for kind in ("optimizer", "schedule"):
        if any(key == p.name for op in registry[kind].values() for p in op.parameters()):
            return f"it belongs to the recipe: --set train.{kind}.{key}=..."
    return None


def _with(
    args: tuple[ast.Arg, ...], names: list[str], key: ast.Name, value: ast.Expr
) -> tuple[ast.Arg, ...]:
    """Arguments with one of them changed or added; all get their names."""
    named = (
        arg
        if arg.name or place >= len(names)
        else replace(arg, name=ast.Name(arg.span, names[place]))
        for place, arg in enumerate(args)
    )
    kept = tuple(arg for arg in named if not arg.name or arg.name.text != key.text)
    return (*kept, ast.Arg(value.span, key, value))


# ---- the keys of a recipe --------------------------------------------------------


def _train(file: ast.File, recipe: str | None, change: Override, registry: Registry) -> ast.File:
    """Change or add a setting of a recipe; ``optimizer.lr`` changes an argument of its call."""
    chosen = chosen_train(file, recipe)
    if chosen is None:
        help = "write one: train { data = digits() ... }, a key a line"
        raise MeaningError("E148", "the file has no train section", change.key.span, help)
    changed = _set(chosen, change, registry)
    return _each(file, lambda item: changed if item is chosen else item)


def chosen_train(file: ast.File, recipe: str | None) -> ast.Train | None:
    """The recipe of that name; the unnamed one, or the only one, if none is asked for."""
    trains = {i.name.text if i.name else None: i for i in file.items if isinstance(i, ast.Train)}
    only = next(iter(trains.values())) if len(trains) == 1 and recipe is None else None
    return trains.get(recipe, only)


def _set(train: ast.Train, change: Override, registry: Registry) -> ast.Train:
    head, _, rest = change.key.text.partition(".")
    key = ast.Name(change.key.span, head)
    old = next((s.value for s in train.settings if s.key.text == head), None)
    value = _argument(head, rest, old, change, registry) if rest else change.value
    setting = ast.Setting(change.value.span, key, value)
    settings = [setting if s.key.text == head else s for s in train.settings]
    return replace(train, settings=tuple(settings if old else [*settings, setting]))


def _argument(
    head: str, rest: str, old: ast.Expr | None, change: Override, registry: Registry
) -> ast.Expr:
    """A call with one argument changed: ``sgd(lr=0.1)`` becomes ``sgd(lr=0.01)``."""
    if not isinstance(old, (ast.Fn, ast.Var)):
        message = f"train has no {head} with arguments to change"
        raise MeaningError("E148", message, change.key.span, f"set train.{head} as a whole")
    name = old.name if isinstance(old, ast.Fn) else ast.Name(old.span, old.name)
    args = old.args if isinstance(old, ast.Fn) else ()
    names = [parameter.name for parameter in _parameters(head, name.text, registry)]
    key = ast.Name(change.key.span, rest)
    return ast.Fn(old.span, name, _with(args, names, key, change.value))


def _parameters(head: str, name: str, registry: Registry) -> Iterable[Any]:
    """The parameters of the op that a key of a recipe names."""
    kinds = {p.name: p.kind for p in Recipe.parameters()}
    kind = next((k for k in (kinds.get(head), *get_args(kinds.get(head))) if _is_op(k)), None)
    op = registry[kind.kind].get(name) if kind else None
    return op.parameters() if op else ()


def _is_op(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Op)


def _each(file: ast.File, changed: Callable[[ast.Item], ast.Item]) -> ast.File:
    return replace(file, items=tuple(changed(item) for item in file.items))
