"""The command ``diff``: two networks, each of a file or of the library, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from netdsl.compiler import Net, load
from netdsl.elaborate.overrides import Override, change
from netdsl.finder import LIBRARY
from netdsl.report.differences import Comparison
from netdsl.report.figures import main_macs


def compare(
    before: str, after: str, changes: Iterable[str], machine: bool, say: Callable[[str], None]
) -> int:
    """Tell how two networks differ; the exit status: 0 if they do not, 1 if they do.

    ``changes`` are made to both: ``classes=10``.
    """
    given = [change(text) for text in changes]
    nets = old, new = _load(before, given), _load(after, given)
    found = Comparison(old.graph, new.graph)
    if machine:
        sides = {side: _facts(net) for side, net in zip(("before", "after"), nets, strict=True)}
        differences = [asdict(each) for each in found.differences]
        say(json.dumps({**sides, "differences": differences}, indent=2))
    else:
        title = " -> ".join(f"{net.name} ({net.file.span.source.name})" for net in nets)
        lines = [str(each) for each in found.differences] or ["no difference"]
        say("\n".join((title, "", *lines, "", *found.totals())))
    return 1 if found.differences else 0


def _load(given: str, changes: Iterable[Override]) -> Net:
    """``FILE`` or ``FILE:NET``; a recipe does not matter here."""
    file, colon, name = given.rpartition(":")
    if colon and f"{file}:" != LIBRARY and name.isidentifier() and not Path(given).exists():
        return load(file, name, changes=changes, train=False)
    return load(given, changes=changes, train=False)


def _facts(net: Net) -> dict[str, object]:
    graph = net.graph
    return {
        "file": net.file.span.source.name,
        "net": net.name,
        "parameters": graph.learnt(),
        "macs": main_macs(graph),
    }
