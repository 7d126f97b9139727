"""The statements of a network, carried out: every step becomes nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from netdsl.arguments import Word
from netdsl.elaborate.build import bind, make, no_such, parameters
from netdsl.elaborate.nodes import Names, Nodes, Place
from netdsl.elaborate.scope import (
    MOST_STEPS,
    BodyValue,
    Given,
    Group,
    Scope,
    TensorValue,
    brief,
    known,
)
from netdsl.elaborate.strangers import layer_help
from netdsl.elaborate.values import arguments, evaluate, tensor, truth
from netdsl.errors import Frame, NetError, nearest
from netdsl.ir import Region
from netdsl.op import Layer, Registry
from netdsl.source import Span
from netdsl.syntax import ast

DEEPEST = 64
"""How deep blocks and braces may nest when they are carried out."""

Connection = Callable[["Network", ast.Wrap, TensorValue, Scope, Names], TensorValue]
"""A step with a body of its own, such as ``residual { }``."""


class Network:
    """A network in the making: the rules by which statements and steps add to its nodes."""

    def __init__(
        self,
        blocks: dict[str, ast.Block],
        connections: Mapping[str, Connection],
        registry: Registry,
    ) -> None:
        self.blocks = blocks
        self.connections = connections
        self.registry = registry
        self.layers: dict[str, type[Layer]] = registry["layer"]  # type: ignore[assignment]
        self.nodes = Nodes()
        self.outputs: dict[str, Span] = {}
        self.depth = 0

    # ---- statements ------------------------------------------------------------

    def body(
        self, body: ast.Body, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """Carry out the statements of a body in series."""
        if self.depth >= DEEPEST:
            message = f"blocks and braces go more than {DEEPEST} deep"
            place = scope.frames[-1].call if scope.frames else body.span
            raise scope.error("E131", message, place, "does the recursion end?")
        self.depth += 1
        scope = scope.inner()
        for statement in body.statements:
            current = self.statement(statement, current, scope, names)
        self.depth -= 1
        return current

    def inside(
        self, body: ast.Body, current: TensorValue, scope: Scope, names: Names
    ) -> TensorValue:
        """The same where something enters, and so something comes out."""
        made = self.body(body, current, scope, names)
        assert made is not None
        return made

    def statement(
        self, statement: ast.Statement, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """Carry out one statement; returns what goes on."""
        match statement:
            case ast.Pipe():
                return self.pipe(statement, current, scope, names)
            case ast.Input():
                return self.input(statement, scope, names)
            case ast.Let(name=name, value=value):
                scope.names[name.text] = evaluate(value, scope)
            case ast.Default(name=name, args=args):
                self.default(name, args, scope)
            case ast.Output():
                self.output(statement, scope, names)
            case ast.Shared() | ast.Side():
                raise scope.later(statement)
        return current

    def input(self, statement: ast.Input, scope: Scope, names: Names) -> TensorValue:
        """``input image(3x224x224)``: where data comes in."""
        if names.path:
            message = "an input stands in a net, not in a block"
            raise scope.error("E120", message, statement.span, "a block gets what enters it")
        self.check_label(statement.name, scope)
        args = (arguments(statement.args, scope),)
        place = Place(statement.span, scope, names, statement.name)
        value = self.layer("input", args, (), place)
        scope.labels[statement.name.text] = (value, statement.name.span)
        return value

    def output(self, statement: ast.Output, scope: Scope, names: Names) -> None:
        """``output a, b``: what the network gives."""
        if names.path:
            message = "an output stands in a net, not in a block"
            raise scope.error("E120", message, statement.span, "a block gives its last tensor")
        for name in statement.names:
            node = tensor(name.text, name.span, scope).node
            if node in self.outputs:
                message = f"'{name.text}' already is an output (line {self.outputs[node].line})"
                raise scope.error("E128", message, name.span)
            self.outputs[node] = name.span

    def default(self, name: ast.Name, args: tuple[ast.Arg, ...], scope: Scope) -> None:
        """``default conv(pad=same)``: from here to the end of the braces."""
        synonyms: dict[str, str] = {}
        if name.text in self.blocks:
            names = [param.name.text for param in self.blocks[name.text].params]
        elif name.text in self.layers:
            names = [parameter.name for parameter in self.layers[name.text].parameters()]
            synonyms = self.layers[name.text].synonyms
        elif name.text in self.connections:
            message = f"{name.text} takes no defaults"
            raise scope.error("E122", message, name.span, "write its arguments where it stands")
        else:
            raise no_layer(name, scope, self)
        given = arguments(args, scope)
        for argument in given:
            if argument.name is None:
                help = f"write {names[0]}={argument.span.text}" if names else None
                raise scope.error("E122", "a default names its parameters", argument.span, help)
            if argument.name.text not in names:
                raise no_such(name.text, names, argument.name, scope, synonyms)
        scope.defaults[name.text] = (*scope.defaults.get(name.text, ()), given)

    def label(self, name: ast.Name, value: TensorValue, scope: Scope) -> None:
        """``as x``: the same ``as`` may name a tensor again (in a repeat), another may not."""
        self.check_label(name, scope)
        scope.labels[name.text] = (value, name.span)

    def check_label(self, name: ast.Name, scope: Scope) -> None:
        """MeaningError E123 if another tensor has that name."""
        earlier = scope.labels.get(name.text)
        if earlier and earlier[1] != name.span:
            message = f"a tensor is already called '{name.text}' (line {earlier[1].line})"
            raise scope.error("E123", message, name.span, "choose another name")

    # ---- steps -----------------------------------------------------------------

    def pipe(
        self, pipe: ast.Pipe, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """Steps in series."""
        for step in pipe.steps:
            current = self.step(step, current, scope, names)
        return current

    def step(
        self, step: ast.Step, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """An atom, repeated, its output named."""
        count = 1 if step.count is None else self.count(step.count, scope)
        label = step.label if step.count is None else None
        for _ in range(count):
            scope.spend(step.span)
            current = self.atom(step.atom, current, scope, names, label)
        if step.label:
            self.label(step.label, self.entering(current, step.span, scope), scope)
        return current

    def count(self, expr: ast.Expr, scope: Scope) -> int:
        """How often a step is repeated."""
        value = known(evaluate(expr, scope), expr.span, scope)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            message = f"a repeat wants a whole number from 0 on, not {brief(value)}"
            help = "the division leaves a rest; // rounds down" if "/" in expr.span.text else None
            raise scope.error("E125", message, expr.span, help)
        if value > MOST_STEPS:
            message = f"a repeat of {value:,}; at most {MOST_STEPS:,} steps are possible"
            raise scope.error("E124", message, expr.span, "repeat less often")
        return value

    def atom(
        self,
        atom: ast.Atom,
        current: TensorValue | None,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue | None:
        """One step, once."""
        match atom:
            case ast.Call():
                entering = self.entering(current, atom.span, scope)
                return self.call(atom, entering, scope, names, label)
            case ast.Merge():
                entering = self.entering(current, atom.name.span, scope)
                return self.merge(atom, entering, scope, names, label)
            case ast.Wrap():
                entering = self.entering(current, atom.name.span, scope)
                return self.wrap(atom, entering, scope, names, label)
            case ast.Ref(name=name):
                return tensor(name, atom.span, scope)
            case ast.Body():
                return self.body(atom, current, scope, names)
            case ast.If(condition=condition, then=then, otherwise=otherwise):
                chosen = then if truth(condition, scope) else otherwise
                return current if chosen is None else self.body(chosen, current, scope, names)
            case ast.For():
                return self.loop(atom, current, scope, names)

    def loop(
        self, loop: ast.For, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """``for a, b in list { }``."""
        values = known(evaluate(loop.values, scope), loop.values.span, scope)
        if not isinstance(values, (list, tuple)):
            message = f"for goes through a list, not {brief(values)}"
            raise scope.error("E126", message, loop.values.span, "write [64, 128] or 1..n")
        for value in values:
            items = (value,) if len(loop.names) == 1 else value
            if not isinstance(items, (list, tuple)) or len(items) != len(loop.names):
                message = f"{len(loop.names)} names for {brief(value)}"
                help = "every item needs as many values: [(64, 1), (128, 2)]"
                raise scope.error("E126", message, loop.values.span, help)
            scope.spend(loop.values.span)
            inner = scope.inner()
            inner.names |= {name.text: item for name, item in zip(loop.names, items, strict=True)}
            current = self.body(loop.body, current, inner, names)
        return current

    def entering(self, current: TensorValue | None, span: Span, scope: Scope) -> TensorValue:
        """What enters a step; an error if nothing does."""
        if current is None:
            help = "begin the net with: input image(1x28x28)"
            raise scope.error("E127", "nothing enters this step", span, help)
        return current

    def call(
        self,
        call: ast.Call,
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue | None:
        """A layer, a block, or what a parameter of that name holds: either of them, or a body."""
        _, value = scope.find(call.name.text)
        if isinstance(value, BodyValue):
            if call.args:
                message = f"{call.name.text} is a body, and takes no arguments"
                raise scope.error("E112", message, call.span)
            inner = value.scope.inner()
            inner.frames = scope.frames
            return self.body(value.body, current, inner, names)
        target = value.name if isinstance(value, (Word, Given)) else call.name.text
        held: tuple[Group, ...] = (value.args,) if isinstance(value, Given) else ()
        args = (*scope.default(target), *held, arguments(call.args, scope))
        if target in self.blocks:
            return self.block(self.blocks[target], call, args, current, scope, names, label)
        layer = self.layers.get(target)
        if layer is None:
            raise no_layer(call.name, scope, self)
        if layer.join:
            branches = ", ".join(arg.value.span.text.strip("[]") for arg in call.args)
            help = f"write {target} [ {branches or 'a, b'} ]"
            raise scope.error("E132", f"{target} joins branches", call.span, help)
        return self.layer(target, args, (current,), Place(call.span, scope, names, label))

    def layer(
        self, name: str, args: tuple[Group, ...], inputs: tuple[TensorValue, ...], at: Place
    ) -> TensorValue:
        """Add a layer: groups of arguments, the later ones winning, over what enters."""
        op = self.layers[name]
        bound = bind(name, op.parameters(), args, at.span, at.scope, op.synonyms)
        made = make(op, bound, at.span, at.scope, self.registry)
        return self.nodes.add(made, inputs, replace(at, bound=bound))

    def block(
        self,
        block: ast.Block,
        call: ast.Call,
        args: tuple[Group, ...],
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue:
        """A block: its body, with its parameters in scope and names of its own."""
        name = block.name.text
        inner = scope.called(current)
        parameters(name, block.params, args, call.span, inner, scope)
        shown = ", ".join(f"{key}={brief(value)}" for key, value in inner.names.items())
        shown = f"{name}({shown})" if shown else name
        inner.frames = (*scope.frames, Frame(f"block {shown}", call.span))
        region = Region(name, shown, call.span, label.text if label else "")
        return self.inside(block.body, current, inner, names.inner(region))

    def merge(
        self,
        merge: ast.Merge,
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue:
        """``concat [ a, b ]``: every branch gets the same, a join takes them all."""
        name, span = merge.name.text, merge.name.span
        layer = self.layers.get(name)
        if layer is None and name not in self.blocks:
            raise no_layer(merge.name, scope, self)
        if layer is None or not layer.join:
            joins = ", ".join(sorted(known for known, op in self.layers.items() if op.join))
            message = f"{name} takes one input and cannot join branches"
            raise scope.error("E132", message, span, f"joins are {joins}")
        branches = [
            self.entering(self.pipe(branch, current, scope.inner(), names), span, scope)
            for branch in merge.branches
        ]
        args = (*scope.default(name), arguments(merge.args, scope))
        return self.layer(name, args, tuple(branches), Place(span, scope, names, label))

    def wrap(
        self,
        wrap: ast.Wrap,
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue:
        """``residual { }`` and its like."""
        connection = self.connections.get(wrap.name.text)
        if connection is None:
            known = self.connections
            help = nearest(wrap.name.text, known) or f"these do: {', '.join(known)}"
            message = f"'{wrap.name.text}' does not take a body in braces"
            raise scope.error("E133", message, wrap.name.span, help)
        given = ", ".join(arg.span.text for arg in wrap.args)
        shown = f"{wrap.name.text}({given})" if given else wrap.name.text
        region = Region(wrap.name.text, shown, wrap.name.span, label.text if label else "")
        return connection(self, wrap, current, scope, names.inner(region))


def no_layer(name: ast.Name, scope: Scope, network: Network) -> NetError:
    """The error for a name that is neither a layer nor a block."""
    text = name.text
    if text in network.connections:
        help = f"write {text} {{ ... }}"
        return scope.error("E133", f"{text} takes a body in braces", name.span, help)
    help = layer_help(text, (*network.layers, *network.blocks))
    found, value = scope.find(text)
    if text in scope.labels or isinstance(value, TensorValue):
        help = f"write @{text} for the tensor of that name"
    elif found:
        help = f"here it is {brief(value)}"
    return scope.error("E130", f"no layer or block is called '{text}'", name.span, help)
