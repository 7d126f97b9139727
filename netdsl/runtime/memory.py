"""Whether there is room for a network, asked before any of it is taken."""

from __future__ import annotations

from pathlib import Path

from netdsl.errors import RunError

MEMINFO = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")


def check_memory(wanted: int, batch: int) -> None:
    """RunError E511 if a network for a batch wants more bytes than are free."""
    free = available()
    if free is not None and wanted > free:
        message = f"a batch of {batch} needs {_gib(wanted)}, and {_gib(free)} are free"
        raise RunError("E511", message, help="make the batch smaller, or the network")


def available() -> int | None:
    """The bytes that a process can still get; None where the system does not tell."""
    try:
        lines = MEMINFO.read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):
        return None
    try:
        return min(free, int(LIMIT.read_text()) - int(USED.read_text()))
    except (OSError, ValueError):  # no limit is set: the file says "max", or is not there
        return free


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"
