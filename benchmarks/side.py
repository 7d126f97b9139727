"""One side of one row, alone in its process: ``python side.py TASK`` prints JSON last."""

from __future__ import annotations

import importlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from rows import ROWS
from weights import read

COMPARED = 3  # the losses of so many first steps, or the outputs of so many samples
WARM = 1.0  # seconds of steps that are not timed, after those


@dataclass(frozen=True)
class Task:
    """What one process measures: a row, a side in one of its variants, and how long.

    At most ``steps`` steps are timed, and no more once ``seconds`` have passed. ``weights`` is the
    file to begin with; without one a side draws its own. ``started`` is when the process began.
    """

    row: str
    side: str
    variant: str
    cores: list[int]
    steps: int
    seconds: float
    weights: str = ""
    started: float = 0.0

    @property
    def threads(self) -> int:
        """As many as cores."""
        return len(self.cores)


@dataclass(frozen=True)
class Measured:
    """What came out: the median milliseconds of so many steps, and what they computed.

    ``fastest`` is the fastest step, which other programs on the machine disturb least, and
    ``switches`` how often in a second they took a core away. ``ready`` is the seconds from the
    start of the process to the beginning of the first step, ``begin`` those to its end, ``memory``
    the MiB of its peak over what it held when all was imported.
    """

    milliseconds: float
    fastest: float
    steps: int
    switches: float
    figures: list[float]
    ready: float
    begin: float
    memory: float


def measure(task: Task) -> Measured:
    """Prepare, compute what is compared, warm up, and time some steps."""
    row = ROWS[task.row]
    module = importlib.import_module(f"side_{task.side}")
    base = peak()
    weights = read(task.weights) if task.weights else None
    step = module.prepare(row, weights, task.threads, task.variant)
    del weights
    ready = time.time() - task.started
    first = [step()]
    begin = time.time() - task.started
    first += [step() for _ in range(COMPARED - 1)]
    clock(step, sys.maxsize, WARM if task.steps else 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    times = [1000 * second for second in clock(step, task.steps, task.seconds)] or [0.0]
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before
    figures = first if row.train else np.asarray(first[-1])[:COMPARED].ravel()
    return Measured(
        statistics.median(times),
        min(times),
        len(times),
        1000 * switches / (sum(times) or 1),
        [float(figure) for figure in figures],
        ready,
        begin,
        peak() - base,
    )


def clock(step: Callable[[], object], steps: int, seconds: float) -> list[float]:
    """The seconds of each step."""
    times: list[float] = []
    while len(times) < steps and sum(times) < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def peak() -> float:
    """The most memory that the process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Task(**json.loads(sys.argv[1]))))))
