"""The heads of a network: what losses read besides the outputs, and what none of them reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from netdsl.errors import Warning_
from netdsl.ir import Graph
from netdsl.schedule import Term


def with_heads(graph: Graph, terms: Iterable[Term]) -> Graph:
    """The graph with what losses read and the ends of side heads as its heads.

    A head that no loss reads is warned of (W203) if the network is trained: it never learns.
    """
    terms = tuple(terms)
    read = [name for term in terms for name in (term.prediction, term.target) if name]
    ends = [node.name for node in graph if node.side and not graph.users(node.name)]
    graph = replace(graph, heads=tuple(dict.fromkeys([*read, *ends])))
    return graph.warn(*_idle(graph, {term.prediction for term in terms})) if terms else graph


def _idle(graph: Graph, predictions: set[str]) -> Iterable[Warning_]:
    """A warning for every head with weights that no loss moves."""
    learning = graph.behind(predictions)
    owners = {graph[name].owner for name in learning}
    towards: dict[str, str] = {name: name for name in [*graph.heads, *graph.outputs]}
    idle: Counter[str] = Counter()
    for node in reversed(graph.nodes):
        head = towards.get(node.name)
        if head is None or node.name in learning:
            continue
        towards.update(dict.fromkeys(node.inputs, head))
        idle[head] += bool(node.owner not in owners and graph.weights(node))
    for name in dict.fromkeys([*graph.outputs, *graph.heads]):
        if count := idle[name]:
            layers = f"{count} of its layers" if count > 1 else "one of its layers"
            message = f"no loss reads {name}: {layers} will not learn"
            label = name if "." not in name else "x"
            help = f"add a loss: + 0.3 * cross_entropy(@{label})"
            node = graph[name]
            yield Warning_("W203", message, node.span, help, node.frames)
