"""The resolved file: what a run was made with, every key of its recipe filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netdsl.elaborate.overrides import chosen_train
from netdsl.op import value_text
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
    return parse_expr(Source("the recipe", value_text(value, kind, whole=True)))
