"""The texts of a picture: labels as tables, in which nothing of the user's means anything."""

from __future__ import annotations

import re
import textwrap
from functools import lru_cache
from html import escape

import graphviz

from netdsl.errors import NetError
from netdsl.ir import Node
from netdsl.op import value_text
from netdsl.report.picture_flow import Flow, Kind
from netdsl.report.picture_parts import Box, Stack
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.parse import parse_expr
from netdsl.tensor import Tensor

INK, DIM, GREY, PALE = "#222222", "#636a75", "#8a8f98", "#c9cdd3"
SKIP = "#c2571a"
CLOSED = "#e9ecf1"
FILLS: dict[Kind, str] = {
    "end": "#ffffff",
    "learns": "#cfe2f8",
    "scales": "#cdeae6",
    "activation": "#fbe3c2",
    "pooling": "#dcebcf",
    "join": "#e8dbf1",
    "other": "#f1f1ee",
}
KINDS: dict[Kind, str] = {
    "learns": "weights",
    "scales": "normalisation",
    "activation": "activation",
    "pooling": "pooling",
    "join": "join",
    "other": "other",
}
"""What the legend says of a colour."""
WIDEST = 38
"""Characters of a line of a label."""


def call(flow: Flow, node: Node) -> str:
    """A layer as its line of the file calls it, with values.

    What a ``default`` says is left out; of a layer that no line calls, what all its kind have.
    """
    layer = node.layer
    written = _written(node.span.text, layer.name)
    kin = [other.layer for other in flow.nodes if other.layer.name == layer.name]
    given: list[str] = []
    for place, parameter in enumerate(layer.parameters()):
        value = getattr(layer, parameter.name)
        if written is None:
            common = len(kin) > 1 and all(getattr(k, parameter.name) == value for k in kin)
            shown = parameter.required or not (value == parameter.default or common)
            if isinstance(value, tuple) and len(set(value)) == 1:
                value = value[0]
        else:
            names = (parameter.name, *(w for w, n in layer.synonyms.items() if n == parameter.name))
            named = value != parameter.default and any(n in written[1] for n in names)
            shown = parameter.required or place < written[0] or named
        text = value_text(value, parameter.kind)
        if shown:
            named = not (parameter.required or (written and place < written[0]))
            given.append(f"{parameter.name}={text}" if named else text)
    return f"{layer.name}({', '.join(given)})" if given else layer.name


@lru_cache(4096)
def _written(text: str, name: str) -> tuple[int, frozenset[str]] | None:
    """How many arguments a step gives by place, and which by name; None if it is another's."""
    if not re.match(rf"{name}\b", text):
        return None
    try:
        expr = parse_expr(Source("", text))
    except NetError:
        return None
    args = expr.args if isinstance(expr, ast.Fn) else ()
    names = frozenset(arg.name.text for arg in args if arg.name)
    return len(args) - len(names), names


def stack_label(flow: Flow, stack: Stack, turns: int, notes: list[str], color: str) -> str:
    """A stack as a table: its main layer over or under a row of what is attached to it."""
    light = [flow.light(node) for node in stack.nodes]
    main = next((n for n, small in zip(stack.nodes, light, strict=True) if not small), None)
    small = [node for node in stack.nodes if node is not main]
    below = _below(flow, stack, main or small[-1], notes)
    rows: list[list[str]] = []
    if main:
        text = "<br/>".join([*_wrapped(call(flow, main)), *below])
        rows.append([_cell(text, FILLS[flow.kinds[main.name]], colspan=max(1, len(small)))])
    if small:
        texts = [_font(_safe(call(flow, node)), 9 if main else 11) for node in small]
        if main is None:
            texts[-1] = "<br/>".join([texts[-1], *below])
        fills = [FILLS[flow.kinds[node.name]] for node in small]
        cells = [_cell(text, fill) for text, fill in zip(texts, fills, strict=True)]
        rows.insert(0 if light[0] else len(rows), cells)
    if turns > 1:
        rows[0].append(_cell(_badge(turns), INK, rowspan=len(rows)))
    return _table(rows, color, 3, "dashed" if stack.nodes[0].side else "")


