"""The statements of a network, carried out: every step becomes nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from netdsl.elaborate.build import bind, make
from netdsl.elaborate.mistakes import Mistakes, labels
from netdsl.elaborate.names import Names
from netdsl.elaborate.nodes import Nodes, Place
from netdsl.elaborate.scope import (
    LOST,
    MOST_STEPS,
    Given,
    Group,
    Scope,
    TensorValue,
    brief,
    known,
)
from netdsl.elaborate.strangers import Stranger, no_layer
from netdsl.elaborate.values import evaluate, tensor, truth
from netdsl.errors import NetError
from netdsl.op import Layer, Registry
from netdsl.source import Span
from netdsl.syntax import ast

DEEPEST = 64
"""How deep blocks and braces may nest when they are carried out."""

Connection = Callable[["Network", ast.Wrap, TensorValue, Scope, Names], TensorValue]
"""A step with a body of its own, such as ``residual { }``."""


Statement = Callable[["Network", Any, TensorValue | None, Scope, Names], TensorValue | None]
"""How one kind of statement is carried out; it returns what goes on."""

Atom = Callable[["Network", Any, TensorValue, Scope, Names, ast.Name | None], TensorValue | None]
"""The same of one kind of step, which something enters; ``as`` may name what it makes."""


class Network:
    """A network in the making: the rules by which statements and steps add to its nodes.

    A mistake is kept and what depends on it is skipped, so that the others are found too. A ``dry``
    one knows no sizes: it goes through all branches and repeats once (`netdsl.elaborate.lint`).
    """

    def __init__(
        self,
        statements: Mapping[type[ast.Statement], Statement],
        atoms: Mapping[type[ast.Atom], Atom],
        connections: Mapping[str, Connection],
        registry: Registry,
        nets: Collection[str] = (),
        dry: bool = False,
    ) -> None:
        self.statements = statements
        self.atoms = atoms
        self.connections = connections
        self.registry = registry
        self.nets = nets
        self.dry = dry
        self.layers: dict[str, type[Layer]] = registry["layer"]  # type: ignore[assignment]
        self.nodes = Nodes()
        self.mistakes = Mistakes()
        self.outputs: dict[str, ast.Name] = {}
        self.depth = 0
        self._labels: dict[int, tuple[ast.Name, ...]] = {}

    # ---- statements ------------------------------------------------------------

    def body(
        self,
        body: ast.Body,
        current: TensorValue | None,
        scope: Scope,
        names: Names,
        label: ast.Name | None = None,
    ) -> TensorValue | None:
        """Carry out the statements of a body in series; ``label`` names what comes out."""
        scope = scope.inner()
        with self.deeper(body.span, scope):
            for place, statement in enumerate(body.statements, 1):
                last = label if place == len(body.statements) else None
                current = self.statement(statement, current, scope, names, last)
        return current

    def labels(self, tree: ast.Tree) -> tuple[ast.Name, ...]:
        """The names that ``as`` gives in a part of the file."""
        if id(tree) not in self._labels:
            self._labels[id(tree)] = tuple(labels(tree))
        return self._labels[id(tree)]

    def reserved(self, tree: ast.Tree) -> frozenset[str]:
        """The same of the body of a net, a block, or something shared: no number makes such one."""
        return frozenset(name.text for name in self.labels(tree))

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
        self,
        statement: ast.Statement,
        current: TensorValue | None,
        scope: Scope,
        names: Names,
        label: ast.Name | None = None,
    ) -> TensorValue | None:
        """Carry out one statement; returns what goes on."""
        if isinstance(statement, ast.Pipe):
            return self.pipe(statement, current, scope, names, label)
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
        self,
        pipe: ast.Pipe,
        current: TensorValue | None,
        scope: Scope,
        names: Names,
        label: ast.Name | None = None,
    ) -> TensorValue | None:
        """Steps in series; after a mistaken one nothing is known of what goes on."""
        for place, step in enumerate(pipe.steps, 1):
            entering, current = current, LOST
            last = label if place == len(pipe.steps) else None
            with self.mistakes.apart():
                current = self.step(step, entering, scope, names, last)
            if current is LOST:
                for name in self.labels(step):
                    scope.labels.setdefault(name.text, (LOST, name.span))
        return current

    def step(
        self,
        step: ast.Step,
        current: TensorValue | None,
        scope: Scope,
        names: Names,
        label: ast.Name | None = None,
    ) -> TensorValue | None:
        """An atom, repeated, its output named; ``label`` is what braces around it name it."""
        if step.count is None:
            scope.spend(step.span)
            current = self.atom(step.atom, current, scope, names, step.label or label)
        else:
            with names.repeated():
                for _ in range(self.count(step.count, scope)):
                    scope.spend(step.span)
                    current = self.atom(step.atom, current, scope, names, None)
                    if current is LOST:
                        break
        if step.label:
            self.label(step.label, self.entering(current, step.span, scope), scope)
        return current

    def count(self, expr: ast.Expr, scope: Scope) -> int:
        """How often a step is repeated."""
        if self.dry:
            return 1
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
            case ast.Call() | ast.Merge() | ast.Wrap():
                span = atom.span if isinstance(atom, ast.Call) else atom.name.span
                entering = self.entering(current, span, scope)
                return self.atoms[type(atom)](self, atom, entering, scope, names, label)
            case ast.Ref(name=name):
                value = tensor(name, atom.span, scope)
                self.nodes.check_side(value, atom.span, scope)
                return value
            case ast.Body():
                return self.body(atom, current, scope, names, label)
            case ast.If(condition=condition, then=then, otherwise=otherwise):
                if self.dry:
                    return self.both(atom, scope, names)
                chosen = then if truth(condition, scope) else otherwise
                if chosen is None:
                    return current
                return self.body(chosen, current, scope, names, label)
            case ast.For():
                return self.loop(atom, current, scope, names)

    def both(self, choice: ast.If, scope: Scope, names: Names) -> TensorValue:
        """Both ways of a choice, where nothing is known."""
        with self.mistakes.apart():
            truth(choice.condition, scope)
        for body in filter(None, (choice.then, choice.otherwise)):
            self.body(body, LOST, scope, names)
        return LOST

    def loop(
        self, loop: ast.For, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """``for a, b in list { }``."""
        values: Any = None
        if self.dry:
            with self.mistakes.apart():
                evaluate(loop.values, scope)
            values = [(LOST,) * len(loop.names) if len(loop.names) > 1 else LOST]
        else:
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
            with names.repeated():
                current = self.body(loop.body, current, inner, names)
            if current is LOST:
                break
        return current

    def entering(self, current: TensorValue | None, span: Span, scope: Scope) -> TensorValue:
        """What enters a step; an error if nothing does."""
        if current is None:
            help = "begin the net with: input image(1x28x28)"
            raise scope.error("E127", "nothing enters this step", span, help)
        return current

    def layer(
        self, name: str, args: tuple[Group, ...], inputs: tuple[TensorValue, ...], at: Place
    ) -> TensorValue:
        """Add a layer: groups of arguments, the later ones winning, over what enters."""
        op = self.layers[name]
        example = f", such as {op.examples[0][0]}" if op.examples else ""
        bound = bind(name, op.parameters(), args, at.span, at.scope, op.synonyms, example=example)
        made = make(op, bound, at.span, at.scope, self.registry)
        return self.nodes.add(made, inputs, replace(at, bound=bound))

    def no_layer(
        self, name: ast.Name, scope: Scope, call: ast.Call | None = None, current: Any = None
    ) -> NetError:
        """The error for a name that is neither a layer nor a block."""
        stranger = Stranger(name, call, current)
        return no_layer(stranger, scope, self.layers, self.connections, self.nets)
