"""Who is measured: the sides of a row, each with the variants of which the fastest counts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass

from alternate import Failed, Turns
from rows import ROWS
from side import Task

OURS, EAGER, COMPILED, JAX = "netdsl", "PyTorch eager", "torch.compile", "JAX jit"
SIDES = {
    OURS: ("netdsl", ("",)),
    EAGER: ("torch", ("", "last")),
    COMPILED: ("torch", ("compile", "compile last")),
    JAX: ("jax", ("",)),
}


@dataclass(frozen=True)
class Found:
    """What became of a side: its best variant's turns, or why there are none."""

    turns: Turns | Failed

    @property
    def works(self) -> bool:
        return isinstance(self.turns, Turns)

    def cell(self) -> str:
        """The median milliseconds for a table."""
        if isinstance(self.turns, Failed):
            return f"failed: {self.turns}".replace("|", "/")
        return f"{self.turns.milliseconds:.2f}"


def tasks(row: str, sides: tuple[str, ...], options: Namespace, weights: str) -> dict[str, Task]:
    """A task for every variant of the sides; the order of the axes matters to pictures alone."""
    made: dict[str, Task] = {}
    for name in sides:
        side, variants = SIDES[name]
        for variant in variants:
            if ROWS[row].pictures or "last" not in variant:
                made[f"{name}/{variant}"] = Task(
                    row, side, variant, options.cores, options.steps, options.seconds, weights
                )
    return made


def exact(row: str, options: Namespace, weights: str) -> Task:
    """What the roundings of all sides are told by: PyTorch in float64."""
    return Task(row, "torch", "double", options.cores, options.steps, options.seconds, weights)


def best(runs: Mapping[str, Turns | Failed], name: str) -> Found:
    """The fastest variant of a side."""
    mine = [found for key, found in runs.items() if key.partition("/")[0] == name]
    working = [found for found in mine if isinstance(found, Turns)]
    return Found(min(working, key=lambda turns: turns.milliseconds) if working else mine[0])
