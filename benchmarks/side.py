"""One side of one row, alone in its process: ``python side.py '{"row": ...}'`` prints JSON last."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rows import ROWS

COMPARED = 3  # losses of the first steps, or samples, that are compared
WARM = 1.0  # seconds, after the steps that are compared


@dataclass(frozen=True)
class Task:
    """What one process measures: a side and its variant, a row, and how long."""

    row: str
    side: str
    variant: str
    weights: str
    threads: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What came out: milliseconds of a step (the median), of how many, and what was computed."""

    milliseconds: float
    steps: int
    figures: list[float]


def measure(task: Task) -> Measured:
    """Prepare, compute what is compared, warm up, and time some steps."""
    weights, kept = read(task.weights)
    module = importlib.import_module(f"side_{task.side}")
    step = module.prepare(ROWS[task.row], weights, kept, task.threads, task.variant)
    first = [step() for _ in range(COMPARED)]
    if not ROWS[task.row].train:
        first = np.asarray(first[-1])[:COMPARED].ravel()
    until(WARM, sys.maxsize, step)
    times = until(task.seconds, task.steps, step)
    figures = [float(each) for each in first]
    return Measured(1000 * statistics.median(times), len(times), figures)


def until(seconds: float, steps: int, step: Callable[[], object]) -> list[float]:
    """Seconds of each step, until there are ``steps`` of them or ``seconds`` have passed."""
    times: list[float] = []
    while len(times) < steps and sum(times) < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def write(path: Path, weights: list[np.ndarray], kept: list[np.ndarray]) -> None:
    """Weights and statistics as a file, in their order."""
    named = {f"weight{number}": array for number, array in enumerate(weights)}
    named |= {f"statistic{number}": array for number, array in enumerate(kept)}
    np.savez(path, **named)


def read(path: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and statistics, each in their order."""
    with np.load(path) as arrays:
        kinds = [[arrays[n] for n in arrays if n.startswith(k)] for k in ("weight", "statistic")]
    return kinds[0], kinds[1]


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Task(**json.loads(sys.argv[1]))))))
