"""The driver: the one module that knows the order of the floors, from text to a running model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import netdsl
from netdsl.device import choose_device, target_of
from netdsl.elaborate.overrides import Override, chosen_train, from_python, override
from netdsl.elaborate.program import Elaborated, Program
from netdsl.elaborate.resolve import resolve
from netdsl.errors import NetError
from netdsl.finder import find
from netdsl.ir import Graph
from netdsl.op import REGISTRY, Registry
from netdsl.passes import run
from netdsl.recipe import Recipe
from netdsl.source import Source, Span
from netdsl.syntax import ast
from netdsl.syntax.format import format_file
from netdsl.syntax.parse import parse

if TYPE_CHECKING:
    import graphviz

    from netdsl.backends.emit import Emitted
    from netdsl.report.figures import Peak
    from netdsl.report.formats import Form
    from netdsl.runtime.model import Model
    from netdsl.schedule import Schedule

PACKAGES = ("ops", "losses", "optimizers", "schedules", "initializers", "metrics", "datasets")


Report = Callable[[int, int, str], None]
"""Told of each kernel before it is compiled: how many are done, of how many, and its name."""


def vocabulary() -> Registry:
    """Every op of the language; importing their packages registers them."""
    for package in PACKAGES:
        import_module(f"netdsl.{package}")
    return REGISTRY


@dataclass(frozen=True, repr=False)
class Net:
    """A network of a file, elaborated and checked: what `netdsl.load` returns."""

    file: ast.File
    elaborated: Elaborated
    recipe_name: str | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    """The project's files that it imports, by their paths from its own directory."""

    def __repr__(self) -> str:
        return (
            f"Net {self.name}: {len(self.graph.nodes)} layers, {self.graph.learnt():,} parameters"
        )

    @property
    def graph(self) -> Graph:
        """The graph after all passes."""
        return self.elaborated.graph

    @property
    def name(self) -> str:
        """The net's name."""
        return self.graph.name

    @property
    def recipe(self) -> Recipe | None:
        """How the file trains it, if it says so."""
        return self.elaborated.training.recipe if self.elaborated.training else None

    def summary(
        self, form: Form = "text", *, batch: int | None = None, depth: int | None = None,
        unfold: bool = False, width: int = 100,
    ) -> str:  # fmt: skip
        """What the network is: layers, shapes, parameters, MACs, memory, receptive fields.

        ``form`` is text, markdown, csv or json. Memory is for a ``batch`` (the recipe's, else 1).
        In text and markdown ``depth`` levels of blocks are opened (as many as suit a screen if not
        given), and ``unfold`` gives every layer of equal blocks a row.
        """
        from netdsl.report.figures import Measured
        from netdsl.report.formats import written

        if batch is None:
            batch = self.recipe.batch if self.recipe else 1
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        peak = self._peak(batch)
        return written(form, Measured(self.graph), peak, batch, depth, unfold, width)

    def explain(self, layer: str, width: int = 100) -> str:
        """How a layer or a block comes about: formulas with their numbers, weights, what it sees.

        ``layer`` is its name, or an end of it that only one has. MeaningError E170 or E171 if none
        or several are called so.
        """
        from netdsl.report.explain import explain
        from netdsl.report.figures import Measured

        return explain(Measured(self.graph), layer, width)

    def _peak(self, batch: int) -> Peak:
        """The memory of training if no tensors share any: what a target takes is mostly less."""
        from netdsl.report.figures import Peak, plain_peak

        if self.recipe is None:
            return plain_peak(self.graph, batch)
        assumes = f"with {self.recipe.optimizer.name}"
        return Peak(self.schedule().memory(batch), assumes)

    def draw(
        self, path: str | Path | None = None, depth: int | str = "auto", left_right: bool = False
    ) -> graphviz.Digraph:
        """The picture as a graphviz graph; written to ``path`` (svg, png, pdf or dot) if given.

        ``depth`` says how many levels of blocks are open: a number, ``all``, or ``auto``, what fits
        on a page.
        """
        from netdsl.report.draw import draw, render
        from netdsl.report.picture_view import read_depth

        levels = read_depth(depth)
        if path is not None:
            render(self.graph, Path(path), levels, left_right)
        return draw(self.graph, levels, left_right)

    def schedule(self) -> Schedule:
        """What a target must do: forward, backward, update."""
        return self._schedule

    @cached_property
    def _schedule(self) -> Schedule:
        from netdsl.autodiff import schedule

        training = self.elaborated.training
        if training is None:
            return schedule(self.graph)
        made = schedule(self.graph, training.terms, training.recipe.optimizer)
        return replace(made, precision=training.recipe.precision)

    def source(self, device: str = "cpu") -> str:
        """The Python module of the network: kernels and model, for numpy and numba alone."""
        from netdsl.backends.emit import emit, safe_place

        place = safe_place(self.file.span.source.name)
        about = f"{self.name}, compiled by netdsl {netdsl.__version__} from {place}."
        return emit(self.schedule(), target_of(device), about)

    def module(self, device: str | None = None) -> ModuleType:
        """The imported module of the network, from the cache."""
        from netdsl.backends.emit import emit_cached
        from netdsl.backends.known import known
        from netdsl.backends.loader import load

        device = self._device(device)

        def emit() -> Emitted:
            return emit_cached(self.schedule(), target_of(device), self.name)

        if _own_words():
            return load(emit())
        recipe = (str(self.recipe_name), str(self.recipe is None))
        texts = (f"{path}\0{source.text}" for path, source in self.sources.items())
        parts = (device, self.file.span.source.name, self.name, *recipe, *texts)
        return known((*parts, format_file(self.file)), emit)

    def compile(
        self, device: str | None = None, batch: int | None = None, seed: int | None = None,
        report: Report | None = None, threads: int | None = None,
    ) -> Model:  # fmt: skip
        """A model in memory, its kernels compiled or read from the cache.

        ``device`` is cpu, cuda or auto (the recipe's if not given), ``batch`` the most samples that
        are computed at a time: the recipe's if not given, and without a recipe the largest power of
        two up to 64 for which a quarter of the free memory suffices. On a CPU ``threads`` work
        together: as many as there are cores if not given. ``report(done, total, name)`` is told of
        each kernel that must be compiled. RunError E511 if there is not enough memory.
        """
        from netdsl.backends.cache import trim
        from netdsl.runtime.memory import check_memory, modest_batch
        from netdsl.runtime.model import Model

        recipe = self.recipe
        if batch is not None and batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        device = self._device(device)
        module = self.module(device)
        if batch is None:
            batch = recipe.batch if recipe else modest_batch(module.Model.room)
        check_memory(module.Model.room, batch)
        missing = _compile(module, device, report)
        engine = module.Model(
            seed=seed if seed is not None else (recipe.seed if recipe else 0),
            batch=batch,
            report=report if missing else None,
            threads=threads,
        )
        if missing:
            trim()
        return Model(engine, recipe)

    def _device(self, device: str | None) -> str:
        """``cpu`` or ``cuda``: what is asked for, else what the recipe says, else what is there."""
        return choose_device(device or (self.recipe.device if self.recipe else "auto"))

    def setting(self, key: str) -> Span | None:
        """Where the recipe sets a key."""
        train = chosen_train(self.file, self.recipe_name)
        settings = train.settings if train else ()
        return next((s.span for s in settings if s.key.text == key), None)

    def resolved(self) -> str:
        """The file with every key of its recipe filled in, as it is saved beside the weights."""
        return format_file(resolve(self.file, self.recipe_name, self.recipe))


