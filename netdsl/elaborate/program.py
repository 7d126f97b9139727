"""A file: its nets, blocks, defaults and recipes, and how one net of it becomes a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from netdsl.elaborate.build import parameters
from netdsl.elaborate.connections import CONNECTIONS
from netdsl.elaborate.network import Network
from netdsl.elaborate.nodes import Names
from netdsl.elaborate.overrides import chosen_train
from netdsl.elaborate.recipes import Training, training
from netdsl.elaborate.scope import Group, Scope
from netdsl.elaborate.values import arguments, evaluate
from netdsl.errors import MeaningError, nearest
from netdsl.ir import Graph
from netdsl.op import Registry
from netdsl.source import Span
from netdsl.syntax import ast


@dataclass(frozen=True)
class Program:
    """A parsed file with its declarations by name."""

    file: ast.File
    registry: Registry
    blocks: dict[str, ast.Block]
    nets: dict[str, ast.Net | ast.Alias]
    recipes: dict[str | None, ast.Train]

    @classmethod
    def of(cls, file: ast.File, registry: Registry) -> Program:
        """Sort the declarations; MeaningError for two of a name, and for what must wait."""
        blocks: dict[str, ast.Block] = {}
        nets: dict[str, ast.Net | ast.Alias] = {}
        recipes: dict[str | None, ast.Train] = {}
        for item in file.items:
            match item:
                case ast.Block():
                    if item.name.text in (*registry["layer"], *CONNECTIONS):
                        message = f"'{item.name.text}' is a layer already"
                        help = "call the block something else"
                        raise MeaningError("E140", message, item.name.span, help)
                    _declare(blocks, item.name.text, item, item.name.span)
                case ast.Net() | ast.Alias():
                    _check_strict(item)
                    _declare(nets, item.name.text, item, item.name.span)
                case ast.Train():
                    name = item.name.text if item.name else None
                    _declare(recipes, name, item, item.name.span if item.name else item.span)
                case ast.Import() | ast.Sweep():
                    raise Scope().later(item)
                case ast.Let() | ast.Default():
                    pass  # carried out in their order, by globals
        return cls(file, registry, blocks, nets, recipes)

    def choose(self, name: str | None) -> ast.Net | ast.Alias:
        """The net of that name, or the first of the file."""
        if not self.nets:
            help = "write: net Name { input image(1x28x28) ... }"
            raise MeaningError("E141", "the file has no net", _start(self.file), help)
        if name is None:
            return next(iter(self.nets.values()))
        if name not in self.nets:
            help = nearest(name, self.nets) or f"there are {', '.join(self.nets)}"
            message = f"no net is called '{name}' in {self.file.span.source.name}"
            raise MeaningError("E142", message, None, help)
        return self.nets[name]

    def elaborate(self, name: str | None = None, recipe: str | None = None) -> Elaborated:
        """One net as a graph, with the recipe that trains it."""
        chosen = self.choose(name)
        network = Network(self.blocks, CONNECTIONS, self.registry)
        scope = self.globals(network)
        net, args = self.resolve(chosen, scope)
        inner = scope.called()
        open_ = next((param.name.text for param in net.params if param.default is None), "")
        advice = f"give it a default, net {net.name.text}({open_}=10), or a value: --set {open_}=10"
        parameters(net.name.text, net.params, args, chosen.name.span, inner, scope, advice)
        names = Names()
        last = network.body(net.body, None, inner, names)
        if last is None:
            help = "begin it with: input image(1x28x28)"
            raise MeaningError("E143", f"net {net.name.text} is empty", net.name.span, help)
        outputs = tuple(network.outputs) or (last.node,)
        nodes = tuple(network.nodes.made.values())
        warnings = tuple(network.nodes.warnings)
        graph = Graph(chosen.name.text, nodes, outputs, (), warnings, names.regions)
        trained = self.training(recipe, graph, inner)
        if trained:
            read = (name for term in trained.terms for name in (term.prediction, term.target))
            graph = replace(graph, heads=tuple(dict.fromkeys(filter(None, read))))
        return Elaborated(graph.verify(), trained)

    def globals(self, network: Network) -> Scope:
        """The scope of the file: its ``let`` and ``default`` statements."""
        scope = Scope()
        for item in self.file.items:
            if isinstance(item, ast.Let):
                scope.names[item.name.text] = evaluate(item.value, scope)
            elif isinstance(item, ast.Default):
                network.default(item.name, item.args, scope)
        return scope

    def resolve(
        self, chosen: ast.Net | ast.Alias, scope: Scope
    ) -> tuple[ast.Net, tuple[Group, ...]]:
        """The net behind an alias, and the arguments that aliases give it, the outermost last."""
        groups: tuple[Group, ...] = ()
        seen: list[str] = []
        while isinstance(chosen, ast.Alias):
            if chosen.name.text in seen:
                help = "an alias stands for a net: net B = A(classes=100)"
                message = f"net {chosen.name.text} stands for itself"
                raise MeaningError("E144", message, chosen.base.span, help)
            seen.append(chosen.name.text)
            groups = (arguments(chosen.args, scope), *groups)
            base = self.nets.get(chosen.base.text)
            if base is None:
                help = nearest(chosen.base.text, self.nets) or f"there are {', '.join(self.nets)}"
                message = f"no net is called '{chosen.base.text}'"
                raise MeaningError("E142", message, chosen.base.span, help)
            chosen = base
        return chosen, groups

    def training(self, recipe: str | None, graph: Graph, inner: Scope) -> Training | None:
        """How a graph is trained, if the file says so."""
        train = self.train(recipe)
        if train is None:
            return None
        scope = inner.called()
        scope.labels = {name: (value, train.span) for name, (value, _) in inner.labels.items()}
        return training(train, graph, scope, self.registry)

    def train(self, recipe: str | None) -> ast.Train | None:
        """The recipe of that name; the unnamed one, or the only one, if none is asked for."""
        if recipe is not None and recipe not in self.recipes:
            named = [name for name in self.recipes if name]
            help = nearest(recipe, named) or f"there are {', '.join(named) or 'none with a name'}"
            raise MeaningError("E145", f"no recipe is called '{recipe}'", None, help)
        return chosen_train(self.file, recipe)


@dataclass(frozen=True)
class Elaborated:
    """A net that has been carried out: its graph, and how it is trained."""

    graph: Graph
    training: Training | None


def _declare(known: dict[Any, Any], name: str | None, item: ast.Item, span: Span) -> None:
    if name in known:
        line = known[name].span.line
        message = f"'{name}' is declared twice (line {line})" if name else "two train sections"
        help = "give one of them another name" if name else "name one: train paper { ... }"
        raise MeaningError("E146", message, span, help)
    known[name] = item


def _check_strict(net: ast.Net | ast.Alias) -> None:
    """``strict`` is a word of the language that must wait, not a parameter."""
    given = net.params if isinstance(net, ast.Net) else net.args
    for item in given:
        if item.name and item.name.text == "strict":
            raise MeaningError("E190", "'strict' is not supported yet", item.name.span)


def _start(file: ast.File) -> Span:
    return file.span.source.span(0, 0)
