"""A network's figures for other programs and for papers: JSON, CSV and Markdown.

The JSON object has:

- ``version``: of this structure, 1;
- ``net``, ``batch``, ``inputs`` and ``outputs`` (objects with ``name``, ``shape``, ``dtype``);
- ``layers``, in the order of the file, each an object with ``name``, ``op``, ``call`` (every
  argument spelt out), ``file``, ``line``, ``path`` (the blocks around it), ``inputs`` (names),
  ``shape``, ``dtype``, ``parameters`` (that it is the first to use), ``weights`` and ``state`` (by
  name; ``shape``, and how a weight begins: ``init``, ``distribution``, ``number`` (its standard
  deviation, bound or value), ``fan_in``, ``fan_out``; the ``value`` of a state), ``shared`` (the
  layer whose weights it uses, or null), ``side`` (whether only training computes it), ``macs`` and
  ``activation_bytes`` (one sample's), and ``receptive_field``;
- ``blocks``, by path: ``kind``, ``call``, ``file``, ``line``, ``label``;
- ``totals``: ``parameters``, ``shared_parameters``, ``side_parameters``, ``state``, ``macs``,
  ``side_macs``, ``activation_bytes`` (one sample's), ``training_bytes`` (the batch's) and
  ``training_assumes``.

``receptive_field`` has an object for each input of the network that the layer sees. Its lists have
a number for each axis: ``size``, ``stride`` (from a position to the next; null if that differs),
``start`` (the first that position 0 sees, below 0 in the padding) and ``whole`` (whether all of the
input is seen). Sizes are not clipped to the input.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import StringIO
from typing import Any, Literal, get_args

from netdsl.ir import Graph, Node
from netdsl.op import State, Weight, call_text
from netdsl.report.fields import Field
from netdsl.report.figures import Measured, Peak, shared_parameters, side_parameters, states
from netdsl.report.numbers import counted
from netdsl.report.summary import (
    axes_text,
    begins,
    cells,
    chosen_rows,
    label,
    summary,
    totals,
)
from netdsl.report.tree import Row, tree
from netdsl.source import Span

Form = Literal["text", "markdown", "csv", "json"]

VERSION = 1
TITLES = ("layer", "call", "output", "parameters", "MACs", "memory", "receptive field")
CSV_TITLES = (
    "name", "op", "call", "file", "line", "inputs", "output", "parameters", "shared", "side",
    "macs", "activation_bytes", "receptive_field",
)  # fmt: skip


def written(
    form: Form,
    measured: Measured,
    peak: Peak,
    batch: int,
    depth: int | None,
    unfold: bool,
    width: int,
) -> str:
    """The figures of a network in one of the forms; ValueError for any other."""
    if form not in get_args(Form):
        raise ValueError(f"form must be one of {', '.join(get_args(Form))}, not {form!r}")
    if form == "json":
        return as_json(measured, peak, batch)
    if form == "csv":
        return as_csv(measured)
    if form == "markdown":
        return as_markdown(measured, peak, batch, depth, unfold)
    return summary(measured, peak, batch, depth, unfold, width)


def as_json(measured: Measured, peak: Peak, batch: int) -> str:
    """The whole of a network as a JSON object; its form is told above."""
    graph = measured.graph
    whole, main = measured.total(graph), measured.total(n for n in graph if not n.side)
    told = {
        "version": VERSION,
        "net": graph.name,
        "batch": batch,
        "inputs": [_end(node) for node in graph.inputs],
        "outputs": [_end(graph[name]) for name in graph.outputs],
        "layers": [_layer(measured, node) for node in graph],
        "blocks": {
            path: {"kind": r.kind, "call": r.call, **_place(r.span), "label": r.label}
            for path, r in graph.regions.items()
        },
        "totals": {
            "parameters": whole.parameters,
            "shared_parameters": shared_parameters(graph),
            "side_parameters": side_parameters(graph),
            "state": states(graph),
            "macs": main.macs,
            "side_macs": whole.macs - main.macs,
            "activation_bytes": whole.memory,
            "training_bytes": peak.size,
            "training_assumes": peak.assumes,
        },
    }
    return _spread(told)


def _spread(told: dict[str, Any]) -> str:
    """JSON with a line for each layer and each block, to be looked through by eye and by grep."""
    lines: list[str] = []
    for key, value in told.items():
        if key == "layers":
            text = f"[\n    {_joined(map(json.dumps, value))}\n  ]"
        elif key == "blocks" and value:
            blocks = (f"{json.dumps(path)}: {json.dumps(block)}" for path, block in value.items())
            text = f"{{\n    {_joined(blocks)}\n  }}"
        else:
            text = json.dumps(value)
        lines.append(f'  "{key}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}"


def _joined(texts: Iterable[str]) -> str:
    return ",\n    ".join(texts)


def as_csv(measured: Measured) -> str:
    """A row for each layer, of one sample; its form is that of RFC 4180."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_TITLES)
    for node in measured.graph:
        made = measured[node]
        fields = measured.fields[node.name].items()
        seen = " ".join(f"{name}:{axes_text(axes)}" for name, axes in fields)
        writer.writerow(
            (node.name, node.layer.name, call_text(node.layer), *_place(node.span).values(),
             " ".join(node.inputs), node.tensor, made.parameters, node.shared, int(node.side),
             made.macs, made.memory, seen)
        )  # fmt: skip
    return text.getvalue().rstrip("\n")


