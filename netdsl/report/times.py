"""Where the time of a step goes, in a table: a row for each layer, and what belongs to none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from netdsl.backends.cpu.explain import words
from netdsl.ir import Graph, Node
from netdsl.report.table import Column, table
from netdsl.report.tree import Row, rows, tree
from netdsl.schedule import Note

VERSION = 1
"""Of the JSON object."""


@dataclass(frozen=True)
class Spent:
    """Seconds, or operations, of the forward and of the backward pass."""

    forward: float = 0.0
    backward: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.forward + other.forward, self.backward + other.backward)

    @property
    def whole(self) -> float:
        """Of both."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Times:
    """What was measured: times in seconds, ``peak`` and ``flops`` in operations.

    ``clocked`` is a step in which calls follow one another, so that each can be timed.
    """

    graph: Graph
    training: bool
    batch: int
    threads: int
    steps: Sequence[float]
    clocked: float
    peak: float
    layers: Mapping[str, Spent]
    others: Mapping[str, Spent]
    flops: Mapping[str, Spent]
    kernels: Mapping[str, Mapping[str, Note]]

    @property
    def step(self) -> float:
        """The median of the steps."""
        return median(self.steps)

    @property
    def spread(self) -> tuple[float, float]:
        """Between which times the middle half of the steps lies."""
        if len(self.steps) == 1:
            return self.step, self.step
        low, _, high = quantiles(self.steps, n=4, method="inclusive")
        return low, high

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        low, high = self.spread
        return {
            "version": VERSION,
            "net": self.graph.name,
            "training": self.training,
            "batch": self.batch,
            "threads": self.threads,
            "steps": len(self.steps),
            "images_per_second": self.batch / self.step,
            "step_seconds": {"median": self.step, "quartiles": [low, high]},
            "clocked_step_seconds": self.clocked,
            "peak_flops": self.peak,
            "layers": [self.layer(node) for node in shown(self.graph)],
            "others": {
                name: {"forward_seconds": spent.forward, "backward_seconds": spent.backward}
                for name, spent in self.others.items()
            },
        }

    def layer(self, node: Node) -> dict[str, Any]:
        """A layer for machines."""
        spent, flops = self.layers[node.name], self.flops[node.name]
        return {
            "name": node.name,
            "op": node.layer.name,
            "shape": list(node.tensor.dims),
            "forward_seconds": spent.forward,
            "backward_seconds": spent.backward,
            "flops": {"forward": flops.forward, "backward": flops.backward},
            "kernels": {n: words(note, whole=True) for n, note in self.kernels[node.name].items()},
        }


def shown(graph: Graph) -> list[Node]:
    """The layers that do something."""
    given = set(graph.inputs)
    return [node for node in graph if node not in given and not graph.passes_on(node)]


def told(times: Times, width: int) -> str:
    """All of it as text."""
    heading = [Column("layer", cut=True), Column("output")]
    heading += [Column("forward", right=True)]
    heading += [Column("backward", right=True)] if times.training else []
    heading += [Column("share", right=True), Column("GFLOP/s", right=True)]
    heading += [Column("peak", right=True), Column("kernel", cut=True)]
    given = set(times.graph.inputs)
    found = [
        cells(times, row)
        for row in rows(tree(times.graph), None, unfold=True)
        if row.region or (row.last not in given and not times.graph.passes_on(row.last))
    ]
    rest = [
        (name, "", *durations(times, spent), "", "", "") for name, spent in times.others.items()
    ]
    lines = table(heading, [*found, *rest], width)
    body, tail = lines[: len(lines) - len(rest)], lines[len(lines) - len(rest) :]
    return "\n".join((*head(times), "", *body, lines[1], *tail, lines[1], *foot(times)))


def head(times: Times) -> tuple[str, ...]:
    """The figures of whole steps."""
    low, high = (1000 * seconds for seconds in times.spread)
    does = "training" if times.training else "prediction"
    threads = f"{times.threads} thread{'s' if times.threads > 1 else ''}"
    return (
        f"{times.graph.name}, {does} on noise: batches of {times.batch}, {threads}",
        "",
        f"images  {times.batch / times.step:,.0f} a second",
        f"step    {1000 * times.step:,.2f} ms: the median of {len(times.steps)} steps, "
        f"half of them from {low:,.2f} to {high:,.2f} ms",
        f"peak    {times.peak / 1e9:,.0f} GFLOP/s: measured, multiply-adds of vectors in registers",
    )


def cells(times: Times, row: Row) -> tuple[str, ...]:
    """The row of a layer, or of a block that adds up its layers."""
    spent = sum((times.layers[node.name] for node in row.nodes), Spent())
    flops = sum(times.flops[node.name].whole for node in row.nodes)
    rate = flops / spent.whole if spent.whole else 0.0
    return (
        "  " * row.depth + row.name,
        str(row.last.tensor),
        *durations(times, spent),
        f"{rate / 1e9:,.1f}" if rate else "-",
        f"{100 * rate / times.peak:.0f} %" if rate else "-",
        "" if row.region else kernel(times.kernels[row.last.name]),
    )


def durations(times: Times, spent: Spent) -> tuple[str, ...]:
    """Milliseconds, and their share of the step."""
    passes = (spent.forward, spent.backward) if times.training else (spent.forward,)
    share = 100 * spent.whole / times.clocked
    return (
        *(f"{1000 * seconds:,.3f}" if seconds else "-" for seconds in passes),
        f"{share:.1f} %" if spent.whole else "-",
    )


def kernel(notes: Mapping[str, Note]) -> str:
    """``direct``; kernels of gradients where they are others, and the layer's own."""
    if "y" not in notes:
        return "the same memory"
    made = {name: words(note) for name, note in notes.items()}
    if notes["y"].into:
        return made["y"]
    others: dict[str, list[str]] = {}
    for name, how in made.items():
        if how != made["y"] and not notes[name].into:
            others.setdefault(how, []).append(name)
    parts = (f"{' and '.join(names)} {how}" for how, names in others.items())
    return "; ".join((made["y"], *parts))


def foot(times: Times) -> Iterator[str]:
    """What must be known to read the rows."""
    more = 100 * (times.clocked / times.step - 1)
    whole = f"{1000 * times.clocked:,.2f} ms ({more:+.0f} %)"
    yield "Times are milliseconds for a batch, medians of calls that wait for one another. Together"
    yield f"they are {whole}, of which shares are told."
    gradients = ", and again for each gradient" * times.training
    yield f"GFLOP/s: a MAC counts as two operations{gradients}."
    told = {words(note) for notes in times.kernels.values() for note in notes.values()}
    if any("winograd" in how for how in told):
        yield "Winograd's method needs fewer, so it may come out above the peak."
    if any(how.startswith(("made in", "fused")) for how in told):
        yield "What is fused into a layer, or made in it while it reads (+1: and in another), takes"
        yield "its time there."
