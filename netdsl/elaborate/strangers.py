"""What people who know other systems write, and what to write here: the helps of messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netdsl.arguments import Word
from netdsl.elaborate.foreign import (
    ABSENT,
    ARGUMENTS,
    CONNECTIONS,
    KEYS,
    LAYERS,
    OPS,
    STEPS,
    VALUES,
)
from netdsl.elaborate.mistakes import walk
from netdsl.elaborate.scope import LOST, Argument, Scope, TensorValue, brief
from netdsl.elaborate.translation import ACTIVATIONS, translated
from netdsl.errors import MeaningError, nearest
from netdsl.op import Layer
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import Tensor

LABELS = {"label", "labels", "target", "targets", "y", "y_true", "y_train", "truth"}
"""What people call the labels of the data."""


def plain(name: str) -> str:
    """A name as the tables have it: small letters, no underscores."""
    return name.lower().replace("_", "")


# ---- steps -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stranger:
    """A step of an unknown name: the call as it stands, and what enters it, if that is known."""

    name: ast.Name
    call: ast.Call | None = None
    entering: TensorValue | None = None


def layer_help(stranger: Stranger, layers: Mapping[str, type[Layer]], scope: Scope) -> str | None:
    """What a step of an unknown name may have meant."""
    whole = plain(stranger.name.text)
    short = whole
    for dimension in ("1d", "2d", "3d"):
        short = short.removesuffix(dimension)
    if whole in ("dropout1d", "dropout2d", "dropout3d"):
        short = "spatialdropout"
    if short in STEPS:
        return _here(STEPS[short], stranger, scope)
    ours = {plain(other): other for other in (*layers, *scope.blocks) if other != "input"}
    near = ours.get(short) or LAYERS.get(short)
    line = (
        translated(stranger.call, layers[near])
        if stranger.call and near and near in layers
        else None
    )
    if line:
        return f"write {line}"
    if near == "global_avgpool" and stranger.call and stranger.call.args:
        return "global_avgpool makes one number of each channel; else avgpool takes a window"
    if near:
        return f"did you mean '{near}'?"
    return nearest(stranger.name.text, ours.values())


def _here(help: str, stranger: Stranger, scope: Scope) -> str:
    """In a net no ``in`` is to be had: the number of channels stands for it."""
    entering = stranger.entering
    if scope.entering is None and entering not in (None, LOST) and entering.tensor.dims:
        return help.replace("in.c", str(entering.tensor.channels))
    return help


def no_layer(
    stranger: Stranger,
    scope: Scope,
    layers: Mapping[str, type[Layer]],
    connections: Collection[str],
    nets: Collection[str],
) -> MeaningError:
    """The error for a name that is neither a layer nor a block."""
    name = stranger.name
    text = name.text
    if text in connections:
        help = f"write {stranger.call.span.text if stranger.call else text} {{ ... }}"
        return scope.error("E133", f"{text} takes a body in braces", name.span, help)
    help = layer_help(stranger, layers, scope)
    help = help or f"there are {', '.join(sorted({*layers, *scope.blocks} - {'input'}))}"
    found, value = scope.find(text)
    if text in scope.labels or isinstance(value, TensorValue):
        help = f"write @{text} for the tensor of that name"
    elif found:
        help = f"here it is {brief(value)}"
        if isinstance(value, str) and value in layers:
            help = f"a name stands without quotes: let {text} = {value}"
    elif text in nets:
        help = "that is a net, with inputs of its own: a step is a layer or a block"
    return scope.error("E130", f"no layer or block is called '{text}'", name.span, help)


def no_wrap(
    name: ast.Name, scope: Scope, layers: Mapping[str, type[Layer]], connections: Collection[str]
) -> MeaningError:
    """The error for a step of an unknown kind, with a body in braces."""
    short = LAYERS.get(plain(name.text), plain(name.text))
    help = nearest(name.text, connections) or STEPS.get(short)
    if short in layers and layers[short].join:
        help = f"branches stand between brackets: {short} [ a, b ]"
    message = f"'{name.text}' does not take a body in braces"
    help = help or f"these do: {', '.join(connections)}"
    return scope.error("E133", message, name.span, help)


# ---- ops of recipes ----------------------------------------------------------------------------


def op_help(name: str, known: Iterable[str]) -> str:
    """What an optimizer, a loss … of an unknown name may have meant."""
    known = list(known)
    listed = f"there are {', '.join(sorted(known))}"
    short = plain(name)
    if short in ABSENT:
        return ABSENT[short] or listed
    ours = {plain(other): other for other in known}
    near = ours.get(short) or OPS.get(short) or ours.get(short.rstrip("0123456789"))
    if near and near.partition("(")[0] in known and near.endswith(")"):
        return f"write {near}"
    if near in known:
        number = short.removeprefix(plain(near))
        return f"write {near}({number})" if number.isdigit() else f"did you mean '{near}'?"
    return nearest(name.lower(), known) or listed


def object_help(value: Any, known: Iterable[str]) -> str:
    """The way out where an optimizer, a loss … is wanted, and something else is given."""
    known = list(known)
    if isinstance(value, str):
        if value in known:
            return f"a name stands without quotes: {value}"
        return op_help(value, known)
    if isinstance(value, list) and len(value) == 1:
        return f"it is one, and no list: {brief(value[0])}"
    return f"there are {', '.join(sorted(known))}"


# ---- arguments ---------------------------------------------------------------------------------


def argument_help(
    called: str, argument: Argument, known: list[str], synonyms: Mapping[str, str] | None
) -> str:
    """What an argument of an unknown name may have meant; ``synonyms`` are None for a block."""
    assert argument.name is not None
    name, value = argument.name.text, argument.value
    listed = f"it has {', '.join(known)}"
    if synonyms is None:
        connected = CONNECTIONS.get(name) if called in ("residual", "dense_block") else None
        return connected or nearest(name, known) or listed
    if name in synonyms:
        return _renamed(synonyms[name], argument, known)
    if name in ("activation", "act"):
        return _activation(called, value)
    if name == "keep_prob" and "p" in known:
        return _left_out(value)
    table = KEYS if called == "train" else ARGUMENTS
    if name.lower() in table:
        help = table[name.lower()]
        return help.replace("lstm(", f"{called}(") if called in ("gru", "rnn") else help
    if not known:
        return f"it has no parameters: write {called}"
    return nearest(name, known) or listed


def _left_out(kept: Any) -> str:
    """What ``p`` is where a call says how much is kept."""
    number = isinstance(kept, (int, float)) and not isinstance(kept, bool) and 0 < kept <= 1
    part = "p is the part that is left out"
    return f"{part}: p={1 - kept:.12g}" if number else f"{part}: p = 1 - keep_prob"


def _renamed(ours: str, argument: Argument, known: list[str]) -> str:
    """The right name of an argument, with its value where that is written otherwise too."""
    if ours not in known:
        return f"that would be {ours}, which is not supported yet: leave it out"
    value = str(argument.value) if isinstance(argument.value, (Word, str)) else argument.value
    if ours == "pad" and value == "valid":
        return "that is no padding: leave it out"
    if value in ("True", "False"):
        value = value == "True"
        if ours not in VALUES:
            return f"write {ours}={brief(value)}"
    other = VALUES.get(ours, {}).get(value) if isinstance(value, (str, bool)) else None
    return f"write {ours}={other}" if other else f"did you mean '{ours}'?"


def _activation(called: str, value: Any) -> str:
    """How an activation is written that was an argument."""
    if called in ("lstm", "gru"):
        return "its activations are sigmoid and tanh: leave it out"
    name = str(value).lower() if isinstance(value, (Word, str)) else ""
    if name in ("linear", "none"):
        return "no activation is nothing: leave it out"
    name = LAYERS.get(plain(name), name)
    name = name if name in ACTIVATIONS else "relu"
    return f"an activation is a step of its own: write -> {name} after it"


def value_help(called: str, parameter: str, boolean: bool, argument: Argument) -> str | None:
    """What a value that does not suit may have meant."""
    value = str(argument.value) if isinstance(argument.value, Word) else argument.value
    number = isinstance(value, int) and not isinstance(value, bool)
    if argument.name is None and number and called in ("dense", "lstm", "gru", "rnn"):
        return f"what enters is known: write {called}({value})"
    if boolean and value in (0, 1, None, "true", "false", "True", "False"):
        right = value in (1, "true", "True")
        return f"write {parameter}={brief(right)}"
    if isinstance(value, str) and value.lower() in ACTIVATIONS:
        return f"a layer is a step of its own: write -> {value.lower()} after it"
    if called == "upconv" and value in ("same", "valid"):
        return "its pad is a number, how much is cut off: upconv(64, 2, stride=2) doubles the sizes"
    hashed = isinstance(value, (str, bool))
    other = VALUES.get(parameter, {}).get(value) if hashed else None
    return f"write {parameter}={other}" if other else None


def surplus_help(called: str, names: list[str], extra: Any, given: list[Any]) -> str | None:
    """What an argument too many may have meant."""
    whole = [value for value in given if isinstance(value, int)]
    if called == "input" and len(whole) >= 2:
        return f"write the sizes as one: {'x'.join(map(str, whole))}"
    if isinstance(extra, TensorValue):
        return f"what enters stands before the step: @{extra.node} -> {called}"
    if isinstance(extra, Word):
        return f"what enters stands before the step: @{extra.name} -> {called}"
    return None if names else f"write {called}"


def told_help(called: str, bound: Mapping[str, Argument], x: Tensor) -> str | None:
    """The right call where the channels that enter stand first: ``conv(3, 64, 3)``."""
    first, second, third = (bound.get(name) for name in ("channels", "window", "stride"))
    if called not in ("conv", "upconv") or not (first and second and third):
        return None
    named = any(argument.name for argument in (first, second, third))
    if named or [first.value] != [*x.dims[:1]] or not isinstance(second.value, int):
        return None
    return f"{called}({second.span.text}, {third.span.text})"


def habit(called: str, bound: Mapping[str, Argument], x: Tensor, fed: bool) -> str | None:
    """A warning where a layer that is legal seems to be meant otherwise; ``fed`` by an input."""
    meant = told_help(called, bound, x)
    window, stride = (bound[name].value if meant else 0 for name in ("window", "stride"))
    if meant and window >= 6 and (window > 11 or stride in (3, 5, 7)):
        return f"{called} makes {x.channels} channels with a window of {window}: is it {meant}?"
    square = len(x.dims) == 2 and x.dims[0] == x.dims[1]
    if fed and square and called in ("conv", "maxpool", "avgpool"):
        return f"{x} is {x.channels} channels of {x.channels} places: is it 1x{x}?"
    return None


# ---- tensors -----------------------------------------------------------------------------------


def tensor_help(name: str, span: Span, scope: Scope) -> str:
    """What ``@name`` may have meant where no tensor of that name is to be had."""
    file = scope.root.file
    for item in file.items if file and file.span.source is span.source else ():
        steps = (tree for tree in walk(item) if isinstance(tree, ast.Step) and tree.label)
        found = next((step.label for step in steps if step.label and step.label.text == name), None)
        if found and item.span.start <= span.start < item.span.end:
            return f"line {found.span.line} names it, which comes later: put that step before this"
        if found and isinstance(item, ast.Block):
            block = item.name.text
            return (
                f"it is inside of block {block}: name what the block gives, {block}(...) as {name}"
            )
    return nearest(name, scope.labels) or f"name a tensor with: step as {name}"
