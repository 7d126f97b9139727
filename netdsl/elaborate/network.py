"""The statements of a network, carried out: every step becomes nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

from netdsl.arguments import Word, spell
from netdsl.elaborate.build import bind, build
from netdsl.elaborate.values import (
    Argument,
    BodyValue,
    Scope,
    TensorValue,
    arguments,
    evaluate,
    tensor,
    truth,
)
from netdsl.errors import Frame, NetError, Problem, ShapeError, Warning_, nearest
from netdsl.ir import Node
from netdsl.op import Layer, Parameter, Registry
from netdsl.source import Span
from netdsl.syntax import ast

MOST_NODES = 100_000
MOST_STEPS = 1_000_000
DEEPEST = 48
LARGEST = 2**31 - 1


Connection = Callable[["Network", ast.Wrap, TensorValue, Scope, "Names"], TensorValue]
"""A step with a body of its own, such as ``residual { }``."""


@dataclass
class Names:
    """Fresh names within a block call: ``conv1``, ``conv2``."""

    path: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, stem: str) -> str:
        """The next name for a layer or a block."""
        self.counts[stem] = self.counts.get(stem, 0) + 1
        return f"{self.path}{stem}{self.counts[stem]}"


class Network:
    """A network in the making: its nodes so far, and the rules by which steps add to them.

    ``connections`` are the steps with a body of their own (``residual``).
    """

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
        self.nodes: dict[str, Node] = {}
        self.warnings: list[Warning_] = []
        self.outputs: tuple[str, ...] = ()
        self.steps = 0

    # ---- nodes -----------------------------------------------------------------

    def add(
        self, layer: Layer, inputs: tuple[TensorValue, ...], span: Span, scope: Scope, name: str
    ) -> TensorValue:
        """Put a layer into the graph and return what it makes."""
        xs = tuple(value.tensor for value in inputs)
        try:
            made = layer.shape(*xs)
            weights = layer.weights(*xs)
            notes = layer.warnings(*xs)
        except Problem as problem:
            raise ShapeError("E201", problem.message, span, problem.help, scope.frames) from problem
        for what, size in [
            ("output", made.size),
            *((w, v.tensor.size) for w, v in weights.items()),
        ]:
            if size > LARGEST:
                message = f"the {what} of {layer.name} would have {size:,} elements"
                help = f"at most {LARGEST:,} are possible"
                raise ShapeError("E202", message, span, help, scope.frames)
        if len(self.nodes) >= MOST_NODES:
            message = f"the network has more than {MOST_NODES:,} layers"
            raise ShapeError("E203", message, span, "repeat less often", scope.frames)
        self.warnings += [Warning_("W201", note, span, None, scope.frames) for note in notes]
        node = Node(name, layer, tuple(v.node for v in inputs), made, span, scope.frames)
        self.nodes[name] = node
        return TensorValue(name, made)

    def name(self, layer: str, label: ast.Name | None, names: Names) -> str:
        """The name of a new node: what the user calls its tensor, or the layer and a number."""
        if label and names.path + label.text not in self.nodes:
            return names.path + label.text
        name = names.fresh(layer)
        return self.name(layer, None, names) if name in self.nodes else name

    # ---- statements ------------------------------------------------------------

    def body(
        self, body: ast.Body, current: TensorValue | None, scope: Scope, names: Names
    ) -> TensorValue | None:
        """Carry out the statements of a body in series."""
        scope = scope.inner()
        for statement in body.statements:
            current = self.statement(statement, current, scope, names)
        return current

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
                word = statement.span.text.split()[0]
                raise scope.error("E190", f"'{word}' is not supported yet", statement.span)
        return current

    def input(self, statement: ast.Input, scope: Scope, names: Names) -> TensorValue:
        """``input image(3x224x224)``: where data comes in."""
        if names.path:
            message = "an input stands in a net, not in a block"
            raise scope.error("E120", message, statement.span, "a block gets what enters it")
        args = arguments(statement.args, scope)
        layer = build(self.layers["input"], args, statement.span, scope, self.registry)
        if statement.name.text in self.nodes:
            message = f"two inputs are called '{statement.name.text}'"
            raise scope.error("E121", message, statement.name.span)
        value = self.add(layer, (), statement.span, scope, statement.name.text)
        self.label(statement.name, value, scope)
        return value

    def output(self, statement: ast.Output, scope: Scope, names: Names) -> None:
        """``output a, b``: what the network gives."""
        if names.path:
            message = "an output stands in a net, not in a block"
            raise scope.error("E120", message, statement.span, "a block gives its last tensor")
        self.outputs += tuple(tensor(n.text, n.span, scope).node for n in statement.names)

    def default(self, name: ast.Name, args: tuple[ast.Arg, ...], scope: Scope) -> None:
        """``default conv(pad=same)``: from here to the end of the braces."""
        values = arguments(args, scope)
        op = self.layers.get(name.text)
        known = [p.name for p in op.parameters()] if op else None
        if name.text in self.blocks:
            known = [p.name.text for p in self.blocks[name.text].params]
        if known is None:
            raise self.no_layer(name, scope)
        for argument in values:
            if argument.name is None:
                message = "a default names its parameters"
                raise scope.error("E122", message, argument.span, f"write {known[0]}=...")
            if argument.name.text not in known:
                message = f"{name.text} has no parameter '{argument.name.text}'"
                help = (op.synonyms.get(argument.name.text) if op else None) or None
                help = f"did you mean '{help}'?" if help else nearest(argument.name.text, known)
                raise scope.error("E110", message, argument.name.span, help)
        earlier = scope.defaults.get(name.text, ())
        scope.defaults[name.text] = (*earlier, *values)

    def label(self, name: ast.Name, value: TensorValue, scope: Scope) -> None:
        """``as x``: the same ``as`` may name a tensor again (in a repeat), another may not."""
        earlier = scope.labels.get(name.text)
        if earlier and earlier[1] != name.span:
            message = f"a tensor is already called '{name.text}' (line {earlier[1].line})"
            raise scope.error("E123", message, name.span)
        scope.labels[name.text] = (value, name.span)

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
            self.steps += 1
            if self.steps > MOST_STEPS:
                message = f"the network takes more than {MOST_STEPS:,} steps to write out"
                raise scope.error("E124", message, step.span, "repeat less often")
            current = self.atom(step.atom, current, scope, names, label)
        if step.label:
            if current is None:
                raise self.nothing_enters(step.span, scope)
            self.label(step.label, current, scope)
        return current

    def count(self, expr: ast.Expr, scope: Scope) -> int:
        """How often a step is repeated."""
        value = evaluate(expr, scope)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            message = f"a repeat wants a whole number from 0 on, not {spell(value)}"
            raise scope.error("E125", message, expr.span)
        if value > MOST_STEPS:
            message = f"a repeat of {value:,}; at most {MOST_STEPS:,} are possible"
            raise scope.error("E124", message, expr.span)
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
                return self.call(
                    atom, self.entering(current, atom.span, scope), scope, names, label
                )
            case ast.Merge():
                return self.merge(
                    atom, self.entering(current, atom.span, scope), scope, names, label
                )
            case ast.Wrap():
                return self.wrap(atom, self.entering(current, atom.span, scope), scope, names)
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
        values = evaluate(loop.values, scope)
        if not isinstance(values, (list, tuple)):
            message = f"for goes through a list, not {spell(values)}"
            raise scope.error("E126", message, loop.values.span, "write [64, 128] or 1..n")
        for value in values:
            items = (value,) if len(loop.names) == 1 else value
            if not isinstance(items, (list, tuple)) or len(items) != len(loop.names):
                message = f"{len(loop.names)} names for {spell(value)}"
                raise scope.error("E126", message, loop.values.span)
            inner = scope.inner()
            inner.names |= {name.text: item for name, item in zip(loop.names, items, strict=True)}
            self.steps += 1
            current = self.body(loop.body, current, inner, names)
        return current

    def entering(self, current: TensorValue | None, span: Span, scope: Scope) -> TensorValue:
        """What enters a step; an error if nothing does."""
        if current is None:
            raise self.nothing_enters(span, scope)
        return current

    def nothing_enters(self, span: Span, scope: Scope) -> NetError:
        """The error for a step that stands before any input."""
        help = "begin the net with: input image(1x28x28)"
        return scope.error("E127", "nothing enters this step", span, help)

    def call(
        self,
        call: ast.Call,
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue | None:
        """A layer, a block, or a body that was given as an argument."""
        known, value = scope.find(call.name.text)
        if known and isinstance(value, BodyValue):
            inner = value.scope.inner()
            inner.frames = scope.frames
            return self.body(value.body, current, inner, names)
        target = value.name if known and isinstance(value, Word) else call.name.text
        if target in self.blocks:
            return self.block(self.blocks[target], call, current, scope, names)
        layer = self.layers.get(target)
        if layer is None:
            raise self.no_layer(call.name, scope)
        args = (*scope.default(target), *arguments(call.args, scope))
        op = build(layer, args, call.span, scope, self.registry)
        return self.add(op, (current,), call.span, scope, self.name(target, label, names))

    def no_layer(self, name: ast.Name, scope: Scope) -> NetError:
        """The error for a name that is neither a layer nor a block."""
        known = {known.lower(): known for known in (*self.layers, *self.blocks)}
        stranger = name.text.lower().removesuffix("2d").removesuffix("1d").removesuffix("3d")
        near = known.get(stranger) or _STRANGERS.get(stranger)
        help = f"did you mean '{near}'?" if near else nearest(name.text, known.values())
        return scope.error("E130", f"no layer or block is called '{name.text}'", name.span, help)

    def block(
        self,
        block: ast.Block,
        call: ast.Call,
        current: TensorValue,
        scope: Scope,
        names: Names,
    ) -> TensorValue | None:
        """A block: its body, with its parameters in scope and names of its own."""
        if len(scope.frames) >= DEEPEST:
            message = f"blocks call blocks more than {DEEPEST} deep"
            raise scope.error("E131", message, call.span, "does the recursion end?")
        root = list(scope.chain())[-1]
        inner = Scope(root, entering=current, frames=scope.frames)
        args = (*scope.default(block.name.text), *arguments(call.args, scope))
        parameters(block.name.text, block.params, args, call.span, inner, scope)
        shown = ", ".join(f"{name}={spell(value)}" for name, value in inner.names.items())
        what = f"block {block.name.text}({shown})" if block.params else f"block {block.name.text}"
        inner.frames = (*scope.frames, Frame(what, call.span))
        path = f"{names.fresh(block.name.text)}."
        return self.body(block.body, current, inner, Names(path))

    def merge(
        self,
        merge: ast.Merge,
        current: TensorValue,
        scope: Scope,
        names: Names,
        label: ast.Name | None,
    ) -> TensorValue:
        """``concat [ a, b ]``: every branch gets the same, a join takes them all."""
        layer = self.layers.get(merge.name.text)
        if layer is None:
            raise self.no_layer(merge.name, scope)
        if not layer.join:
            joins = ", ".join(sorted(name for name, op in self.layers.items() if op.join))
            message = f"{merge.name.text} takes one input and cannot join branches"
            raise scope.error("E132", message, merge.name.span, f"joins are {joins}")
        branches = [self.pipe(b, current, scope.inner(), names) or current for b in merge.branches]
        args = (*scope.default(merge.name.text), *arguments(merge.args, scope))
        op = build(layer, args, merge.span, scope, self.registry)
        name = self.name(merge.name.text, label, names)
        return self.add(op, tuple(branches), merge.name.span, scope, name)

    def wrap(self, wrap: ast.Wrap, current: TensorValue, scope: Scope, names: Names) -> TensorValue:
        """``residual { }`` and its like."""
        connection = self.connections.get(wrap.name.text)
        if connection is None:
            known = self.connections
            help = nearest(wrap.name.text, known) or f"there are {', '.join(known)}"
            message = f"'{wrap.name.text}' does not take a body in braces"
            raise scope.error("E133", message, wrap.name.span, help)
        return connection(self, wrap, current, scope, names)


_STRANGERS = {
    "linear": "dense", "fullyconnected": "dense", "fc": "dense", "maxpooling": "maxpool",
    "avgpooling": "avgpool", "averagepooling": "avgpool", "batchnormalization": "bn",
    "batchnorm": "bn", "convolution": "conv", "globalaveragepooling": "global_avgpool",
    "adaptiveavgpool": "global_avgpool", "concatenate": "concat", "identity": "id",
    "leakyrelu": "leaky_relu", "add": "add", "multiply": "mul", "reshape": "flatten",
}  # fmt: skip


def parameters(
    called: str,
    params: tuple[ast.Param, ...],
    args: tuple[Argument, ...],
    span: Span,
    inner: Scope,
    outer: Scope,
) -> None:
    """Give the parameters of a block or a net their values, defaults last, in ``inner``."""
    formal = [Parameter(p.name.text, Any, MISSING if p.default is None else None) for p in params]
    given = bind(called, formal, args, span, outer)
    for param in params:
        name = param.name.text
        if name in given:
            inner.names[name] = given[name].value
        else:
            assert param.default is not None
            inner.names[name] = evaluate(param.default, inner)
