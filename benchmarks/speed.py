"""The table of speed: every row, netdsl and all peers in turn."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from alternate import Failed, Turns, alternate, write_weights
from peers import COMPILED, EAGER, JAX, OURS, Found, best, tasks
from results import about, renew
from rows import SPEED, Row

PEERS = (OURS, EAGER, COMPILED, JAX)
AGREE = 1e-3  # the largest difference of losses, or outputs, that roundings explain
COLUMNS = (
    "step", "bar", "ratio", "spread", "ratio of fastest steps", OURS, EAGER, COMPILED, JAX,
    "difference", "switches", "steps",
)  # fmt: skip
NOTES = """A ratio is the best peer's time over netdsl's, turn by turn: above 1, netdsl is faster;
its median, its smallest and its largest. All sides: milliseconds a step (medians), each in its best
layout. The difference is the largest between what two sides compute, relative to the largest value:
losses of the first three steps, or outputs. Switches: how often in a second other programs took a
core away; many spoil the figures. Steps: those timed in a process, times processes. A peer, or one
of its layouts, half as slow again as another peer in two turns is not run in those after."""


def main(options: Namespace) -> None:
    """Measure the rows one by one; each is written as soon as it is done."""
    order = tuple(title(row) for row in SPEED.values())
    for key in options.rows:
        rows = {title(SPEED[key]): cells(SPEED[key], measured(key, options))}
        renew("Speed", about(len(options.cores)), COLUMNS, rows, order, NOTES)


def measured(key: str, options: Namespace) -> dict[str, Turns | Failed]:
    """Every side from the same weights, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "weights.npz")
        try:
            write_weights(key, path, options.cores)
        except Failed as failure:
            return {f"{name}/": Failed(f"netdsl: {failure}") for name in PEERS}
        made = tasks(key, PEERS, options, path)
        peers = [name for name in made if not name.startswith(f"{OURS}/")]
        return alternate(made, options.turns, peers)


def title(row: Row) -> str:
    """The first cell of a row."""
    return f"{row.title}, {'training' if row.train else 'inference'}, batch {row.batch}"


def cells(row: Row, runs: dict[str, Turns | Failed]) -> tuple[str, ...]:
    """The cells after the first."""
    found = {name: best(runs, name) for name in PEERS}
    counted = [each for each in runs.values() if isinstance(each, Turns)]
    apart = difference(counted) if counted else 0.0
    told = f"{apart:.0e}" if apart <= AGREE else f"**they disagree: {apart:.0e}**"
    switches = f"{median(each.switches for each in counted):.0f}" if counted else "-"
    fewest = min((run.steps for each in counted for run in each.runs), default=0)
    steps = f"{fewest} x {max((len(each.runs) for each in counted), default=0)}"
    figures = (found[name].cell() for name in PEERS)
    return (f"{row.bar:.1f}", *compared(found), *figures, told, switches, steps)


def compared(found: dict[str, Found]) -> tuple[str, str, str]:
    """The median ratio, its spread, and the ratio of the fastest steps."""
    ours = found[OURS].turns
    peers = [each.turns for name, each in found.items() if name != OURS]
    working = [each for each in peers if isinstance(each, Turns)]
    if isinstance(ours, Failed) or not working:
        return "-", "-", "-"
    most = max(len(each.runs) for each in working)
    peer = min((e for e in working if len(e.runs) == most), key=lambda turns: turns.milliseconds)
    ratios = ours.ratios(peer)
    quickest = min(turns.fastest for turns in working) / ours.fastest
    return f"**{median(ratios):.2f}**", f"{min(ratios):.2f} to {max(ratios):.2f}", f"{quickest:.2f}"


def difference(all_turns: Iterable[Turns]) -> float:
    """The largest difference between what any two sides compute, relative to the largest value."""
    figures = np.array([turns.runs[0].figures for turns in all_turns])
    return float(np.ptp(figures, axis=0).max() / np.abs(figures).max())
