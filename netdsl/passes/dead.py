"""Leave out the layers that nothing uses, and say so."""

from __future__ import annotations

from netdsl.errors import Warning_
from netdsl.ir import Graph


def dead(graph: Graph) -> Graph:
    """The graph without layers that reach no output and no loss; their ends are warned of."""
    wanted = {*graph.outputs, *graph.heads}
    used = graph.behind(wanted) | {node.name for node in graph.inputs}
    warnings = [
        Warning_("W202", f"nothing uses {node.name}", node.span, "read it, or leave it out")
        for node in graph
        if (node.name not in used and not graph.users(node.name))
        or (not node.inputs and not graph.users(node.name) and node.name not in wanted)
    ]
    return graph.keep(used).warn(*warnings)
