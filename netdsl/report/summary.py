"""What a network is, in a table: layers, shapes, parameters, MACs, memory, receptive field."""

from __future__ import annotations

from netdsl.ir import Graph, Node
from netdsl.op import Initializer, call_text
from netdsl.report.fields import Field
from netdsl.report.figures import BYTES, Measured, Peak, shared_parameters, side_parameters, states
from netdsl.report.numbers import counted, human, size_text
from netdsl.report.table import WIDTH, Column, table
from netdsl.report.tree import Block, Row, rows, tree

MOST_ROWS = 60
"""Blocks are opened as long as the table does not grow beyond this, if nobody says how many."""

COLUMNS = (
    Column("layer"),
    Column("call", cut=True),
    Column("output"),
    Column("parameters", right=True),
    Column("MACs", right=True),
    Column("memory", right=True, needed=False),
    Column("rec. field", right=True, needed=False),
)


def summary(
    measured: Measured,
    peak: Peak,
    batch: int = 1,
    depth: int | None = None,
    unfold: bool = False,
    width: int = WIDTH,
) -> str:
    """The table of a network and its totals.

    ``depth`` is how many levels of blocks are opened (as many as suit a screen if None), ``unfold``
    gives equal blocks a row each. A MAC is one multiplication with its addition, of one sample;
    memory is what a batch keeps of a forward pass.
    """
    shown = chosen_rows(tree(measured.graph), depth, unfold)
    lines = table(COLUMNS, [cells(measured, row, batch) for row in shown], width)
    legend = _legend(shown, batch, lines[0])
    return "\n".join(
        (measured.graph.name, "", *lines, lines[1], *legend, *totals(measured, peak, batch))
    )


def chosen_rows(root: Block, depth: int | None, unfold: bool) -> list[Row]:
    """The rows for a depth, or for the greatest that still suits a screen."""
    if depth is not None or unfold:
        return list(rows(root, depth, unfold))
    found = list(rows(root, 0))
    for levels in range(1, 1 + max(len(node.path) for node in root.nodes)):
        deeper = list(rows(root, levels))
        if len(deeper) > MOST_ROWS:
            break
        found = deeper
    return found


def cells(measured: Measured, row: Row, batch: int) -> tuple[str, ...]:
    """What a row says."""
    made = measured.total(row.nodes)
    shares = not made.parameters and any(node.shared for node in row.nodes)
    return (
        "  " * row.depth + label(row),
        row.region.call if row.region else call_text(row.last.layer),
        str(row.last.tensor),
        "shared" if shares else counted(made.parameters),
        human(made.macs) if made.macs else "-",
        size_text(made.memory * batch) if made.memory else "-",
        field_text(measured, row.last),
    )


def label(row: Row) -> str:
    """The name of a row, how many blocks it stands for, and whether only training computes it."""
    times = f" x{row.times}" if row.times > 1 else ""
    side = " (side)" if all(node.side for node in row.nodes) else ""
    return f"{row.name}{times}{side}"


def field_text(measured: Measured, node: Node) -> str:
    """``7x7``, ``all``; of several inputs each, unless they agree."""
    found = measured.fields[node.name].values()
    return " | ".join(dict.fromkeys(map(axes_text, found)))


def axes_text(axes: tuple[Field, ...]) -> str:
    """The field over the axes of one input: ``7x7``, or ``all`` of it."""
    if all(axis.whole for axis in axes):
        return "all"
    return "x".join(str(axis.size) for axis in axes)


def begins(init: Initializer) -> str:
    """How a weight begins: the call of the language, or a sentence where there is none."""
    return call_text(init) if init.name else f"{init.law().replace('``', '')} {call_text(init)}"


def _legend(shown: list[Row], batch: int, titles: str) -> tuple[str, ...]:
    """What must be known to read the rows."""
    lines: list[str] = []
    if hidden := [column.title for column in COLUMNS if column.title not in titles]:
        lines.append(f"There is no room here for: {', '.join(hidden)}.")
    if any(row.region for row in shown):
        lines.append("The row of a block adds up what is in it.")
    most = max(row.times for row in shown)
    if most > 1:
        lines.append(
            f"x{most}: so many equal blocks, added up; the rows in it are the first one's."
        )
    if most > 1 or _closed(shown):
        lines.append("More is shown by --depth (levels of blocks) and --unfold (everything).")
    if batch > 1:
        lines.append(f"MACs are for one sample, memory is for a batch of {batch}.")
    return (*lines, "") if lines else ()


def _closed(shown: list[Row]) -> bool:
    """Whether there is a block whose rows are not shown."""
    after = [*(row.depth for row in shown[1:]), 0]
    return any(row.region and deep <= row.depth for row, deep in zip(shown, after, strict=True))


def totals(measured: Measured, peak: Peak, batch: int) -> tuple[str, ...]:
    """The lines below the table."""
    graph = measured.graph
    whole = measured.total(graph)
    main = measured.total(node for node in graph if not node.side)
    side = any(node.side for node in graph)
    size = size_text(BYTES * whole.parameters)
    lines = [("parameters", f"{whole.parameters:,} learnt, {size} at float32")]
    if shared := shared_parameters(graph):
        lines.append(("", f"of them used by several layers, counted once: {shared:,}"))
    if side:
        held = side_parameters(graph)
        lines.append(("", f"of them in side heads (training only): {held:,}"))
        lines.append(("", f"without side heads: {whole.parameters - held:,}"))
    lines.append(("state", _state(graph)))
    lines.append(("MACs", f"{human(main.macs)} a sample ({main.macs:,})"))
    if side:
        lines.append(("", f"with side heads: {human(whole.macs)} ({whole.macs:,})"))
    batched = f"a batch of {batch}"
    lines.append(("activations", f"{size_text(whole.memory * batch)} for {batched}, forward"))
    lines.append(("training", f"{size_text(peak.size)} of tensors for {batched}, {peak.assumes}"))
    width = max(len(name) for name, _ in lines)
    return tuple(f"{name:<{width}}  {text}" for name, text in lines)


def _state(graph: Graph) -> str:
    found = states(graph)
    if not found:
        return "none"
    return f"{sum(found.values()):,} kept, not learnt ({', '.join(found)})"
