"""Tree to text, in the one canonical form: reading it gives the same tree.

Two blanks of indent, one statement a line, a pipe on one line where it fits. Of a source, whose
comments are kept (``comments``), three things are the user's: which braces and branches stand on
one line, and where a blank line separates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.comments import Notes
from netdsl.syntax.format_steps import format_body, format_statement
from netdsl.syntax.format_values import format_args, format_string, format_value
from netdsl.syntax.layout import WIDTH, Bracket, Doc, Row, lay, lines, seq, size
from netdsl.syntax.parse import parse

__all__ = ["WIDTH", "format_expr", "format_file", "format_source"]

_LAYOUT = re.compile(r"(?:\s|#[^\n]*)*")
_HEADER = re.compile(r"netdsl[ \t]+[0-9]+")


def format_source(source: Source) -> str:
    """The canonical text of a source, its comments kept: the tree stays, the layout does not.

    Formatting the result again changes nothing. Raises what ``parse`` raises.
    """
    file = parse(source)
    return _file(file, Notes(source), _header(source) if file.version is not None else None)


def format_file(file: ast.File) -> str:
    """The canonical text of a tree without comments: ``parse(format_file(f)) == f``."""
    nowhere = Source("", "").span(0, 0)
    return _file(file, Notes(None), ast.Literal(nowhere, file.version) if file.version else None)


def format_expr(expr: ast.Expr) -> str:
    """The canonical text: ``parse_expr(format_expr(e)) == e`` but for the places."""
    return lay(format_value(Notes(None), expr), 0, 0, 0)


def _header(source: Source) -> ast.Literal:
    """The line ``netdsl 1``, of which the tree keeps the number alone."""
    layout = _LAYOUT.match(source.text)
    found = _HEADER.match(source.text, layout.end() if layout else 0)
    assert found is not None
    return ast.Literal(source.span(found.start(), found.end()), 1)


def _file(file: ast.File, notes: Notes, header: ast.Literal | None) -> str:
    nodes: tuple[ast.Literal | ast.Item, ...] = ((header,) if header else ()) + file.items

    def write(node: ast.Literal | ast.Item) -> Row:
        return Row(_declaration(notes, node))

    rows, _ = notes.rows(nodes, write, 0, 1 << 62, loose=True)
    rows = tuple(_separated(rows, nodes, notes))
    return lines(rows, 0) + "\n" if rows else ""


def _separated(rows: Iterable[Row], nodes: Iterable[ast.Tree], notes: Notes) -> Iterator[Row]:
    """The rows with a blank line around each declaration of several lines."""
    before: tuple[ast.Tree, bool] | None = None
    group: list[Row] = []
    items = iter(nodes)
    for row in rows:
        group.append(row)
        if row.remark:
            continue
        item = next(items)
        tall = size(row.doc).tall or size(row.doc).first > WIDTH
        if before and _apart(*before, item, tall, notes) and not any(one.blank for one in group):
            group[0] = replace(group[0], blank=True)
        yield from group
        group, before = [], (item, tall)
    yield from group


def _apart(before: ast.Tree, was_tall: bool, item: ast.Tree, tall: bool, notes: Notes) -> bool:
    """Whether a blank line must separate two; an alias may follow its net at once.

    What follows the line ``netdsl 1`` is the user's choice, where there is a user.
    """
    if isinstance(before, ast.Literal):
        return tall and notes.bare
    return tall or (was_tall and not isinstance(item, ast.Alias))


def _declaration(notes: Notes, item: ast.Literal | ast.Item) -> Doc:
    match item:
        case ast.Literal(value=value):
            return f"netdsl {value}"
        case ast.Import(names=names, path=path):
            return f"import {', '.join(name.text for name in names)} from {format_string(path)}"
        case ast.Let() | ast.Default():
            return format_statement(notes, item)
        case ast.Block(name=name, params=params, body=body):
            head = seq(f"block {name.text}", _params(notes, name, params, body))
            return seq(head, " ", format_body(notes, body))
        case ast.Net(name=name, params=params, body=body):
            head = seq(f"net {name.text}", _params(notes, name, params, body))
            return seq(head, " ", format_body(notes, body))
        case ast.Alias(name=name, base=base, args=args, span=span):
            end = base.span.end
            return seq(f"net {name.text} = {base.text}", format_args(notes, args, end, span.end))
        case ast.Train() | ast.Sweep():
            return _section(notes, item)


def _params(notes: Notes, name: ast.Name, params: tuple[ast.Param, ...], body: ast.Body) -> Doc:
    start, end = name.span.end, body.span.start
    forced = notes.within(start, end)
    rows, aside = notes.rows(params, lambda one: Row(_param(notes, one)), start, end)
    return Bracket("(", rows, ")", aside=aside, forced=forced) if rows or aside else ""


def _param(notes: Notes, param: ast.Param) -> Doc:
    if param.default is None:
        return param.name.text
    return seq(f"{param.name.text}=", format_value(notes, param.default))


def _section(notes: Notes, section: ast.Train | ast.Sweep) -> Doc:
    """``train paper { ... }`` with the signs of equality in one column."""
    word = "train" if isinstance(section, ast.Train) else "sweep"
    start = section.name.span.end if section.name else section.span.start
    settings = section.settings
    width = max((len(setting.key.text) for setting in settings), default=0)

    def write(one: ast.Setting) -> Row:
        return Row(seq(f"{one.key.text:{width}} = ", format_value(notes, one.value)))

    rows, aside = notes.rows(settings, write, start, section.span.end, loose=True)
    name = f"{section.name.text} " if section.name else ""
    forced = bool(rows or aside)
    return seq(f"{word} {name}", Bracket("{", rows, "}", comma="", aside=aside, forced=forced))
