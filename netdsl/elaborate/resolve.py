"""The resolved file: what a run was made with, every key of its recipe filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from netdsl.arguments import spell
from netdsl.elaborate.overrides import chosen_train
from netdsl.op import Op
from netdsl.recipe import Recipe
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.parse import VERSION, parse_expr


def resolve(file: ast.File, name: str | None, recipe: Recipe | None) -> ast.File:
    """The file with its language version, and the named recipe with all keys and arguments."""
    chosen = chosen_train(file, name) if recipe else None
    items = tuple(
        _filled(chosen, recipe) if recipe and chosen and item is chosen else item
        for item in file.items
    )
    return replace(file, version=file.version or VERSION, items=items)


def _filled(train: ast.Train, recipe: Recipe) -> ast.Train:
    losses = [setting for setting in train.settings if setting.key.text == "loss"]
    settings = [
        ast.Setting(train.span, ast.Name(train.span, parameter.name), _expr(value, parameter.kind))
        for parameter in recipe.parameters()
        if (value := getattr(recipe, parameter.name)) is not None
    ]
    return replace(train, settings=(*settings, *losses))


def _expr(value: Any, kind: Any) -> ast.Expr:
    return parse_expr(Source("the recipe", _text(value, kind)))


def _text(value: Any, kind: Any) -> str:
    """A value with all its arguments: ``sgd(lr=0.05, momentum=0.9, nesterov=false, …)``."""
    if isinstance(value, Op):
        args = (f"{p.name}={_text(getattr(value, p.name), p.kind)}" for p in value.parameters())
        return f"{value.name}({', '.join(args)})" if value.parameters() else value.name
    if isinstance(value, tuple) and any(isinstance(item, Op) for item in value):
        return f"[{', '.join(_text(item, Op) for item in value)}]"
    # A text has quotes; every other kind that holds a str holds one of the language's words.
    text = str in (kind, *get_args(kind))
    return value if isinstance(value, str) and not text else spell(value)
