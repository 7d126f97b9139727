"""The peak memory of training, netdsl beside PyTorch in its leaner layout."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from alternate import Failed, Turns, alternate
from peers import EAGER, OURS, tasks
from results import about, renew
from rows import MEMORY

BAR = 0.7
COLUMNS = ("training", "bar", "ratio", f"{OURS}, MiB", f"{EAGER}, MiB")
NOTES = """The most that a process ever held over what it held when all was imported: weights,
gradients, velocities, activations, workspace. A ratio below 1: netdsl needs less."""
STEPS = 3


def main(options: Namespace) -> None:
    """Measure all rows."""
    rows: dict[str, tuple[str, ...]] = {}
    titles = {key: f"{row.title}, batch {row.batch}" for key, row in MEMORY.items()}
    for key in MEMORY:
        made = tasks(key, (OURS, EAGER), options, "")
        made = {name: replace(task, steps=STEPS) for name, task in made.items()}
        rows[titles[key]] = cells(alternate(made, options.turns))
    renew("Memory", about(len(options.cores)), COLUMNS, rows, tuple(titles.values()), NOTES)


def cells(runs: dict[str, Turns | Failed]) -> tuple[str, ...]:
    """The cells after the first."""
    ours, theirs = leanest(runs, OURS), leanest(runs, EAGER)
    return (f"{BAR}", f"**{ours / theirs:.2f}**", f"{ours:.0f}", f"{theirs:.0f}")


def leanest(runs: dict[str, Turns | Failed], name: str) -> float:
    """The memory of a side in its leanest variant; not a number if it failed."""
    mine = [found for key, found in runs.items() if key.partition("/")[0] == name]
    return min((each.memory for each in mine if isinstance(each, Turns)), default=float("nan"))
