"""Whether there is room for a network, asked before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netdsl.errors import RunError

MEMINFO = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")
USED = Path("/sys/fs/cgroup/memory.current")


MOST = 64
"""The largest batch where nobody says how large it is."""

Memory = Callable[[int], int]
"""The bytes that a network takes with a batch of so many samples."""


def modest_batch(memory: Memory) -> int:
    """The largest power of two up to 64 whose memory is a quarter of what is free, or 1."""
    free = available()
    batch = MOST
    while free is not None and batch > 1 and memory(batch) > free / 4:
        batch //= 2
    return batch


def check_memory(memory: Memory, batch: int) -> None:
    """RunError E511 if a network with a batch wants more bytes than are free."""
    free, wanted = available(), memory(batch)
    if free is None or wanted <= free:
        return
    message = f"a batch of {batch} needs {_gib(wanted)}, and {_gib(free)} are free"
    if batch == 1:
        raise RunError("E511", message, help="give it a smaller input, or fewer channels")
    less = 2 ** ((batch - 1).bit_length() - 1)
    while less > 1 and memory(less) > free:
        less //= 2
    help = f"a smaller batch: --set train.batch={less}, in Python compile(batch={less})"
    raise RunError("E511", message, help=help)


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
