"""Measure several programs in turn, A B A B, each in a process of its own on the same cores.

Two pools of threads in one process would spin against each other; and since machines drift, only
ratios of neighbouring measurements mean something.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from side import Measured, Task

HERE = Path(__file__).parent
LIMIT = 3600  # seconds for one process
SURE, FAR = 2, 1.5  # in so many turns so many times as slow as another peer: it is not run further


class Failed(Exception):
    """A side that could not do it; its text is the reason."""


@dataclass(frozen=True)
class Turns:
    """What one side measured, turn by turn."""

    runs: tuple[Measured, ...]

    @property
    def milliseconds(self) -> float:
        """The median over the turns of the medians over the steps."""
        return statistics.median(run.milliseconds for run in self.runs)

    @property
    def fastest(self) -> float:
        """The fastest step of all."""
        return min(run.fastest for run in self.runs)

    @property
    def switches(self) -> float:
        """How often in a second other programs took a core away."""
        return statistics.median(run.switches for run in self.runs)

    @property
    def memory(self) -> float:
        """The median peak."""
        return statistics.median(run.memory for run in self.runs)

    @property
    def begin(self) -> float:
        """The median of the seconds until the first step was done."""
        return statistics.median(run.begin for run in self.runs)

    def ratios(self, other: Turns) -> list[float]:
        """The other's time over this one's, turn by turn: above 1, this one is faster."""
        pairs = zip(self.runs, other.runs, strict=True)
        return [theirs.milliseconds / mine.milliseconds for mine, theirs in pairs]


def alternate(
    tasks: Mapping[str, Task], turns: int, peers: Collection[str] = ()
) -> dict[str, Turns | Failed]:
    """Every task once in each turn; one that fails is not tried again, nor a beaten peer."""
    runs: dict[str, list[Measured]] = {name: [] for name in tasks}
    failures: dict[str, Failed] = {}
    for turn in range(turns):
        for name, task in tasks.items():
            if name in failures or beaten(name, {each: runs[each] for each in peers}):
                continue
            try:
                runs[name].append(run(task))
                told = f"{runs[name][-1].milliseconds:.2f} ms"
            except Failed as failure:
                failures[name] = failure
                told = f"failed: {failure}"
            print(f"{task.row}, turn {turn + 1}: {name} {told}", file=sys.stderr, flush=True)
    return {name: failures.get(name) or Turns(tuple(found)) for name, found in runs.items()}


def beaten(name: str, peers: Mapping[str, list[Measured]]) -> bool:
    """Whether a peer was so much slower than another in some turns that it cannot be the best."""
    times = {each: [run.milliseconds for run in found] for each, found in peers.items() if found}
    if name not in times or len(times[name]) < SURE:
        return False
    return min(times[name]) > FAR * min(max(found) for found in times.values())


def run(task: Task, environment: Mapping[str, str] | None = None) -> Measured:
    """Measure a task in a process of its own."""
    told = json.dumps(asdict(replace(task, started=time.time())))
    return Measured(**json.loads(program("side.py", told, task.cores, environment or {})))


def write_weights(row: str, path: str, cores: list[int]) -> None:
    """Have netdsl write the weights that all sides of a row begin with."""
    program("side_netdsl.py", row, cores, {}, path)


def program(
    script: str, argument: str, cores: list[int], environment: Mapping[str, str], *more: str
) -> str:
    """The last line that a program prints; it runs on the cores with as many threads."""
    os.sched_setaffinity(0, cores)
    count = str(len(cores))
    told = {"OMP_NUM_THREADS": count, "NETDSL_THREADS": count, **environment}
    command = [sys.executable, str(HERE / script), argument, *more]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **told}, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {LIMIT} seconds") from None
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or [""]
    if done.returncode:
        raise Failed(lines[-1][:120] or f"exit status {done.returncode}")
    return lines[-1]
