"""A file: its nets, blocks, defaults and recipes, and how one net of it becomes a graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netdsl.elaborate.atoms import ATOMS
from netdsl.elaborate.build import parameters
from netdsl.elaborate.connections import CONNECTIONS
from netdsl.elaborate.heads import with_heads
from netdsl.elaborate.homes import Homes
from netdsl.elaborate.imports import Files, resolved
from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Network
from netdsl.elaborate.overrides import chosen_train
from netdsl.elaborate.recipes import Training, check_recipe, tensors, training
from netdsl.elaborate.scope import Lost, Scope, brief
from netdsl.elaborate.statements import STATEMENTS
from netdsl.elaborate.values import arguments
from netdsl.errors import MeaningError, NetError, ShapeError, nearest
from netdsl.ir import Graph
from netdsl.op import Registry
from netdsl.source import Source, Span
from netdsl.syntax import ast

Declared = ast.Block | ast.Net | ast.Alias | ast.Let


@dataclass(frozen=True)
class Program:
    """A parsed file with its declarations by name, and those that it imports."""

    file: ast.File
    registry: Registry
    blocks: dict[str, ast.Block] = field(default_factory=dict)
    nets: dict[str, ast.Net | ast.Alias] = field(default_factory=dict)
    lets: dict[str, ast.Let] = field(default_factory=dict)
    recipes: dict[str | None, ast.Train] = field(default_factory=dict)
    sweeps: dict[str | None, ast.Sweep] = field(default_factory=dict)
    imported: dict[str, Program] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    """The texts of the project's files that it imports, by their paths from its own directory."""

    @classmethod
    def of(cls, file: ast.File, registry: Registry, path: Path | None = None) -> Program:
        """Sort the declarations of a file, and read what it imports from beside ``path``.

        MeaningError for two of a name, and for imports that cannot be.
        """
        path = resolved(path) if path else None
        read: Files[Program] = Files(path.parent if path else None)
        program = cls._sorted(file, registry, path, (path,) if path else (), read)
        return replace(program, sources=read.sources)

    @classmethod
    def _sorted(
        cls, file: ast.File, registry: Registry, path: Path | None, chain: tuple[Path, ...],
        read: Files[Program],
    ) -> Program:  # fmt: skip
        program = cls(file, registry)
        wrong: list[NetError] = []
        for item in file.items:
            try:
                if isinstance(item, ast.Import):
                    other = read.load(
                        item, path, chain, lambda f, p, c: cls._sorted(f, registry, p, c, read)
                    )
                    program._import(item, other)
                else:
                    program._declare(item)
            except NetError as error:
                wrong.append(error)
        if wrong:
            raise NetError.together(wrong)
        return program

    def changed(self, file: ast.File) -> Program:
        """The same program with parameters of its nets and keys of its recipes changed."""
        named = (item for item in file.items if isinstance(item, ast.Net | ast.Alias))
        nets = {item.name.text: item for item in named}
        trains = (item for item in file.items if isinstance(item, ast.Train))
        recipes = {item.name.text if item.name else None: item for item in trains}
        return replace(self, file=file, nets=nets, recipes=recipes)

    def _declare(self, item: ast.Item) -> None:
        match item:
            case ast.Block(name=name):
                self._check_new(name)
                self.blocks[name.text] = item
            case ast.Net(name=name) | ast.Alias(name=name):
                self._check_new(name)
                self.nets[name.text] = item
            case ast.Let(name=name):
                if name.text in self.imported:
                    self._check_new(name)
                self.lets[name.text] = item  # carried out in their order, by Homes
            case ast.Train():
                _declare_section(self.recipes, item)
            case ast.Sweep():
                _declare_section(self.sweeps, item)
            case ast.Import() | ast.Default():
                pass

    def _import(self, item: ast.Import, other: Program) -> None:
        for name in item.names:
            found = other.declared(name.text)
            if found is None:
                theirs = [*other.blocks, *other.nets, *other.lets]
                help = nearest(name.text, theirs) or f"it declares {', '.join(theirs) or 'nothing'}"
                message = f"{other.file.span.source.name} declares no '{name.text}'"
                raise MeaningError("E153", message, name.span, help)
            self._check_new(name)
            self.imported[name.text] = other

    def _check_new(self, name: ast.Name) -> None:
        """A block, a net or an import has a name that nothing else has."""
        if name.text in (*self.registry["layer"], *CONNECTIONS):
            message = f"'{name.text}' is a layer already"
            raise MeaningError("E140", message, name.span, "call it something else")
        mine = self.declared(name.text)
        if mine or name.text in self.imported:
            where = f"line {mine.span.line}" if mine else "it is imported"
            message = f"'{name.text}' is declared twice ({where})"
            raise MeaningError("E146", message, name.span, "give one of them another name")

    def declared(self, name: str) -> Declared | None:
        """The block, net or ``let`` of a name that the file itself declares."""
        return self.blocks.get(name) or self.nets.get(name) or self.lets.get(name)

    def choose(self, name: str | None) -> ast.Net | ast.Alias:
        """The net of that name, or the first of the file."""
        if not self.nets:
            theirs = [n for n, other in self.imported.items() if n in other.nets]
            help = "write: net Name { input image(1x28x28) ... }"
            if theirs:
                help = f"name one that is imported: net My{theirs[0]} = {theirs[0]}"
            raise MeaningError("E141", "the file has no net", _start(self.file), help)
        if name is None:
            return next(iter(self.nets.values()))
        if name not in self.nets:
            help = nearest(name, self.nets) or f"there are {', '.join(self.nets)}"
            message = f"no net is called '{name}' in {self.file.span.source.name}"
            raise MeaningError("E142", message, None, help)
        return self.nets[name]

    def signature(self, name: str | None) -> tuple[str, list[str]]:
        """The net that a net or an alias stands for, and the names of its parameters."""
        net, _ = self.stands_for(name)
        return net.name.text, [param.name.text for param in net.params]

    def stands_for(self, name: str | None) -> tuple[ast.Net, Program]:
        """The net that a net or an alias stands for, and its file."""
        net, home = self._chain(self.choose(name))[-1]
        assert isinstance(net, ast.Net)
        return net, home

    def _chain(self, chosen: ast.Net | ast.Alias) -> list[tuple[ast.Net | ast.Alias, Program]]:
        """A net or an alias, and what it stands for, to the net at the end; each with its file."""
        chain: list[tuple[ast.Net | ast.Alias, Program]] = [(chosen, self)]
        seen = {(chosen.name.text, id(self))}
        while isinstance(item := chain[-1][0], ast.Alias):
            home = chain[-1][1]
            base = item.base.text
            home = home.imported.get(base, home)
            if base not in home.nets:
                others = [name for name in home.nets if name != item.name.text]
                listed = f"there are {', '.join(others)}" if others else ""
                help = nearest(base, others) or listed or f'import it: import {base} from "file"'
                message = f"no net is called '{base}'"
                raise MeaningError("E142", message, item.base.span, help)
            if (base, id(home)) in seen:
                help = "an alias stands for a net: net B = A(classes=100)"
                message = f"net {chosen.name.text} stands for itself"
                raise MeaningError("E144", message, item.base.span, help)
            seen.add((base, id(home)))
            chain.append((home.nets[base], home))
        return chain

    def elaborate(
        self, name: str | None = None, recipe: str | None = None, train: bool = True
    ) -> Elaborated:
        """One net as a graph, with the recipe that trains it.

        Without ``train`` a recipe that reads tensors of another net is left out: who only looks at
        a net does not want to train it.
        """
        chosen = self.choose(name)
        section = self.train(recipe)
        imported = (n for n, other in self.imported.items() if n in other.nets)
        network = Network(STATEMENTS, ATOMS, CONNECTIONS, self.registry, {*self.nets, *imported})
        return network.mistakes.told(lambda: self._made(chosen, network, section, train))

    def _made(
        self, chosen: ast.Net | ast.Alias, network: Network, section: ast.Train | None, train: bool
    ) -> Elaborated:
        inner, body = self._entered(chosen, network)
        names = Names(reserved=network.reserved(body))
        last = network.body(body, None, inner, names)
        if last is None:
            net = chosen.name
            help = "begin it with: input image(1x28x28)"
            raise MeaningError("E143", f"net {net.text} is empty", net.span, help)
        labels = {name: value for name, (value, _) in inner.labels.items()}
        if section and not train and not tensors(section) <= labels.keys():
            section = None
        if network.mistakes.found:
            _check_keys(section, inner, network)
            raise Lost
        outputs = tuple(network.outputs) or (last.node,)
        nodes = tuple(network.nodes.made.values())
        warnings = tuple(network.nodes.warnings)
        called = {node: name.text for node, name in network.outputs.items()}
        if not called:
            called = {value.node: n for n, value in labels.items() if value.node in outputs}
        graph = Graph(chosen.name.text, nodes, outputs, (), called, warnings, names.regions)
        _check_strict(graph, inner, chosen.name)
        if section is None:
            return Elaborated(with_heads(graph, ()).verify(), None)
        trained = training(section, graph, _recipe_scope(inner, section), self.registry)
        return Elaborated(with_heads(graph, trained.terms).verify(), trained)

    def _entered(self, chosen: ast.Net | ast.Alias, network: Network) -> tuple[Scope, ast.Body]:
        """The scope in which a net's statements are carried out, its parameters given; and them."""
        homes = Homes(network)
        *aliases, (net, home) = self._chain(chosen)
        assert isinstance(net, ast.Net)
        groups = [
            arguments(alias.args, homes.of(where))
            for alias, where in reversed(aliases)
            if isinstance(alias, ast.Alias)
        ]
        params = net.params
        if "strict" not in (param.name.text for param in params):
            no = ast.Literal(net.name.span, False)
            params = (*params, ast.Param(net.name.span, ast.Name(net.name.span, "strict"), no))
        scope = homes.of(self)
        inner = scope.called(homes.of(home))
        open_ = next((param.name.text for param in params if param.default is None), "")
        advice = f"give it a default, net {net.name.text}({open_}=10), or a value: --set {open_}=10"
        parameters(net.name.text, params, groups, chosen.name.span, inner, scope, advice)
        return inner, net.body

    def scope(self) -> Scope:
        """What the file itself declares, for expressions that stand in no net."""
        network = Network(STATEMENTS, ATOMS, CONNECTIONS, self.registry, self.nets)
        return network.mistakes.told(lambda: Homes(network).of(self))

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


