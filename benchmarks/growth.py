"""How time and memory of training grow with the batch and with the depth."""

from __future__ import annotations

from argparse import Namespace

from alternate import alternate
from memory import leanest
from peers import EAGER, OURS, best, tasks
from results import about, renew
from rows import GROWTH

COLUMNS = ("training", f"{OURS}, ms", f"{EAGER}, ms", f"{OURS}, MiB", f"{EAGER}, MiB")


def main(options: Namespace) -> None:
    """Measure all rows."""
    rows: dict[str, tuple[str, ...]] = {}
    titles = {key: f"{row.title}, batch {row.batch}" for key, row in GROWTH.items()}
    for key in GROWTH:
        runs = alternate(tasks(key, (OURS, EAGER), options, ""), options.turns)
        times = (best(runs, name).cell() for name in (OURS, EAGER))
        peaks = (f"{leanest(runs, name):.0f}" for name in (OURS, EAGER))
        rows[titles[key]] = (*times, *peaks)
    renew("Growth", about(len(options.cores)), COLUMNS, rows, tuple(titles.values()))
