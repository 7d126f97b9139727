"""The statements of a network, carried out: every step becomes nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from netdsl.arguments import Word
from netdsl.elaborate.build import bind, make, parameters
from netdsl.elaborate.mistakes import Mistakes, labels
from netdsl.elaborate.nodes import Names, Nodes, Place
from netdsl.elaborate.scope import (
    LOST,
    MOST_STEPS,
    BlockName,
    BodyValue,
    Given,
    Group,
    Scope,
    SharedValue,
    TensorValue,
    brief,
    known,
)
from netdsl.elaborate.strangers import Stranger, no_layer, no_wrap
from netdsl.elaborate.values import arguments, evaluate, tensor, truth
from netdsl.errors import Frame, NetError
from netdsl.ir import Region
from netdsl.op import Layer, Registry
from netdsl.source import Span
from netdsl.syntax import ast

DEEPEST = 64
"""How deep blocks and braces may nest when they are carried out."""

Connection = Callable[["Network", ast.Wrap, TensorValue, Scope, Names], TensorValue]
"""A step with a body of its own, such as ``residual { }``."""


Statement = Callable[["Network", Any, TensorValue | None, Scope, Names], TensorValue | None]
"""How one kind of statement is carried out; it returns what goes on."""


class Network:
    """A network in the making: the rules by which statements and steps add to its nodes.

    A mistake is kept and what depends on it is skipped, so that the others are found too.
    """

    def __init__(
        self,
        statements: Mapping[type[ast.Statement], Statement],
        connections: Mapping[str, Connection],
        registry: Registry,
        nets: Collection[str] = (),
    ) -> None:
        self.statements = statements
        self.connections = connections
        self.registry = registry
        self.nets = nets
        self.layers: dict[str, type[Layer]] = registry["layer"]  # type: ignore[assignment]
        self.nodes = Nodes()
        self.mistakes = Mistakes()
        self.outputs: dict[str, Span] = {}
        self.depth = 0

    # ---- statements ------------------------------------------------------------

    def body(
        self, body: ast.Body, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """Carry out the statements of a body in series."""
        scope = scope.inner()
        with self.deeper(body.span, scope):
            for statement in body.statements:
                current = self.statement(statement, current, scope, names)
        return current

    @contextmanager
    def deeper(self, span: Span, scope: Scope) -> Generator[None]:
        """One level down; LimitError E131 if that is too deep."""
        if self.depth >= DEEPEST:
            message = f"blocks and braces go more than {DEEPEST} deep"
            place = scope.frames[-1].call if scope.frames else span
            raise scope.limit("E131", message, place, "let a condition end it: if n > 0 { ... }")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

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
        if isinstance(statement, ast.Pipe):
            return self.pipe(statement, current, scope, names)
        return self.statements[type(statement)](self, statement, current, scope, names)

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
        """Steps in series; after a mistaken one nothing is known of what goes on."""
        for step in pipe.steps:
            entering, current = current, LOST
            with self.mistakes.apart():
                current = self.step(step, entering, scope, names)
            if current is LOST:
                for name in labels(step):
                    scope.labels.setdefault(name.text, (LOST, name.span))
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
            if current is LOST:
                break
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
            raise scope.limit("E124", message, expr.span, "repeat less often")
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
            help = "write [64, 128] or 1..n"
            if isinstance(values, Given) and values.name == "range":
                help = "write 0..2: both ends belong to it"
            raise scope.error("E126", message, loop.values.span, help)
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
        """A layer, a block, or what a name holds: either of them, a body, something shared."""
        _, value = scope.find(call.name.text)
        if isinstance(value, (BodyValue, SharedValue)):
            return self.held(value, call, current, scope, names)
        target = value.name if isinstance(value, (Word, Given)) else call.name.text
        home = value.home if isinstance(value, (Given, BlockName)) else scope
        found, layer = home.blocks.get(target), self.layers.get(target)
        if found is None and layer is None:
            raise self.no_layer(call.name, scope, call, current)
        if layer and layer.join:
            branches = ", ".join(arg.value.span.text.strip("[]") for arg in call.args)
            help = f"write {target} [ {branches or 'a, b'} ]"
            raise scope.error("E132", f"{target} joins branches", call.span, help)
        given = (value.args,) if isinstance(value, Given) else ()
        args = (*scope.default(target), *given, arguments(call.args, scope))
        if found:
            return self.block(found, call, args, current, scope, names, label)
        return self.layer(target, args, (current,), Place(call.span, scope, names, label))

    def held(
        self,
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
            raise scope.error("E112", message, call.span, f"write {call.name.text}")
        inner = value.scope.inner()
        inner.frames = scope.frames
        if isinstance(value, BodyValue):
            return self.body(value.body, current, inner, names)
        inner.frames = (*scope.frames, Frame(str(value), call.span))
        inner.labels = dict(inner.labels)
        inner.entering = current
        names = names.inner(Region(value.name, value.name, call.span))
        names.twin = value.first or names.twin
        value.first = names.twin or names.path
        with self.deeper(call.span, inner):
            return self.pipe(value.pipe, current, inner, names)

    def layer(
        self, name: str, args: tuple[Group, ...], inputs: tuple[TensorValue, ...], at: Place
    ) -> TensorValue:
        """Add a layer: groups of arguments, the later ones winning, over what enters."""
        op = self.layers[name]
        example = f", such as {op.examples[0][0]}" if op.examples else ""
        bound = bind(name, op.parameters(), args, at.span, at.scope, op.synonyms, example=example)
        made = make(op, bound, at.span, at.scope, self.registry)
        return self.nodes.add(made, inputs, replace(at, bound=bound))

    def block(
        self,
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
        if layer is None and name not in scope.blocks:
            raise self.no_layer(merge.name, scope)
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
            raise no_wrap(wrap.name, scope, self.layers, self.connections)
        given = ", ".join(arg.span.text for arg in wrap.args)
        shown = f"{wrap.name.text}({given})" if given else wrap.name.text
        region = Region(wrap.name.text, shown, wrap.name.span, label.text if label else "")
        return connection(self, wrap, current, scope, names.inner(region))

    def no_layer(
        self, name: ast.Name, scope: Scope, call: ast.Call | None = None, current: Any = None
    ) -> NetError:
        """The error for a name that is neither a layer nor a block."""
        stranger = Stranger(name, call, current)
        return no_layer(stranger, scope, self.layers, self.connections, self.nets)
