"""The nodes of a network in the making: their names, and the limits they keep to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from netdsl.elaborate.names import Names
from netdsl.elaborate.scope import LOST, Argument, Scope, TensorValue
from netdsl.elaborate.strangers import habit, told_help
from netdsl.errors import LimitError, Problem, ShapeError, Warning_
from netdsl.ir import Node
from netdsl.op import Layer, call_text
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import DType, Tensor, dims_text

MOST_NODES = 20_000
LARGEST = 2**31 - 1
"""The most elements of one tensor: kernels count them with 32 bits on some targets."""


@dataclass(frozen=True)
class Place:
    """Where a layer stands: its step, the scope and the names there, and its arguments."""

    span: Span
    scope: Scope
    names: Names
    label: ast.Name | None = None
    bound: Mapping[str, Argument] = field(default_factory=dict)

    def argument(self, name: str | None) -> Span:
        """The place of an argument if the step itself gives it, else the step."""
        if name is None or name not in self.bound:
            return self.span
        span = self.bound[name].span
        inside = self.span.source is span.source and self.span.start <= span.start < self.span.end
        return span if inside else self.span

    def called(self, name: str) -> Place:
        """The same place, for a layer of a given name."""
        return replace(self, label=ast.Name(self.span, name))


class Nodes:
    """The nodes so far, by name, and what is to be said about them."""

    def __init__(self) -> None:
        self.made: dict[str, Node] = {}
        self.warnings: list[Warning_] = []
        self.side = False
        """Whether what is added now belongs to a head that only training computes."""

    def add(self, layer: Layer, inputs: tuple[TensorValue, ...], at: Place) -> TensorValue:
        """Put a layer into the graph and return what it makes."""
        if LOST in inputs:
            return LOST
        xs = tuple(value.tensor for value in inputs)
        frames = at.scope.frames
        self._check_types(layer, inputs, at)
        for value in inputs:
            self.check_side(value, at.span, at.scope)
        try:
            made = layer.shape(*xs)
            weights = layer.weights(*xs)
            notes = layer.warnings(*xs)
        except Problem as problem:
            span = at.argument(problem.argument)
            help = problem.help
            if meant := xs and told_help(layer.name, at.bound, xs[0]):
                help = f"what enters is known: write {meant}"
            entered = [self.made[value.node] for value in inputs]
            for node in entered:
                if not node.inputs and (doubts := node.layer.warnings()):
                    help = f"line {node.span.line}: {doubts[0]}"
            raise ShapeError("E201", problem.message, span, help, frames) from problem
        fed = any(not self.made[value.node].inputs for value in inputs)
        seldom = habit(layer.name, at.bound, xs[0], fed) if xs else None
        notes = (seldom, *notes) if seldom else notes
        self._check_size("output", made.size, layer, at)
        for name, weight in weights.items():
            self._check_size(name, weight.tensor.size, layer, at)
        if len(self.made) >= MOST_NODES:
            message = f"the network has more than {MOST_NODES:,} layers"
            raise LimitError("E203", message, at.span, "repeat less often", frames)
        self.warnings += [Warning_("W201", note, at.span, None, frames) for note in notes]
        names = at.names
        name = names.named(at.label.text) if at.label else names.fresh(layer.name)
        sources = tuple(value.node for value in inputs)
        keeps = at.names.twin and (weights or layer.state(*xs))
        shared = self._shared(name, layer, xs, at) if keeps else ""
        self.made[name] = Node(name, layer, sources, made, at.span, frames, shared, self.side)
        return TensorValue(name, made)

    def _shared(self, name: str, layer: Layer, xs: tuple[Tensor, ...], at: Place) -> str:
        """The layer whose weights a later use of something shared takes: they must be alike."""
        twin = self.made.get(at.names.twin + name.removeprefix(at.names.path))
        before = tuple(self.made[source].tensor for source in twin.inputs) if twin else ()
        if twin and twin.layer == layer and _kept(layer, xs) == _kept(layer, before):
            return twin.owner
        message = f"{call_text(layer)} has the weights {_sizes(layer, xs)} here"
        if twin:
            message += f"; where it was first used it is {call_text(twin.layer)}"
            message += f" with {_sizes(twin.layer, before)}"
        help = "what is shared must be given tensors of the same channels and sizes"
        raise ShapeError("E209", message, at.span, help, at.scope.frames)

    def check_side(self, value: TensorValue, span: Span, scope: Scope) -> None:
        """ShapeError E210 if the main flow reads what only training computes."""
        if value is not LOST and self.made[value.node].side and not self.side:
            message = f"{value.node} belongs to a side head, which only training computes"
            help = "the main flow must do without it: take the word 'side' away, or the reading"
            raise ShapeError("E210", message, span, help, scope.frames)

    def _check_types(self, layer: Layer, inputs: tuple[TensorValue, ...], at: Place) -> None:
        words = {DType.REAL: "real numbers", DType.INT: "whole numbers"}
        for value in inputs:
            if value.tensor.dtype is not layer.takes and not layer.alias:
                message = f"{layer.name} wants {words[layer.takes]}"
                message += f", {value.node} holds {words[value.tensor.dtype]}"
                help = "put embedding(vocab, dim) before it"
                if layer.takes is DType.INT:
                    entered = "write the input with dtype=int: input words(200, dtype=int)"
                    help = entered if not self.made[value.node].inputs else None
                raise ShapeError("E207", message, at.span, help, at.scope.frames)

    def _check_size(self, what: str, size: int, layer: Layer, at: Place) -> None:
        if size > LARGEST:
            message = f"the {what} of {layer.name} would have {size:,} elements"
            help = f"at most {LARGEST:,} are possible"
            raise ShapeError("E202", message, at.span, help, at.scope.frames)


def _kept(layer: Layer, xs: tuple[Tensor, ...]) -> dict[str, tuple[int, ...]]:
    """The sizes of all that a layer keeps from step to step, learnt or not."""
    kept = {**layer.weights(*xs), **layer.state(*xs)}
    return {name: one.dims for name, one in kept.items()}


def _sizes(layer: Layer, xs: tuple[Tensor, ...]) -> str:
    return ", ".join(map(dims_text, _kept(layer, xs).values()))
