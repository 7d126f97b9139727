"""Measure two programs in turn, A B A B, each in a process of its own.

Two pools of threads in one process would spin against each other; and since machines drift, only
ratios of neighbouring measurements mean something.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """The figures of two programs, turn by turn: ``ours`` and ``theirs`` in the same unit."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Their time over ours, turn by turn: above 1, ours is faster."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def row(self, name: str) -> str:
        """A row of a Markdown table: medians, the median ratio and its spread."""
        ratios = self.ratios
        return (
            f"| {name} | {statistics.median(self.ours):.2f} | {statistics.median(self.theirs):.2f} "
            f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        )


def alternate(script: str, ours: list[str], theirs: list[str], turns: int = 5) -> Pair:
    """Run a script with the arguments of either side, in turn; each prints one JSON number last."""
    pair = Pair([], [])
    for _ in range(turns):
        for found, arguments in ((pair.ours, ours), (pair.theirs, theirs)):
            found.append(measure(script, *arguments))
    return pair


def measure(script: str, *arguments: str) -> float:
    """The number that a script prints on its last line."""
    done = subprocess.run(
        [sys.executable, script, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1]))
