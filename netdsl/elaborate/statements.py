"""The statements of a body besides its pipes, each carried out by a function."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.elaborate.build import argument_value, no_such
from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Network, Statement
from netdsl.elaborate.nodes import Place
from netdsl.elaborate.scope import LOST, Group, Scope, SharedValue, TensorValue
from netdsl.elaborate.values import arguments, evaluate, tensor
from netdsl.syntax import ast


def input_(
    network: Network, made: ast.Input, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``input image(3x224x224)``: where data comes in."""
    value = LOST
    with network.mistakes.apart():
        if names.path:
            message = "an input stands in a net, not in a block"
            raise scope.error("E120", message, made.span, "a block gets what enters it")
        if names.repeats:
            message = "an input stands once, outside of repeats and loops"
            raise scope.error("E120", message, made.span, "write one input line for each")
        network.check_label(made.name, scope)
        args = (arguments(made.args, scope),)
        value = network.layer("input", args, (), Place(made.span, scope, names, made.name))
    value = LOST if network.dry else value
    scope.labels.setdefault(made.name.text, (value, made.name.span))
    return value


def output(
    network: Network, given: ast.Output, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``output a, b``: what the network gives."""
    for name in given.names:
        with network.mistakes.apart():
            if names.path:
                message = "an output stands in a net, not in a block"
                help = "a block gives its last tensor"
                raise scope.error("E120", message, given.span, help)
            _output(network, name, scope)
    return current


def _output(network: Network, name: ast.Name, scope: Scope) -> None:
    value = tensor(name.text, name.span, scope)
    if value is LOST:
        return
    if value.node in network.outputs:
        message = (
            f"'{name.text}' already is an output (line {network.outputs[value.node].span.line})"
        )
        raise scope.error("E128", message, name.span)
    if network.nodes.made[value.node].side:
        message = f"'{name.text}' belongs to a side head, which only training computes"
        raise scope.error("E129", message, name.span, "take the word 'side' away")
    network.outputs[value.node] = name


def let(
    network: Network, given: ast.Let, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``let n = 3``: a name for a value, to the end of the braces."""
    value = LOST
    with network.mistakes.apart():
        value = evaluate(given.value, scope)
    scope.names[given.name.text] = value
    return current


def default(
    network: Network, given: ast.Default, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``default conv(pad=same)``: from here to the end of the braces."""
    found: list[Group] = []
    with network.mistakes.apart():
        found.append(_default(network, given, scope))
    name = given.name.text
    before = scope.defaults.get(name, ())
    scope.defaults[name] = _merged(before, *found) if found and before is not None else None
    return current


def _merged(before: Group, group: Group) -> Group:
    """Two defaults of one name as one: the later wins."""
    said = {argument.name.text for argument in group if argument.name}
    kept = (argument for argument in before if argument.name and argument.name.text not in said)
    return (*kept, *group)


def _default(network: Network, given: ast.Default, scope: Scope) -> Group:
    """What the calls of a name take from now on, unless they say otherwise."""
    name = given.name
    synonyms: dict[str, str] | None = None
    if name.text in scope.blocks:
        known = [param.name.text for param in scope.blocks[name.text][0].params]
    elif name.text in network.layers:
        known = [parameter.name for parameter in network.layers[name.text].parameters()]
        synonyms = network.layers[name.text].synonyms
    elif name.text in network.connections:
        message = f"{name.text} takes no defaults"
        raise scope.error("E122", message, name.span, "write its arguments where it stands")
    else:
        raise network.no_layer(name, scope)
    group = arguments(given.args, scope)
    for argument in group:
        if argument.name is None:
            help = f"write {known[0]}={argument.span.text}" if known else None
            raise scope.error("E122", "a default names its parameters", argument.span, help)
        if argument.name.text not in known:
            raise no_such(name.text, known, argument, scope, synonyms)
    _check_default(network, name.text, group, scope)
    return group


def _check_default(network: Network, name: str, group: Group, scope: Scope) -> None:
    """The values suit a layer's parameters, though nothing may ever use them."""
    if name in scope.blocks:
        return
    formal = {parameter.name: parameter for parameter in network.layers[name].parameters()}
    for argument in group:
        assert argument.name is not None
        argument_value(name, formal[argument.name.text], argument, scope, network.registry)


def shared(
    network: Network, given: ast.Shared, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``shared tower = conv(20, 5) -> relu``: the same weights wherever it is a step."""
    scope.names[given.name.text] = SharedValue(given.name.text, given.pipe, scope)
    return current


def side(
    network: Network, given: ast.Side, current: TensorValue | None, scope: Scope, names: Names
) -> TensorValue | None:
    """``side aux(10) as aux1``: a head that only training computes; the main flow goes on."""
    outside, network.nodes.side = network.nodes.side, True
    try:
        network.pipe(given.pipe, current, scope, names)
    finally:
        network.nodes.side = outside
    return current


STATEMENTS: Mapping[type[ast.Statement], Statement] = {
    ast.Input: input_, ast.Output: output, ast.Let: let, ast.Default: default,
    ast.Shared: shared, ast.Side: side,
}  # fmt: skip
