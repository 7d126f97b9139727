"""Changes to a file before it is compiled: ``--set layers=[3, 8, 36, 3]``, ``--set train.epochs=3``.

They are made on the tree, so that the resolved file that is saved beside the weights has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from netdsl.errors import MeaningError, nearest
from netdsl.source import Source, Span
from netdsl.syntax import ast


@dataclass(frozen=True)
class Override:
    """A dotted name, and the expression that it gets."""

    key: ast.Name
    value: ast.Expr


def override(file: ast.File, net: str, recipe: str | None, changes: Iterable[Override]) -> ast.File:
    """The file with changes to a net's parameters or, where the key begins with ``train.``, a recipe's."""
    for change in changes:
        head, _, rest = change.key.text.partition(".")
        if head == "train" and rest:
            file = _train(file, recipe, replace(change, key=ast.Name(change.key.span, rest)))
        else:
            file = _net(file, net, change)
    return file


def literal(value: Any, span: Span) -> ast.Expr:
    """A Python value as an expression; TypeError if the language cannot write it."""
    if isinstance(value, list):
        return ast.ListExpr(span, tuple(literal(item, span) for item in value))
    if isinstance(value, tuple):
        return ast.TupleExpr(span, tuple(literal(item, span) for item in value))
    if isinstance(value, str) and value.isidentifier() and value.isascii():
        return ast.Var(span, value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return ast.Literal(span, value)
    raise TypeError(f"the language has no value such as {value!r}")


def from_python(name: str, value: Any) -> Override:
    """A keyword argument of `netdsl.load` as an override."""
    source = Source("the arguments of load", f"{name} = {value!r}")
    span = source.span(0, len(source.text))
    try:
        expr = literal(value, span)
    except TypeError as error:
        help = "give a number, a text, a list or a tuple"
        raise MeaningError("E147", str(error), span, help) from error
    return Override(ast.Name(source.span(0, len(name)), name), expr)


def _net(file: ast.File, net: str, change: Override) -> ast.File:
    """Give a parameter of a net another default, or another argument to an alias."""

    def changed(item: ast.Item) -> ast.Item:
        if isinstance(item, ast.Alias) and item.name.text == net:
            kept = tuple(a for a in item.args if not a.name or a.name.text != change.key.text)
            return replace(item, args=(*kept, ast.Arg(change.value.span, change.key, change.value)))
        if isinstance(item, ast.Net) and item.name.text == net:
            names = [param.name.text for param in item.params]
            if change.key.text not in names:
                message = f"net {net} has no parameter '{change.key.text}'"
                help = nearest(change.key.text, names) or _there_are(names)
                raise MeaningError("E110", message, change.key.span, help)
            params = (
                replace(p, default=change.value) if p.name.text == change.key.text else p
                for p in item.params
            )
            return replace(item, params=tuple(params))
        return item

    return _each(file, changed)


def _there_are(names: list[str]) -> str:
    return f"there are {', '.join(names)}" if names else "it has no parameters"


def _train(file: ast.File, recipe: str | None, change: Override) -> ast.File:
    """Change or add a setting of a recipe; ``optimizer.lr`` changes an argument of its call."""
    recipes = [item for item in file.items if isinstance(item, ast.Train)]
    named = [item for item in recipes if (item.name.text if item.name else None) == recipe]
    chosen = named or (recipes if len(recipes) == 1 else [])
    if not chosen:
        raise MeaningError("E148", "the file has no train section to change", change.key.span)

    def changed(item: ast.Item) -> ast.Item:
        return _set(item, change) if item is chosen[0] and isinstance(item, ast.Train) else item

    return _each(file, changed)


def _set(train: ast.Train, change: Override) -> ast.Train:
    head, _, rest = change.key.text.partition(".")
    key = ast.Name(change.key.span, head)
    settings = list(train.settings)
    place = next((i for i, s in enumerate(settings) if s.key.text == head), None)
    if not rest:
        setting = ast.Setting(change.value.span, key, change.value)
        if place is None:
            settings.append(setting)
        else:
            settings[place] = setting
        return replace(train, settings=tuple(settings))
    old = settings[place].value if place is not None else None
    if place is None or not isinstance(old, (ast.Fn, ast.Var)):
        message = f"train has no {head} with arguments to change"
        raise MeaningError("E148", message, change.key.span, f"set train.{head} as a whole")
    name = old.name if isinstance(old, ast.Fn) else ast.Name(old.span, old.name)
    args = old.args if isinstance(old, ast.Fn) else ()
    kept = tuple(a for a in args if not a.name or a.name.text != rest)
    arg = ast.Arg(change.value.span, ast.Name(change.key.span, rest), change.value)
    settings[place] = replace(settings[place], value=ast.Fn(old.span, name, (*kept, arg)))
    return replace(train, settings=tuple(settings))


def _each(file: ast.File, changed: Callable[[ast.Item], ast.Item]) -> ast.File:
    return replace(file, items=tuple(changed(item) for item in file.items))
