"""The ``sweep`` section: which values of parameters and of keys are to be tried, and for what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from netdsl.elaborate.overrides import Override, literal, override
from netdsl.elaborate.program import Elaborated, Program
from netdsl.elaborate.scope import Given, Scope, brief
from netdsl.elaborate.values import evaluate
from netdsl.errors import Frame, NetError, RecipeError, nearest
from netdsl.recipe import Recipe
from netdsl.source import Span
from netdsl.syntax import ast

MOST_CHOICES = 200
"""How many values one sweep may name in all: each of them is looked at."""

RANGES = ("log_range", "range")


@dataclass(frozen=True)
class Axis:
    """What is tried of one key: every one of ``choices``, or all between two if it is a ``range``.

    A ``log_range`` is even in the logarithm: as many from 0.001 to 0.01 as from 0.01 to 0.1.
    """

    key: ast.Name
    choices: tuple[ast.Expr, ...]
    range: str = ""

    def __str__(self) -> str:
        values = ", ".join(choice.span.text for choice in self.choices)
        return f"{self.key.text} = " + (f"{self.range}({values})" if self.range else f"[{values}]")


@dataclass(frozen=True)
class Sweep:
    """A sweep of one net: its axes, and the figure that ``best`` (max or min) is looked for."""

    name: str
    net: str
    axes: tuple[Axis, ...]
    best: str
    figure: str
    span: Span

    def __str__(self) -> str:
        """What would be trained, in a sentence a line."""
        listed = [axis for axis in self.axes if not axis.range]
        count = prod(len(axis.choices) for axis in listed)
        runs = f"{count:,} combinations" if count > 1 else "one combination"
        if len(listed) < len(self.axes):
            runs += ", each anywhere in its ranges"
        head = f"sweep {self.name}" if self.name else "sweep"
        lines = [f"{head} of {self.net}: {runs}; goal {self.best}({self.figure})"]
        return "\n".join([*lines, *(f"  {axis}" for axis in self.axes)])


def sweeps(program: Program) -> Iterator[Sweep]:
    """The sweeps of a file, over its first net; every value of them is tried on the network."""
    for section in program.sweeps.values():
        yield _sweep(section, program)


def _sweep(section: ast.Sweep, program: Program) -> Sweep:
    """A sweep of the first net; every value is tried upon the first ones of all axes."""
    net = program.choose(None).name.text
    scope = program.scope()
    wrong: list[NetError] = []
    axes: list[Axis] = []
    for setting in section.settings:
        try:
            if setting.key.text != "goal":
                axes.append(_axis(setting, scope))
        except NetError as error:
            wrong.append(error)
    wrong += _size(section, axes, wrong)
    recipe = _recipe(section, program)
    base = program
    for axis in axes if not wrong else ():
        try:
            made = [_with(program, base, axis, choice, net, recipe) for choice in axis.choices]
            base = made[0]
        except NetError as error:
            wrong.append(error)
    if wrong:
        raise NetError.together(wrong)
    best, figure = _goal(section, base.elaborate(net, recipe))
    for axis in axes:
        for choice in axis.choices[1:]:
            _try(_with(program, base, axis, choice, net, recipe), axis, choice, net, recipe)
    name = section.name.text if section.name else ""
    return Sweep(name, net, tuple(axes), best, figure, _word(section))


def _size(section: ast.Sweep, axes: list[Axis], wrong: list[NetError]) -> list[NetError]:
    """RecipeError E321 if there is nothing to try, or too much."""
    count = sum(len(axis.choices) for axis in axes)
    if count <= MOST_CHOICES and (axes or wrong):
        return []
    message = f"the sweep has {count:,} values" if axes else "the sweep tries nothing"
    help = f"at most {MOST_CHOICES} are possible" if axes else "write: width = [16, 32, 64]"
    return [RecipeError("E321", message, _word(section), help)]


def _recipe(section: ast.Sweep, program: Program) -> str | None:
    """The recipe that a sweep trains by: that of its name, the unnamed or the only one."""
    name = section.name.text if section.name else None
    if name in program.recipes:
        return name
    named = [recipe for recipe in program.recipes if recipe]
    if None in program.recipes or len(named) == 1:
        return None
    if named:
        message = f"by which recipe does the sweep train: {', '.join(named)}?"
        help = f"give it the name of one: sweep {named[0]} {{ ... }}"
    else:
        message, help = "a sweep trains, and the file has no train section", "write: train { ... }"
    raise RecipeError("E320", message, _word(section), help)


def _axis(setting: ast.Setting, scope: Scope) -> Axis:
    """The values that a key is to take."""
    expr = setting.value
    if isinstance(expr, ast.ListExpr) and expr.items:
        return Axis(setting.key, expr.items)
    value = evaluate(expr, scope)
    if isinstance(value, Given) and value.name in RANGES:
        return Axis(setting.key, _ends(value, expr), value.name)
    if isinstance(value, list) and 0 < len(value) <= MOST_CHOICES:
        return Axis(setting.key, tuple(literal(item, expr.span) for item in value))
    message = f"a sweep tries the values of a list or a range, not {brief(value)}"
    help = "write [16, 32, 64], or log_range(0.001, 0.1)"
    raise RecipeError("E321", message, expr.span, help)


def _ends(given: Given, expr: ast.Expr) -> tuple[ast.Expr, ...]:
    """The two ends of a range."""
    ends: list[Any] = [argument.value for argument in given.args]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    least = 0 if given.name == "log_range" else float("-inf")
    if len(ends) != 2 or not numbers or not least < ends[0] < ends[1]:
        above = "above 0, " if given.name == "log_range" else ""
        message = f"{given.name} wants two numbers, {above}the smaller one first"
        raise RecipeError("E321", message, expr.span, f"write {given.name}(0.001, 0.1)")
    return tuple(literal(argument.value, argument.span) for argument in given.args)


def _with(
    program: Program, base: Program, axis: Axis, choice: ast.Expr, net: str, recipe: str | None
) -> Program:
    """The program with one value of an axis; RecipeError E322 if nothing has its key."""
    base_net, names = program.signature(net)
    key = axis.key
    if key.text in names and key.text in _keys():
        message = f"'{key.text}' is a parameter of the net and a key of its recipe"
        raise RecipeError("E322", message, key.span, "give the parameter another name")
    if key.text not in names:
        if key.text.partition(".")[0] not in _keys():
            known = [*names, *_keys()]
            help = nearest(key.text, known) or f"there are {', '.join(known)}"
            message = f"neither the net nor its recipe has '{key.text}'"
            raise RecipeError("E322", message, key.span, help)
        key = replace(key, text=f"train.{key.text}")
    change = Override(key, choice)
    file = override(base.file, net, (base_net, names), recipe, [change], program.registry)
    return base.changed(file)


def _try(program: Program, axis: Axis, choice: ast.Expr, net: str, recipe: str | None) -> None:
    """Carry out the network with one value of an axis."""
    try:
        program.elaborate(net, recipe)
    except NetError as error:
        frame = Frame(f"a sweep with {axis.key.text} = {choice.span.text}", choice.span)
        for each in error.each():
            each.frames = (frame, *each.frames)
        raise


def _keys() -> list[str]:
    """The keys of a recipe that a sweep may change."""
    return [parameter.name for parameter in Recipe.parameters()]


def _goal(section: ast.Sweep, made: Elaborated) -> tuple[str, str]:
    """``goal = max(val_accuracy)``: the best of which figure."""
    goal = next((s.value for s in section.settings if s.key.text == "goal"), None)
    assert made.training is not None
    figures = ["val_loss", *(f"val_{m.column()}" for m in made.training.recipe.metrics)]
    best = figure = ""
    if isinstance(goal, ast.Fn) and len(goal.args) == 1:
        best, figure = goal.name.text, goal.args[0].span.text
    if best not in ("max", "min") or figure not in figures:
        what = "this goal is no figure of the training" if goal else "the sweep has no goal"
        help = f"write goal = max({figures[-1]}); there are {', '.join(figures)}"
        raise RecipeError("E320", what, goal.span if goal else _word(section), help)
    return best, figure


def _word(section: ast.Sweep) -> Span:
    return section.span.source.span(section.span.start, section.span.start + len("sweep"))
