"""ResNet-50's training step: compiled from nothing, and started again from what that left."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from dataclasses import replace
from statistics import median

from alternate import Failed, run
from peers import COMPILED, OURS, tasks
from results import about, renew
from rows import SPEED
from side import Task

ROW = "resnet50"
STARTS = 3
CACHES = ("NETDSL_CACHE", "TORCHINDUCTOR_CACHE_DIR")
COLUMNS = ("training", "cold, s", "warm, s", "warm, until the step, s")
NOTES = f"""Seconds from the start of the process to the end of the first step, with empty
caches, and with what that run left in them (the median of {STARTS} starts); of these also the
seconds until the first step began. PyTorch compiles in the step."""


def main(options: Namespace) -> None:
    """Measure the sides that keep what they compiled, in all their layouts."""
    row = f"{SPEED[ROW].title}, batch {SPEED[ROW].batch}"
    made = tasks(ROW, (OURS, COMPILED), options, "")
    rows = {
        f"{row}, {name.replace('/', ' ').strip()}": measured(task) for name, task in made.items()
    }
    renew("Compiling", about(len(options.cores)), COLUMNS, rows, tuple(rows), NOTES)


def measured(task: Task) -> tuple[str, str, str]:
    """The cells of the cold run and of the warm ones."""
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: f"{folder}/{name}" for name in CACHES}
        once = replace(task, steps=0)
        try:
            cold = run(once, caches).begin
            warm = [run(once, caches) for _ in range(STARTS)]
        except Failed as failure:
            return f"failed: {failure}", "-", "-"
    begun, ready = (median(getattr(each, at) for each in warm) for at in ("begin", "ready"))
    return f"{cold:.1f}", f"{begun:.1f}", f"{ready:.1f}"
