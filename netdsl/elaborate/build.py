"""Calls to ops: arguments bound to parameters, checked by kind, with errors at their places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from netdsl.arguments import Sizes, Word, accept
from netdsl.elaborate.scope import LOST, Argument, Given, Group, Lost, Scope, TensorValue, brief
from netdsl.elaborate.strangers import (
    argument_help,
    object_help,
    op_help,
    surplus_help,
    value_help,
)
from netdsl.elaborate.values import FUNCTIONS, evaluate
from netdsl.errors import MeaningError, NetError, Problem
from netdsl.op import Op, Parameter, Registry
from netdsl.source import Span
from netdsl.syntax import ast

Made = TypeVar("Made", bound=Op)
Bound = dict[str, Argument]

LACKING = "E111"
"""The code of a call without an argument that it must have."""


def build(op: type[Made], args: Group, span: Span, scope: Scope, registry: Registry) -> Made:
    """An op from the arguments of a call."""
    bound = bind(op.name, op.parameters(), (args,), span, scope, op.synonyms)
    return make(op, bound, span, scope, registry)


def make(op: type[Made], bound: Bound, span: Span, scope: Scope, registry: Registry) -> Made:
    """An op from arguments that are bound to its parameters."""
    values: dict[str, Any] = {}
    wrong: list[NetError] = []
    lost = False
    for parameter in op.parameters():
        if argument := bound.get(parameter.name):
            try:
                value = argument_value(op.name, parameter, argument, scope, registry)
                values[parameter.name] = value
            except Lost:
                lost = True
            except NetError as error:
                error.help = _other(op, parameter, argument.value) or error.help
                wrong.append(error)
    if wrong:
        raise NetError.together(wrong)
    if lost:
        raise Lost
    try:
        return op(**values)
    except Problem as problem:
        place = bound[problem.argument].span if problem.argument in bound else span
        raise scope.error("E115", problem.message, place, problem.help) from problem


def _other(op: type[Op], parameter: Parameter, value: Any) -> str | None:
    """The parameter that a word belongs to, if it was given to another: ``conv(32, 3, same)``."""
    if not isinstance(value, Word):
        return None
    for other in op.parameters():
        with suppress(Problem, TypeError):
            if other != parameter and other.kind is not str and not _is_op(other.kind):
                accept(other.kind, value)
                return f"write {other.name}={value.name}"
    return None


def bind(
    called: str,
    parameters: Iterable[Parameter],
    groups: Iterable[Group],
    span: Span,
    scope: Scope,
    synonyms: Mapping[str, str] | None = None,
    advice: str | None = None,
    example: str = "",
) -> Bound:
    """Which argument goes to which parameter; later groups win over earlier ones: defaults.

    ``advice`` is the way out if one is missing; else it is the signature, and an ``example``.
    """
    parameters = tuple(parameters)
    names = [parameter.name for parameter in parameters]
    bound: Bound = {}
    for args in groups:
        wrong = [
            no_such(called, names, argument, scope, synonyms)
            for argument in args
            if argument.name and argument.name.text not in names
        ]
        if wrong:
            raise NetError.together(wrong)
        bound |= _bind_call(called, names, args, scope)
    missing = [p.name for p in parameters if p.required and p.name not in bound]
    if missing:
        signature = ", ".join(names[: names.index(missing[-1]) + 1])
        message = f"{called} needs {' and '.join(missing)}"
        help = advice or f"write {called}({signature}){example}"
        raise scope.error(LACKING, message, span, help)
    return bound


def _bind_call(called: str, names: list[str], args: Group, scope: Scope) -> Bound:
    """The arguments of one call by name. The parser saw to it that positional ones come first."""
    bound: Bound = {}
    for place, argument in enumerate(args):
        if argument.name is None:
            if place >= len(names):
                takes = ", ".join(names) if names else "nothing"
                message = f"{called} has too many arguments: it takes {takes}"
                help = surplus_help(called, names, argument.value, [a.value for a in args])
                raise scope.error("E112", message, argument.span, help)
            bound[names[place]] = argument
            continue
        name = argument.name.text
        if name in bound:
            help = f"{name} is {bound[name].span.text} already"
            message = f"{called} got {name} twice"
            raise scope.error("E113", message, argument.name.span, help)
        bound[name] = argument
    return bound


def no_such(
    called: str,
    names: list[str],
    argument: Argument,
    scope: Scope,
    synonyms: Mapping[str, str] | None,
) -> MeaningError:
    """The error for an argument that the called one does not have."""
    assert argument.name is not None
    help = argument_help(called, argument, names, synonyms)
    what = "key" if called == "train" else "parameter"
    message = f"{called} has no {what} '{argument.name.text}'"
    return scope.error("E110", message, argument.name.span, help)


def argument_value(
    called: str, parameter: Parameter, argument: Argument, scope: Scope, registry: Registry
) -> Any:
    """The argument as the parameter wants it; MeaningError E114 if it does not suit."""
    value, span = argument.value, argument.span
    try:
        return convert(parameter.kind, value, span, scope, registry)
    except Problem as problem:
        meant = value_help(called, parameter.name, parameter.kind is bool, argument)
        word = isinstance(value, Word) and value.name not in registry["layer"]
        python = word and value.name in ("True", "False", "None")
        if word and (python or not meant) and not takes_words(parameter.kind):
            raise scope.unknown(value.name, span) from problem
        message = f"{parameter.name} of {called} {problem.message}"
        help = meant or problem.help or _help(value, span, registry)
        raise scope.error("E114", message, span, help) from problem


def _help(value: Any, span: Span, registry: Registry) -> str | None:
    if isinstance(value, Word) and value.name in registry["layer"]:
        return f"a layer is a step of its own: write -> {value.name} after it"
    if isinstance(value, float) and "/" in span.text:
        return "the division leaves a rest; // rounds down"
    if isinstance(value, Given):
        return f"the functions are {', '.join(FUNCTIONS)}"
    return None


def takes_words(kind: Any) -> bool:
    """Whether a bare name can be meant: ``pad=same``, ``init=xavier``."""
    if get_origin(kind) in (Union, UnionType, tuple):
        return any(takes_words(inner) for inner in get_args(kind))
    if get_origin(kind) is Annotated:
        return str in get_args(get_args(kind)[0])
    return get_origin(kind) is Literal or _is_op(kind) or kind is str


def convert(kind: Any, value: Any, span: Span, scope: Scope, registry: Registry) -> Any:
    """A value as an argument of a kind; calls and words become ops where an op is wanted."""
    if get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
        if value is None:
            return None
        inner = [option for option in get_args(kind) if option is not NoneType]
        if len(inner) == 1:
            return convert(inner[0], value, span, scope, registry)
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            help = "leave it out" if value is None else f"write [{brief(value)}]"
            raise Problem(f"wants a list, not {brief(value)}", help=help)
        return tuple(convert(get_args(kind)[0], item, span, scope, registry) for item in value)
    if value is LOST:
        raise Lost
    if kind == Sizes and isinstance(value, TensorValue):
        return value.tensor.spatial  # crop(@u): a tensor stands for its sizes
    if not _is_op(kind):
        return accept(kind, value)
    if isinstance(value, Word):
        value = Given(value.name, (), span, scope)
    if not isinstance(value, Given):
        help = object_help(value, registry[kind.kind])
        raise Problem(f"wants {_article(kind.kind)}, not {brief(value)}", help)
    return build(named(kind.kind, value, scope, registry), value.args, value.span, scope, registry)


def named(kind: str, given: Given, scope: Scope, registry: Registry) -> type[Op]:
    """The op of a kind that a call names; MeaningError E116 if there is none."""
    known = registry[kind]
    if given.name not in known:
        at = re.search(rf"\b{given.name}\b", given.span.text)
        start = given.span.start + (at.start() if at else 0)
        span = given.span.source.span(start, start + len(given.name))
        help = op_help(given.name, known)
        if kind == "loss" and given.name in scope.labels:
            help = f"that is a tensor: write cross_entropy(@{given.name})"
        elif kind == "dataset" and help.startswith("there are"):
            help += "; other data are given to fit, from Python"
        raise scope.error("E116", f"no {kind} is called '{given.name}'", span, help)
    return known[given.name]


def parameters(
    called: str,
    params: tuple[ast.Param, ...],
    groups: Iterable[Group],
    span: Span,
    inner: Scope,
    outer: Scope,
    advice: str | None = None,
) -> None:
    """Give the parameters of a block or a net their values, defaults last, in ``inner``."""
    formal = [Parameter(p.name.text, Any, MISSING if p.default is None else None) for p in params]
    bound = bind(called, formal, groups, span, outer, advice=advice)
    for param in params:
        name = param.name.text
        if name in bound:
            inner.names[name] = bound[name].value
        else:
            assert param.default is not None
            inner.names[name] = evaluate(param.default, inner)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _is_op(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Op)
