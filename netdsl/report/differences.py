"""How two networks differ: layers added, removed and changed, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from netdsl.ir import Graph, Node
from netdsl.op import call_text, value_text
from netdsl.report.align import align
from netdsl.report.figures import main_macs
from netdsl.report.numbers import human

MARKS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True)
class Difference:
    """A difference, and all layers or blocks that it concerns, by their names in the new network.

    Those that are removed have names in the old one alone.
    """

    kind: str
    what: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.names)
        if len(self.names) > 2:
            names = f"{self.names[0]} … {self.names[-1]} ({len(self.names)} times)"
        return f"{MARKS[self.kind]} {names}: {self.what}"


class Comparison:
    """Two graphs and which of their layers correspond; layers that only pass on are left out.

    The order of the file counts and the names of the layers do not: without differences the
    networks compute the same.
    """

    def __init__(self, before: Graph, after: Graph) -> None:
        self.before = before
        self.after = after
        self.old = [node for node in before if not before.passes_on(node)]
        self.new = [node for node in after if not after.passes_on(node)]
        self.pairs = align(self.old, self.new)
        self.same = {a.name: b.name for a, b in self.pairs}

    @cached_property
    def differences(self) -> list[Difference]:
        """All of them, alike ones together, in the order of the networks."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for kind, what, name in self._each():
            found.setdefault((kind, what), {})[name] = None
        return [Difference(kind, what, tuple(names)) for (kind, what), names in found.items()]

    def _each(self) -> Iterator[tuple[str, str, str]]:
        gone = [node for node in self.old if node.name not in self.same]
        come = set(self.same.values())
        removed = _wholes(self.before, self.old, gone)
        added = _wholes(self.after, self.new, [n for n in self.new if n.name not in come])
        partner = {b.name: a for a, b in self.pairs}
        place = {node.name: at for at, node in enumerate(self.old)}
        passed = 0
        for node in self.new:
            if old := partner.get(node.name):
                at = place[old.name]
                yield from self._removed(self.old[passed:at], removed)
                passed = at + 1
                if changes := list(self._changes(old, node)):
                    yield "changed", ", ".join(changes), node.name
            else:
                name, what = added[node.name]
                yield "added", what, name
        yield from self._removed(self.old[passed:], removed)
        ends = [self._outputs(self.before), self._outputs(self.after)]
        if ends[0] != ends[1]:
            yield "changed", " -> ".join(", ".join(names) for names in ends), "output"

    def _removed(
        self, nodes: Iterable[Node], removed: dict[str, tuple[str, str]]
    ) -> Iterator[tuple[str, str, str]]:
        for node in nodes:
            name, what = removed[node.name]
            yield "removed", what, name

    def _changes(self, old: Node, new: Node) -> Iterator[str]:
        """What is not the same of a layer: arguments, shape, and what it reads."""
        if old.layer.name != new.layer.name:
            yield f"{call_text(old.layer)} -> {call_text(new.layer)}"
        else:
            for parameter in old.layer.parameters():
                values = [getattr(node.layer, parameter.name) for node in (old, new)]
                if values[0] != values[1]:
                    texts = [value_text(value, parameter.kind) for value in values]
                    yield f"{parameter.name} {texts[0]} -> {texts[1]}"
        if not (old.inputs or new.inputs):
            pass  # the sizes of an input are its arguments
        elif old.tensor.dims != new.tensor.dims:
            yield f"{old.tensor} -> {new.tensor}"
        elif old.tensor != new.tensor:
            yield f"{old.tensor.dtype} -> {new.tensor.dtype}"
        sources = self._sources(self.before, old.inputs), self._sources(self.after, new.inputs)
        if sources[0] != sources[1]:
            yield f"reads {', '.join(sources[0])} -> {', '.join(sources[1])}"
        owners = self._owner(self.before, old), self._owner(self.after, new)
        if owners[0] != owners[1]:
            yield f"weights of {owners[0]} -> {owners[1]}"
        if old.side != new.side:
            yield "main flow -> side head" if new.side else "side head -> main flow"

    def _sources(self, graph: Graph, names: Iterable[str]) -> list[str]:
        """What is read, by names of the new network, where that has it.

        Layers of one network alone, behind which one tensor lies, are passed by: they are told of.
        """
        behind = self._behind[graph is self.after]
        return [self._called(graph, behind[name]) for name in names]

    @cached_property
    def _behind(self) -> tuple[dict[str, str], dict[str, str]]:
        return _behind(self.before, set(self.same)), _behind(self.after, set(self.same.values()))

    def _called(self, graph: Graph, name: str) -> str:
        return self.same.get(name, f"{name} (removed)") if graph is self.before else name

    def _outputs(self, graph: Graph) -> list[str]:
        return self._sources(graph, graph.outputs)

    def _owner(self, graph: Graph, node: Node) -> str:
        return self._called(graph, node.owner) if node.shared else "its own"

    def totals(self) -> list[str]:
        """What both cost, and the difference."""
        rows = [
            ("parameters", *(each.learnt() for each in (self.before, self.after)), _comma),
            ("MACs", *(main_macs(each) for each in (self.before, self.after)), human),
        ]
        lines: list[str] = []
        for title, old, new, text in rows:
            sign = "+" if new > old else "-"
            more = f"{sign}{text(abs(new - old))}" if new != old else "the same"
            lines.append(f"{title:<10}  {text(old)} -> {text(new)}  ({more})")
        return lines


def _wholes(graph: Graph, nodes: list[Node], some: list[Node]) -> dict[str, tuple[str, str]]:
    """For each of some nodes the largest block that holds no others: its name and its call."""
    inside = Counter(path for node in nodes for path in _paths(node))
    chosen = Counter(path for node in some for path in _paths(node))
    found: dict[str, tuple[str, str]] = {}
    for node in some:
        whole = next((path for path in _paths(node) if inside[path] == chosen[path]), None)
        if whole is None:
            found[node.name] = (node.name, f"{call_text(node.layer)}, {node.tensor}")
        else:
            region = graph.regions.get(whole)
            found[node.name] = (whole, region.call if region else whole.split(".")[-1])
    return found


def _behind(graph: Graph, known: set[str]) -> dict[str, str]:
    """For each node the known one that alone lies behind it; itself, if there are several."""
    found: dict[str, str] = {}
    for node in graph:
        sources = {found[name] for name in node.inputs}
        passed_by = node.name not in known and len(sources) == 1
        found[node.name] = sources.pop() if passed_by else node.name
    return found


def _paths(node: Node) -> list[str]:
    """The blocks around a node, the outermost first."""
    return [".".join(node.path[: depth + 1]) for depth in range(len(node.path))]


def _comma(number: int) -> str:
    return f"{number:,}"
