"""Graph to graph, one pass to a file; the pipeline runs them and verifies what each leaves."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ir import Graph
from netdsl.passes.dead import dead
from netdsl.passes.expectations import expectations

Pass = Callable[[Graph], Graph]

PIPELINE: tuple[Pass, ...] = (expectations, dead)


def run(graph: Graph) -> Graph:
    """The graph after all passes."""
    for one in PIPELINE:
        graph = one(graph).verify()
    return graph