def load(
    path: str | Path,
    net: str | None = None,
    recipe: str | None = None,
    changes: Iterable[Override] = (),
    train: bool = True,
    **params: Any,
) -> Net:
    """Read a ``.net`` file and elaborate one of its nets (the first, if none is named).

    A bare name, ``resnet``, is the library's, unless there is a file of that name;
    ``lib:resnet`` always is.
    Keyword arguments are values for the net's parameters: ``load("resnet.net", "ResNet50",
    classes=10)``. Without ``train`` a recipe that reads tensors of another net is left out. Raises
    `NetError` with the place of whatever is wrong.
    """
    source, path = find(path)
    return load_source(source, net, recipe, changes, train, path, **params)


def loads(text: str, /, net: str | None = None, recipe: str | None = None, **params: Any) -> Net:
    """The same as `load` from a text, as in a notebook; it can import from the library alone."""
    return load_source(Source("<text>", text), net, recipe, **params)


def nets(path: str | Path) -> list[str]:
    """The names of the nets of a file, in their order."""
    return list(program(path).nets)


def program(path: str | Path) -> Program:
    """The declarations of a file and of those that it imports."""
    source, path = find(path)
    return Program.of(parse(source), vocabulary(), path)


def load_source(
    source: Source,
    net: str | None = None,
    recipe: str | None = None,
    changes: Iterable[Override] = (),
    train: bool = True,
    path: Path | None = None,
    **params: Any,
) -> Net:
    """The same from a text; what it imports is looked for beside ``path``."""
    registry = vocabulary()
    file = parse(source)
    changes = [*changes, *(from_python(name, value) for name, value in params.items())]
    program = Program.of(file, registry, path)
    if changes:
        chosen, signature = program.choose(net).name.text, program.signature(net)
        file = override(file, chosen, signature, recipe, changes, registry)
        program = program.changed(file)
    elaborated = program.elaborate(net, recipe, train or len(program.nets) == 1)
    try:
        graph = run(elaborated.graph)
    except NetError as error:
        # What the file claims of itself may not hold for other values than its own.
        if given := [each.key.text for each in changes if "." not in each.key.text]:
            told = f"not as in the file: {', '.join(given)}"
            error.help = f"{error.help}; {told}" if error.help else told
        raise
    return Net(file, replace(elaborated, graph=graph), recipe, program.sources)


def _own_words() -> bool:
    """Whether there are ops besides netdsl's, whose code can be anywhere."""
    ops = (op for kind in REGISTRY.values() for op in kind.values())
    return any(not op.__module__.startswith("netdsl.") for op in ops)


def _compile(module: ModuleType, device: str, report: Report | None) -> list[str]:
    """Compile what no cache holds, as far as many cores can; returns the kernels that are left."""
    from netdsl.backends.known import stems
    from netdsl.backends.loader import cache_directory
    from netdsl.backends.warmup import warm_up

    needed = stems(module)
    return warm_up(cache_directory(), needed, report) if device == "cpu" else needed[:-1]
