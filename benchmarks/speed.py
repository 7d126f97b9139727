"""The table of speed: every row, netdsl and all peers in turn."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from alternate import Failed, Turns, alternate, run, write_weights
from peers import COMPILED, EAGER, JAX, OURS, Found, best, exact, tasks
from results import about, renew
from rows import SPEED, Row
from side import Task

PEERS = (OURS, EAGER, COMPILED, JAX)
AGREE = 1e-3  # differences of losses, or outputs, that are roundings, however large the peers' are
ROUNDED = 2  # or so many times the largest of the peers'
COLUMNS = (
    "step", "bar", "ratio", "spread", "ratio of fastest steps", OURS, EAGER, COMPILED, JAX,
    f"{OURS} off", "peers off", "switches", "steps",
)  # fmt: skip
NOTES = """A ratio is the best peer's time over netdsl's, turn by turn: above 1, netdsl is faster;
its median, its smallest and its largest. All sides: milliseconds a step (medians), each in its best
layout. Off: how far what netdsl computes, and what the peer furthest off does, is from what PyTorch
computes in float64, relative to the largest value: losses of the first three steps, or outputs.
Switches: how often in a second other programs took a
core away; many spoil the figures. Steps: those timed in a process, times processes. A peer, or one
of its layouts, half as slow again as another peer in two turns is not run in those after."""


def main(options: Namespace) -> None:
    """Measure the rows one by one; each is written as soon as it is done."""
    order = tuple(title(row) for row in SPEED.values())
    for key in options.rows:
        rows = {title(SPEED[key]): cells(SPEED[key], *measured(key, options))}
        renew("Speed", about(len(options.cores)), COLUMNS, rows, order, NOTES)


def measured(key: str, options: Namespace) -> tuple[dict[str, Turns | Failed], list[float]]:
    """Every side from the same weights, in turn; and what PyTorch computes in float64."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "weights.npz")
        try:
            write_weights(key, path, options.cores)
        except Failed as failure:
            return {f"{name}/": Failed(f"netdsl: {failure}") for name in PEERS}, []
        made = tasks(key, PEERS, options, path)
        peers = [name for name in made if not name.startswith(f"{OURS}/")]
        return alternate(made, options.turns, peers), truth(exact(key, options, path))


def truth(task: Task) -> list[float]:
    """The figures of a task that is not timed; none if it can't be run."""
    try:
        return run(replace(task, steps=0)).figures
    except Failed:
        return []


def title(row: Row) -> str:
    """The first cell of a row."""
    return f"{row.title}, {'training' if row.train else 'inference'}, batch {row.batch}"


def cells(row: Row, runs: Mapping[str, Turns | Failed], true: Sequence[float]) -> tuple[str, ...]:
    """The cells after the first."""
    found = {name: best(runs, name) for name in PEERS}
    counted = [each for each in runs.values() if isinstance(each, Turns)]
    switches = f"{median(each.switches for each in counted):.0f}" if counted else "-"
    fewest = min((run.steps for each in counted for run in each.runs), default=0)
    steps = f"{fewest} x {max((len(each.runs) for each in counted), default=0)}"
    figures = (found[name].cell() for name in PEERS)
    return (f"{row.bar:.1f}", *compared(found), *figures, *off(runs, true), switches, steps)


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


def off(runs: Mapping[str, Turns | Failed], true: Sequence[float]) -> tuple[str, str]:
    """How far netdsl and the peer furthest off are from the truth: whether roundings explain it."""
    working = {name: each for name, each in runs.items() if isinstance(each, Turns)}
    if not true or f"{OURS}/" not in working or len(working) == 1:
        return "-", "-"
    apart = {name: distance(each.runs[0].figures, true) for name, each in working.items()}
    ours = apart.pop(f"{OURS}/")
    furthest = max(apart.values())
    agrees = ours <= max(AGREE, ROUNDED * furthest)
    return f"{ours:.0e}" if agrees else f"**it disagrees: {ours:.0e}**", f"{furthest:.0e}"


def distance(figures: Sequence[float], true: Sequence[float]) -> float:
    """The largest difference relative to the largest value."""
    return float(np.abs(np.subtract(figures, true)).max() / np.abs(true).max())
