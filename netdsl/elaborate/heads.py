"""The heads of a network: what losses read besides the outputs, and what none of them reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import networkx as nx

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
    learning = predictions.union(*(nx.ancestors(graph.network, name) for name in predictions))
    for name in dict.fromkeys([*graph.outputs, *graph.heads]):
        own = {name, *nx.ancestors(graph.network, name)} - learning
        idle = sum(1 for node in graph if node.name in own and graph.parameters(node))
        if idle:
            layers = f"{idle} of its layers" if idle > 1 else "one of its layers"
            message = f"no loss reads {name}: {layers} will not learn"
            help = f"add a loss: + 0.3 * cross_entropy(@{name})"
            node = graph[name]
            yield Warning_("W203", message, node.span, help, node.frames)
