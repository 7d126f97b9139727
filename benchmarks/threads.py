"""What a second core gives: training on the first core, and on both."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from statistics import median

from alternate import Failed, Turns, alternate
from peers import EAGER, OURS, tasks
from results import about, renew
from rows import SPEED

BAR, ROW = 1.8, "resnet18"
COLUMNS = ("training", "bar", "ratio", "spread", "one core, ms", "two cores, ms")
NOTES = "A ratio is the time on one core over that on two, turn by turn: 2 is all there is."


def main(options: Namespace) -> None:
    """Measure netdsl and PyTorch, each against itself."""
    made = {
        f"{name}, {len(cores)}": replace(task, cores=cores)
        for name, task in tasks(ROW, (OURS, EAGER), options, "").items()
        for cores in (options.cores[:1], options.cores)
    }
    runs = alternate(made, options.turns)
    row = f"{SPEED[ROW].title}, batch {SPEED[ROW].batch}"
    rows = {
        f"{row}, {side}": cells(*(quickest(runs, side, count) for count in (1, len(options.cores))))
        for side in (OURS, EAGER)
    }
    renew("Threads", about(len(options.cores)), COLUMNS, rows, tuple(rows), NOTES)


def quickest(runs: dict[str, Turns | Failed], side: str, count: int) -> Turns | Failed:
    """The fastest variant of a side on so many cores, or why there is none."""
    mine = [
        found
        for name, found in runs.items()
        if name.startswith(side) and name.endswith(f", {count}")
    ]
    working = [found for found in mine if isinstance(found, Turns)]
    return min(working, key=lambda turns: turns.milliseconds) if working else mine[0]


def cells(one: Turns | Failed, two: Turns | Failed) -> tuple[str, ...]:
    """The cells after the first."""
    if isinstance(one, Failed) or isinstance(two, Failed):
        return (f"{BAR}", "-", "-", "failed", "failed")
    ratios = two.ratios(one)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    times = (f"{turns.milliseconds:.2f}" for turns in (one, two))
    return (f"{BAR}", f"**{median(ratios):.2f}**", spread, *times)
