"""The command ``list``: the library's networks, what they cost, and the papers they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from textwrap import shorten, wrap

from netdsl.compiler import program
from netdsl.elaborate.imports import library
from netdsl.elaborate.program import Program
from netdsl.errors import DataError, nearest
from netdsl.finder import LIBRARY
from netdsl.passes import run
from netdsl.report.figures import main_macs
from netdsl.report.numbers import human
from netdsl.report.table import Column, table
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.format import format_expr

COLUMNS = (
    Column("network", cut=True),
    Column("parameters", right=True),
    Column("MACs", right=True),
    Column("input"),
)


@dataclass(frozen=True)
class Listed:
    """A network of the library; the costs are those of a sample, MACs without side heads."""

    name: str
    call: str
    parameters: int
    macs: int
    inputs: dict[str, str]


@dataclass(frozen=True)
class Book:
    """A file of the library: its networks, and the blocks that others may import."""

    name: str
    paper: str
    about: str
    nets: tuple[Listed, ...]
    blocks: tuple[str, ...]


def show(name: str | None, machine: bool, width: int, say: Callable[[str], None]) -> None:
    """Tell of the library, or of one file of it; DataError E419 if it has no such file."""
    ours = library()
    # Whatever names a file of the library to the other commands names it here.
    name = name and name.removeprefix(LIBRARY).removesuffix(".net")
    if name is not None and name not in ours:
        help = nearest(name, ours) or f"it has {', '.join(ours)}"
        raise DataError("E419", f"the library has no {name}", help=help)
    books = [book(each, ours[each]) for each in ([name] if name else ours)]
    if machine:
        say(json.dumps([asdict(each) for each in books], indent=2))
    elif name:
        say("\n".join(_page(books[0], width)))
    else:
        say("\n".join(_shelves(books, width)))


def book(name: str, path: Path) -> Book:
    """What is known of a file of the library: every network of it is carried out."""
    of = program(path)
    about = _about(of.file.span.source)
    # A sentence that ends with the year in brackets names the paper.
    paper = re.match(r"[^()]*\([^()]*\d{4}\)", about)
    return Book(
        name,
        paper.group() if paper else about.partition(". ")[0],
        about,
        tuple(_listed(of, net) for net in of.nets),
        tuple(_call(block.name.text, block.params) for block in of.blocks.values()),
    )


def _listed(of: Program, name: str) -> Listed:
    graph = run(of.elaborate(name, train=False).graph)
    item = of.nets[name]
    return Listed(
        name,
        _base(item) if isinstance(item, ast.Alias) else _call(name, item.params),
        graph.learnt(),
        main_macs(graph),
        {node.name: str(node.tensor) for node in graph.inputs},
    )


def _call(name: str, params: tuple[ast.Param, ...]) -> str:
    """``ResNet50(layers=[3, 4, 6, 3], classes=1000)``: the parameters and their defaults."""
    given = (
        f"{p.name.text}={format_expr(p.default)}" if p.default else p.name.text for p in params
    )
    return f"{name}({', '.join(given)})" if params else name


def _base(alias: ast.Alias) -> str:
    """``ResNet101 = ResNet50(layers=[3, 4, 23, 3])``, as the file says it."""
    return " ".join(alias.span.text.removeprefix("net").split())


def _about(source: Source) -> str:
    """The first comment of a file, in one line."""
    found = re.search(r"^#.*\n(?:#.*\n)*", source.text, re.MULTILINE)
    lines = found.group().splitlines() if found else []
    return " ".join(line.lstrip("# ") for line in lines)


def _shelves(books: list[Book], width: int) -> Iterator[str]:
    """A line for each file, its networks below it."""
    rows = [_row(net, f"  {net.name}") for each in books for net in each.nets]
    titles, rule, *lines = table(COLUMNS, rows, width)
    yield from (titles, rule)
    left = iter(lines)
    for each in books:
        yield shorten(f"{each.name}: {each.paper}", width, placeholder=" …")
        yield from islice(left, len(each.nets))
        if not each.nets:
            yield f"  blocks: {', '.join(block.partition('(')[0] for block in each.blocks)}"
    yield ""
    yield "Each is a FILE of the other commands: netdsl summary resnet; netdsl new me --like resnet"


def _page(each: Book, width: int) -> Iterator[str]:
    """All about one file."""
    yield from wrap(each.about, width)
    if each.nets:
        yield ""
        yield from table(COLUMNS, [_row(net, net.call) for net in each.nets], width)
    if each.blocks:
        names = ", ".join(block.partition("(")[0] for block in each.blocks[:2])
        yield from ("", f'Blocks for others: import {names} from "{each.name}"')
        yield from (f"  {block}" for block in each.blocks)


def _row(net: Listed, shown: str) -> tuple[str, ...]:
    inputs = ", ".join(net.inputs.values())
    return (shown, f"{net.parameters:,}", human(net.macs), inputs)