def closed_label(box: Box, made: Tensor, learnt: list[int], notes: list[str], color: str) -> str:
    """A closed block: its call, what it makes, how much it learns (``learnt`` by turns)."""
    lines = [f"<b>{line}</b>" for line in _wrapped(box.title)]
    facts = [str(made)]
    if any(learnt):
        each = len(learnt) > 1 and len(set(learnt)) == 1
        facts.append(f"{learnt[0] if each else sum(learnt):,} parameters{' each' * each}")
    lines.append(_font(" &#183; ".join(facts), 9, DIM))
    cells = [_cell("<br/>".join([*lines, *map(_note, notes)]), CLOSED)]
    cells += [_cell(_badge(len(learnt)), INK)] if len(learnt) > 1 else []
    return _table([cells], color, 4, "dashed" if box.side else "rounded")


def title_label(title: str, turns: int, notes: list[str]) -> str:
    """The heading of an open block."""
    lines = [*_wrapped(title), *map(_note, notes)]
    cells = [f"<td>{'<br/>'.join(lines)}</td>"] if lines else []
    cells += [_cell(_badge(turns), INK)] if turns > 1 else []
    if not cells:
        return ""
    row = f"<tr>{''.join(cells)}</tr>"
    return f'<<table border="0" cellspacing="0" cellpadding="2">{row}</table>>'


def legend_label(caption: str, kinds: set[Kind], skips: bool, side: bool) -> str:
    """What stands below the picture: the net in a line, and the meaning of the colours."""
    cells = [_cell(text, FILLS[kind]) for kind, text in KINDS.items() if kind in kinds]
    cells += [f'<td><font color="{SKIP}">skip</font></td>'] if skips else []
    cells += ['<td style="dashed">training only</td>'] if side else []
    head = f'<td border="0" colspan="{max(1, len(cells))}">{_font(_safe(caption), 11)}</td>'
    rows = f"<tr>{head}</tr>" + (f"<tr>{''.join(cells)}</tr>" if cells else "")
    style = f'border="0" cellborder="1" cellspacing="4" cellpadding="3" color="{PALE}"'
    return f"<<table {style}>{rows}</table>>"


def plain(*lines: str) -> str:
    """A label of these lines, in which nothing means anything to graphviz."""
    texts = (graphviz.escape(_printable(line).replace("&", "&amp;")) for line in lines)
    return graphviz.nohtml("\\n".join(texts))


def _below(flow: Flow, stack: Stack, node: Node, notes: list[str]) -> list[str]:
    """Under a layer's call: what the file calls it, if it does, and what else is to be said."""
    name = node.name.split(".")[-1]
    lines = [stack.label] if stack.label else []
    if not re.fullmatch(rf"{re.escape(node.layer.name)}\d*", name) and node.name not in flow.ends:
        lines.append(name)
    return [*(_font(f"<i>{_safe(line)}</i>", 9, DIM) for line in lines), *map(_note, notes)]


def _printable(text: str) -> str:
    """The text without characters that no XML may hold."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _safe(text: str) -> str:
    """The text as a label of HTML shows it: graphviz replaces ``\\N`` there too."""
    return escape(_printable(text)).replace("\\", "\\\\")


def _note(text: str) -> str:
    return _font(_safe(text), 9, DIM)


def _table(rows: list[list[str]], color: str, padding: int, style: str) -> str:
    borders = 'border="0" cellborder="1" cellspacing="0"'
    named = f' style="{style}"' if style else ""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<<table {borders} cellpadding="{padding}" color="{color}"{named}>{body}</table>>'


def _wrapped(text: str) -> list[str]:
    return [_safe(line) for line in textwrap.wrap(text, WIDEST, break_on_hyphens=False)]


def _badge(turns: int) -> str:
    return f'<font color="#ffffff"><b>&#215;{turns}</b></font>'


def _cell(text: str, fill: str, colspan: int = 1, rowspan: int = 1) -> str:
    spans = f' colspan="{colspan}"' if colspan > 1 else ""
    spans += f' rowspan="{rowspan}"' if rowspan > 1 else ""
    return f'<td bgcolor="{fill}"{spans}>{text}</td>'


def _font(text: str, size: int, color: str = "") -> str:
    colour = f' color="{color}"' if color else ""
    return f'<font point-size="{size}"{colour}>{text}</font>'
