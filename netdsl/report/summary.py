"""What a network is, in a table: layers, shapes, parameters, MACs, memory."""

from __future__ import annotations

from netdsl.ir import Graph, Node
from netdsl.op import call_text
from netdsl.report.table import Column, table

BYTES = 4
"""Of an element: memory is told for float32, and whole numbers have as many."""

COLUMNS = (
    Column("name"),
    Column("layer", cut=True),
    Column("output"),
    Column("parameters", right=True),
    Column("MACs", right=True),
)


def summary(graph: Graph) -> str:
    """The table of a network: a row for each layer, and below it the totals.

    A MAC is one multiplication with its addition; counts are for one sample.
    """
    lines = table(COLUMNS, [_row(graph, node) for node in graph])
    rule = lines[1]
    return "\n".join((graph.name, "", *lines, rule, *_totals(graph)))


def _row(graph: Graph, node: Node) -> tuple[str, ...]:
    parameters, macs = graph.parameters(node), graph.macs(node)
    shown = (_count(parameters), _count(macs))
    return (node.name, call_text(node.layer), str(node.tensor), *shown)


def _totals(graph: Graph) -> tuple[str, ...]:
    parameters = sum(graph.parameters(node) for node in graph)
    macs = sum(graph.macs(node) for node in graph)
    forward = sum(_made(graph, node) for node in graph)
    fed = sum(_made(graph, node) for node in graph.inputs)
    rows = [
        ("parameters", f"{parameters:,} learnt, {_mebibytes(parameters)} at float32"),
        ("state", _state(graph)),
        ("MACs", f"{_human(macs)} a sample ({macs:,})"),
        ("activations", f"{_mebibytes(forward)} a sample, forward, at float32"),
        # What is saved by reusing memory is the target's affair; inputs have no gradient.
        ("training", f"{_mebibytes(2 * forward - fed)} a sample: all activations and gradients"),
    ]
    width = max(len(name) for name, _ in rows)
    return tuple(f"{name:<{width}}  {text}" for name, text in rows)


def _state(graph: Graph) -> str:
    names: dict[str, None] = {}
    total = 0
    for node in graph:
        for name, state in graph.state(node).items():
            names[name] = None
            total += state.tensor.size
    return f"{total:,} kept, not learnt ({', '.join(names)})" if names else "none"


def _made(graph: Graph, node: Node) -> int:
    """How many numbers a layer stores for one sample; an alias stores none."""
    if node.layer.alias:
        return 0
    aux = node.layer.aux(*graph.tensors(node)).values()
    return node.tensor.size + sum(tensor.size for tensor in aux if tensor.batch)


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _human(number: int) -> str:
    """``416.5 k``, ``4.09 G``: four digits at most, two of them after the point."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T", "P"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    if not unit:
        return f"{number}"
    return f"{value:.2f} {unit}" if value < 99.995 else f"{value:.1f} {unit}"


def _mebibytes(numbers: int) -> str:
    size = numbers * BYTES / 2**20
    if 0 < size < 0.001:
        return "under 0.001 MiB"
    return f"{size:,.2f} MiB" if size >= 0.1 else f"{size:.3f} MiB"
