"""Calls to ops: arguments bound to parameters, checked by kind, with errors at their places."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from netdsl.arguments import Word, accept, spell
from netdsl.elaborate.values import Argument, Given, Scope, unknown
from netdsl.errors import MeaningError, Problem, nearest
from netdsl.op import Op, Parameter, Registry
from netdsl.source import Span

Built = TypeVar("Built", bound=Op)


def build(
    op: type[Built],
    args: Iterable[Argument],
    span: Span,
    scope: Scope,
    registry: Registry,
    called: str | None = None,
) -> Built:
    """An op from the arguments of a call; ``called`` is its name in messages."""
    called = called or op.name
    given = bind(called, op.parameters(), tuple(args), span, scope, op.synonyms)
    values: dict[str, Any] = {}
    for parameter in op.parameters():
        argument = given.get(parameter.name)
        if argument is not None:
            values[parameter.name] = _convert(called, parameter, argument, scope, registry)
    try:
        return op(**values)
    except Problem as problem:
        place = given[problem.argument].span if problem.argument in given else span
        message = problem.message
        raise scope.error("E115", message, place, problem.help) from problem


def bind(
    called: str,
    parameters: Iterable[Parameter],
    args: tuple[Argument, ...],
    span: Span,
    scope: Scope,
    synonyms: dict[str, str] | None = None,
) -> dict[str, Argument]:
    """Which argument goes to which parameter. Later ones win: defaults come first."""
    names = [parameter.name for parameter in parameters]
    given: dict[str, Argument] = {}
    place = 0
    for argument in args:
        if argument.name is None:
            if place >= len(names):
                raise _too_many(called, names, argument, scope)
            given[names[place]] = argument
            place += 1
        elif argument.name.text not in names:
            raise _no_such(called, names, argument, scope, synonyms or {})
        elif argument.name.text in names[:place]:
            message = f"{called} got {argument.name.text} twice"
            raise scope.error("E113", message, argument.span)
        else:
            given[argument.name.text] = argument
    missing = [p.name for p in parameters if p.required and p.name not in given]
    if missing:
        signature = ", ".join(names[: names.index(missing[-1]) + 1])
        message = f"{called} needs {' and '.join(missing)}"
        raise scope.error("E111", message, span, f"write {called}({signature})")
    return given


def _too_many(called: str, names: list[str], argument: Argument, scope: Scope) -> MeaningError:
    takes = ", ".join(names) if names else "nothing"
    message = f"{called} has too many arguments: it takes {takes}"
    return scope.error("E112", message, argument.span)


def _no_such(
    called: str, names: list[str], argument: Argument, scope: Scope, synonyms: dict[str, str]
) -> MeaningError:
    assert argument.name is not None
    wrong = argument.name.text
    known = synonyms.get(wrong)
    help = f"did you mean '{known}'?" if known else nearest(wrong, names)
    if help is None:
        help = f"it has {', '.join(names)}" if names else "it has no parameters"
    return scope.error("E110", f"{called} has no parameter '{wrong}'", argument.name.span, help)


def _convert(
    called: str, parameter: Parameter, argument: Argument, scope: Scope, registry: Registry
) -> Any:
    """The argument as the parameter wants it."""
    try:
        return convert(parameter.kind, argument.value, argument.span, scope, registry)
    except Problem as problem:
        span = argument.span
        value = argument.value
        if isinstance(value, Word) and not takes_words(parameter.kind):
            raise unknown(value.name, span, scope) from problem
        help = problem.help
        if isinstance(value, float) and "whole number" in problem.message:
            help = "a division leaves a rest; // rounds down"
        raise scope.error(
            "E114", f"{parameter.name} of {called} {problem.message}", span, help
        ) from problem


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
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        return tuple(convert(get_args(kind)[0], item, span, scope, registry) for item in value)
    if not _is_op(kind):
        return accept(kind, value)
    if isinstance(value, kind):
        return value
    if isinstance(value, Word):
        value = Given(value.name, (), span)
    if not isinstance(value, Given):
        raise Problem(f"wants {article(kind.kind)}, not {spell(value)}")
    known = registry[kind.kind]
    if value.name not in known:
        help = nearest(value.name, known) or f"there are {', '.join(sorted(known))}"
        message = f"no {kind.kind} is called '{value.name}'"
        raise scope.error("E116", message, value.span, help)
    return build(known[value.name], value.args, value.span, scope, registry)


def article(noun: str) -> str:
    """``an optimizer``."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _is_op(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Op)
