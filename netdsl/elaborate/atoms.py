"""The steps that are more than a name: calls, joins of branches, and connections with a body."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from netdsl.arguments import Word
from netdsl.elaborate.build import parameters
from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Atom, Network
from netdsl.elaborate.nodes import Place
from netdsl.elaborate.scope import (
    LOST,
    BlockName,
    BodyValue,
    Given,
    Group,
    Lost,
    Scope,
    SharedValue,
    TensorValue,
    brief,
)
from netdsl.elaborate.strangers import no_wrap
from netdsl.elaborate.values import arguments
from netdsl.errors import Frame
from netdsl.ir import Region
from netdsl.syntax import ast


def call(
    network: Network,
    call: ast.Call,
    current: TensorValue,
    scope: Scope,
    names: Names,
    label: ast.Name | None,
) -> TensorValue | None:
    """A layer, a block, or what a name holds: either of them, a body, something shared."""
    _, value = scope.find(call.name.text)
    if value is LOST:
        raise Lost
    if isinstance(value, (BodyValue, SharedValue)):
        return _held(network, value, call, current, scope, names)
    target = value.name if isinstance(value, (Word, Given)) else call.name.text
    home = value.home if isinstance(value, (Given, BlockName)) else scope
    found, layer = home.blocks.get(target), network.layers.get(target)
    if found is None and layer is None:
        raise network.no_layer(call.name, scope, call, current)
    if layer and layer.join:
        branches = ", ".join(arg.value.span.text.strip("[]") for arg in call.args)
        help = f"write {target} [ {branches or 'a, b'} ]"
        raise scope.error("E132", f"{target} joins branches", call.span, help)
    given = (value.args,) if isinstance(value, Given) else ()
    args = (*scope.default(target), *given, arguments(call.args, scope))
    if found:
        return _block(network, found, call, args, current, scope, names, label)
    return network.layer(target, args, (current,), Place(call.span, scope, names, label))


def _held(
    network: Network,
    value: BodyValue | SharedValue,
    call: ast.Call,
    current: TensorValue,
    scope: Scope,
    names: Names,
) -> TensorValue | None:
    """What a name holds: a body that was an argument, or a pipe that is shared."""
    if call.args:
        what = "a body" if isinstance(value, BodyValue) else "shared"
        message = f"{call.name.text} is {what}, and takes no arguments"
        first = call.args[0].value
        given = f"{first.span.text} -> " if isinstance(first, ast.TensorRef) else ""
        raise scope.error("E112", message, call.span, f"write {given}{call.name.text}")
    inner = value.scope.inner()
    inner.frames = scope.frames
    if isinstance(value, BodyValue):
        return network.body(value.body, current, inner, names)
    inner.frames = (*scope.frames, Frame(str(value), call.span))
    inner.labels = ChainMap({}, inner.labels)
    inner.entering = current
    region = Region(value.name, value.name, call.span)
    names = names.inner(region, network.reserved(value.pipe))
    names.twin = value.first or names.twin
    with network.deeper(call.span, inner):
        made = network.pipe(value.pipe, current, inner, names)
    if made is not LOST:
        value.first = names.twin or names.path
    return made


def _block(
    network: Network,
    found: tuple[ast.Block, Scope],
    call: ast.Call,
    args: tuple[Group, ...],
    current: TensorValue,
    scope: Scope,
    names: Names,
    label: ast.Name | None,
) -> TensorValue:
    """A block: its body, with its parameters in scope and names of its own."""
    block, home = found
    name = block.name.text
    inner = scope.called(home, current)
    parameters(name, block.params, args, call.span, inner, scope)
    if network.dry:
        return LOST
    scope.spend(call.span, 7)  # to enter a block is the work of some steps
    shown = ", ".join(f"{key}={brief(value)}" for key, value in inner.names.items())
    shown = f"{name}({shown})" if shown else name
    inner.frames = (*scope.frames, Frame(f"block {shown}", call.span))
    region = Region(name, shown, call.span, label.text if label else "")
    reserved = network.reserved(block.body)
    return network.inside(block.body, current, inner, names.inner(region, reserved))


def merge(
    network: Network,
    merge: ast.Merge,
    current: TensorValue,
    scope: Scope,
    names: Names,
    label: ast.Name | None,
) -> TensorValue:
    """``concat [ a, b ]``: every branch gets the same, a join takes them all."""
    name, span = merge.name.text, merge.name.span
    layer = network.layers.get(name)
    if layer is None and name not in scope.blocks:
        raise network.no_layer(merge.name, scope)
    if layer is None or not layer.join:
        joins = ", ".join(sorted(known for known, op in network.layers.items() if op.join))
        message = f"{name} takes one input and cannot join branches"
        raise scope.error("E132", message, span, f"joins are {joins}")
    with network.deeper(span, scope):
        branches = [
            network.entering(network.pipe(branch, current, scope.inner(), names), span, scope)
            for branch in merge.branches
        ]
    args = (*scope.default(name), arguments(merge.args, scope))
    return network.layer(name, args, tuple(branches), Place(span, scope, names, label))


def wrap(
    network: Network,
    wrap: ast.Wrap,
    current: TensorValue,
    scope: Scope,
    names: Names,
    label: ast.Name | None,
) -> TensorValue:
    """``residual { }`` and its like."""
    connection = network.connections.get(wrap.name.text)
    if connection is None:
        raise no_wrap(wrap.name, scope, network.layers, network.connections)
    given = ", ".join(arg.span.text for arg in wrap.args)
    shown = f"{wrap.name.text}({given})" if given else wrap.name.text
    region = Region(wrap.name.text, shown, wrap.name.span, label.text if label else "")
    return connection(network, wrap, current, scope, names.inner(region))


ATOMS: Mapping[type[ast.Atom], Atom] = {ast.Call: call, ast.Merge: merge, ast.Wrap: wrap}