def _declare_section(known: dict[str | None, Any], item: ast.Train | ast.Sweep) -> None:
    name = item.name.text if item.name else None
    if name in known:
        word = "train" if isinstance(item, ast.Train) else "sweep"
        line = known[name].span.line
        message = f"'{name}' is declared twice (line {line})" if name else f"two {word} sections"
        help = "give one of them another name" if name else f"name one: {word} paper {{ ... }}"
        raise MeaningError("E146", message, item.name.span if item.name else item.span, help)
    known[name] = item


def _recipe_scope(inner: Scope, section: ast.Train) -> Scope:
    """What a recipe sees: the file, and the tensors of the net."""
    scope = inner.called(inner.root)
    scope.labels = {name: (value, section.span) for name, (value, _) in inner.labels.items()}
    return scope


def _check_keys(section: ast.Train | None, inner: Scope, network: Network) -> None:
    """The mistakes of a recipe whose net is mistaken too, so far as they can be seen."""
    if section:
        with network.mistakes.apart():
            check_recipe(section, _recipe_scope(inner, section), network.registry)


def _check_strict(graph: Graph, inner: Scope, net: ast.Name) -> None:
    """``strict=true`` makes errors of the warnings about layers."""
    _, strict = inner.find("strict")
    if not isinstance(strict, bool):
        message = f"strict must be true or false, not {brief(strict)}"
        raise MeaningError("E114", message, net.span, "write strict=true")
    if strict and graph.warnings:
        help = "mend it, or leave strict=true out"
        wrong = (ShapeError("E208", w.message, w.span, help, w.frames) for w in graph.warnings)
        raise NetError.together(wrong)


def _start(file: ast.File) -> Span:
    return file.span.source.span(0, 0)
