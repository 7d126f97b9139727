"""The command ``cache``: what is kept of compiled kernels, and how it is removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import groupby

from netdsl.backends.cache import Kept, clear, kept, limit, root
from netdsl.report.numbers import counted, size_text
from netdsl.report.table import Column, table

Say = Callable[[str], None]
COLUMNS = (
    Column("versions", cut=True),
    Column("files", right=True),
    Column("size", right=True),
    Column("last used"),
)


def show(width: int, say: Say) -> None:
    """Tell where compiled kernels are kept, and what every set of versions takes."""
    most = f"at most {size_text(limit())} (NETDSL_CACHE_LIMIT)"
    found = kept()
    say(f"compiled kernels are kept in {root()}")
    if not found:
        say(f"there are none; {most}")
        return
    found.sort(key=lambda each: each.folder)
    folders = [list(group) for _, group in groupby(found, key=lambda each: each.folder)]
    folders.sort(key=_used, reverse=True)
    rows = [(group[0].folder.name, *_sums(group), _time(_used(group))) for group in folders]
    say("\n" + "\n".join(table(COLUMNS, rows, width)))
    files, size = _sums(found)
    say(f"\nin all {files} files, {size}; {most}")


def remove(say: Say) -> None:
    """Remove all compiled kernels, and tell what that was."""
    gone = clear()
    files, size = _sums(gone)
    say(f"removed {files} files, {size}, from {root()}" if gone else f"nothing is in {root()}")


def _sums(group: list[Kept]) -> tuple[str, str]:
    """How many files, and what they take."""
    count = sum(len(each.files) for each in group)
    return counted(count), size_text(sum(each.size for each in group))


def _used(group: list[Kept]) -> float:
    return max(each.used for each in group)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
