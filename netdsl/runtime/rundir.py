"""The directory of a run: what was trained, on what, how it went, and the weights."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import count
from math import isfinite
from pathlib import Path

from netdsl.errors import DataError, RunError
from netdsl.files import replace

Row = Mapping[str, int | float]
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Run:
    """A directory with ``network.net``, ``environment.json``, metrics and weights."""

    path: Path

    @classmethod
    def create(
        cls, root: Path, name: str, network: str, threads: int, imports: Mapping[str, str] = NONE
    ) -> Run:
        """Make ``root/name-n`` with the smallest free n, also while others do; E502 if it fails.

        ``network`` is the resolved text of the network and its recipe, ``imports`` the texts of the
        files that it imports, by their paths seen from it. DataError E415 if one has its name.
        """
        if "network.net" in imports:
            message = "a run keeps its network as network.net, and a file of that name is imported"
            raise DataError("E415", message, help="give the imported file another name")
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
            run = cls(next(path for n in count(1) if _make(path := Path(root, f"{plain}-{n}"))))
        except OSError as error:
            raise RunError(
                "E502", f"no directory for the run can be made in {root}: {error.strerror}"
            ) from error
        replace(run.network, network.encode())
        for path, text in imports.items():
            (run.path / path).parent.mkdir(parents=True, exist_ok=True)
            replace(run.path / path, text.encode())
        facts = json.dumps(environment(threads), indent=2, ensure_ascii=False)
        replace(run.path / "environment.json", facts.encode() + b"\n")
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """A run that has saved weights; raises `DataError` E406 that says what is missing."""
        run = cls(Path(path))
        if run.path.suffix == ".net" and run.path.is_file():
            help = f"train it first: netdsl train {path}"
            raise DataError("E406", f"{path} is a network, not a directory of a run", help=help)
        if not run.path.is_dir():
            why = "it is a file" if run.path.exists() else "no such directory"
            raise DataError("E406", f"{path} is not a directory of a run: {why}")
        if not run.network.is_file():
            raise DataError("E406", f"{path} is not a directory of a run: no {run.network.name}")
        if not run.last.is_file():
            raise DataError(
                "E406",
                f"{path} has no {run.last.name}",
                help="its training has not come to the end of its first epoch",
            )
        return run

    @property
    def network(self) -> Path:
        """The resolved text: every parameter filled in."""
        return self.path / "network.net"

    @property
    def last(self) -> Path:
        """The weights after the last epoch."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights after the epoch that was best."""
        return self.path / "best.safetensors"

    @property
    def weights(self) -> Path:
        """The weights to use: the best if there are any, else the last."""
        return self.best if self.best.is_file() else self.last

    def record(self, row: Row) -> None:
        """Append a row to ``metrics.csv`` and ``metrics.jsonl``; E501 if that fails.

        The first row decides the columns; a row with others is a mistake of the program.
        """
        table = self.path / "metrics.csv"
        try:
            columns = _columns(table)
            if columns and columns != list(row):
                raise ValueError(f"a row with {', '.join(row)} in a table of {', '.join(columns)}")
            with table.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows([row.values()] if columns else [row.keys(), row.values()])
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({name: _json(value) for name, value in row.items()}) + "\n")
        except OSError as error:
            raise RunError("E501", f"{table} cannot be written: {error.strerror}") from error


def environment(threads: int) -> dict[str, object]:
    """Where and with what a run was made."""
    packages = ("netdsl", "numpy", "numba", "llvmlite")
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _make(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def _columns(table: Path) -> list[str]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _json(value: int | float) -> int | float | None:
    # JSON has no word for infinity or for what is not a number.
    return value if isfinite(value) else None