def as_markdown(measured: Measured, peak: Peak, batch: int, depth: int | None, unfold: bool) -> str:
    """The table of the summary for a paper or a readme."""
    lines = [_line(TITLES), _line(["---"] * 3 + ["---:"] * 4)]
    shown = chosen_rows(tree(measured.graph), depth, unfold)
    lines += [_line(_cells(measured, row, batch)) for row in shown]
    about = f"MACs are for one sample, memory is for a batch of {batch}."
    found = (f"- {_plain(' '.join(line.split()))}" for line in totals(measured, peak, batch))
    return "\n".join((f"**{_plain(measured.graph.name)}**", "", *lines, "", about, "", *found))


def _cells(measured: Measured, row: Row, batch: int) -> list[str]:
    """What a row of the text says, but for MACs to the digit."""
    _, call, output, parameters, _, memory, field = cells(measured, row, batch)
    name = "&nbsp;" * 3 * row.depth + _plain(label(row))
    macs = counted(measured.total(row.nodes).macs)
    return [name, _code(call), output, parameters, macs, memory, field]


def _plain(text: str) -> str:
    """Text in which Markdown finds no marks of its own; ``_line`` sees to ``|``."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


def _code(text: str) -> str:
    """A span of code: its fence is longer than any run of backticks in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    gap = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{gap}{text}{gap}{fence}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _layer(measured: Measured, node: Node) -> dict[str, Any]:
    graph: Graph = measured.graph
    made = measured[node]
    return {
        "name": node.name,
        "op": node.layer.name,
        "call": call_text(node.layer, whole=True),
        **_place(node.span),
        "path": list(node.path),
        "inputs": list(node.inputs),
        "shape": list(node.tensor.dims),
        "dtype": str(node.tensor.dtype),
        "parameters": made.parameters,
        "weights": {name: _weight(weight) for name, weight in graph.weights(node).items()},
        "state": {name: _state(state) for name, state in graph.state(node).items()},
        "shared": node.shared or None,
        "side": node.side,
        "macs": made.macs,
        "activation_bytes": made.memory,
        "receptive_field": {
            name: _field(axes) for name, axes in measured.fields[node.name].items()
        },
    }


def _end(node: Node) -> dict[str, Any]:
    return {"name": node.name, "shape": list(node.tensor.dims), "dtype": str(node.tensor.dtype)}


def _place(span: Span) -> dict[str, Any]:
    return {"file": span.source.name, "line": span.line}


def _weight(weight: Weight) -> dict[str, Any]:
    distribution, number = weight.init.draw(weight.fan_in, weight.fan_out)
    return {
        "shape": list(weight.dims),
        "init": begins(weight.init),
        "distribution": distribution,
        "number": number,
        "fan_in": weight.fan_in,
        "fan_out": weight.fan_out,
    }


def _state(state: State) -> dict[str, Any]:
    return {"shape": list(state.dims), "value": state.value}


def _field(axes: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "size": [axis.size for axis in axes],
        "stride": [_number(axis.stride) for axis in axes],
        "start": [axis.start for axis in axes],
        "whole": all(axis.whole for axis in axes),
    }


def _number(value: Fraction | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value.denominator == 1 else float(value)
