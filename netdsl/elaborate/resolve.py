"""The resolved file: what a run was made with, every key of its recipe filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netdsl.arguments import spell
from netdsl.op import Op
from netdsl.recipe import Recipe
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.parse import parse_expr


def resolve(file: ast.File, name: str | None, recipe: Recipe | None) -> ast.File:
    """The file with its language version, and the named recipe with all keys and arguments."""
    items = tuple(
        _filled(item, recipe) if recipe and _is(item, name, file) else item for item in file.items
    )
    return replace(file, version=file.version or 1, items=items)


def _is(item: ast.Item, name: str | None, file: ast.File) -> bool:
    if not isinstance(item, ast.Train):
        return False
    alone = sum(isinstance(other, ast.Train) for other in file.items) == 1
    return (item.name.text if item.name else None) == name or (name is None and alone)


def _filled(train: ast.Item, recipe: Recipe) -> ast.Item:
    assert isinstance(train, ast.Train)
    losses = [setting for setting in train.settings if setting.key.text == "loss"]
    settings = [
        ast.Setting(train.span, ast.Name(train.span, parameter.name), _expr(value))
        for parameter in recipe.parameters()
        if (value := getattr(recipe, parameter.name)) is not None
    ]
    return replace(train, settings=(*settings, *losses))


def _expr(value: Any) -> ast.Expr:
    return parse_expr(Source("the recipe", _text(value)))


def _text(value: Any) -> str:
    """A value with all its arguments: ``sgd(lr=0.05, momentum=0.9, nesterov=false, …)``."""
    if isinstance(value, Op):
        args = [f"{p.name}={_text(getattr(value, p.name))}" for p in value.parameters()]
        return f"{value.name}({', '.join(args)})" if args else value.name
    if isinstance(value, tuple) and any(isinstance(item, Op) for item in value):
        return f"[{', '.join(map(_text, value))}]"
    return value if isinstance(value, str) and value.isidentifier() else spell(value)
