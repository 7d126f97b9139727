"""The command ``fmt``: files in their canonical form, each written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from difflib import unified_diff
from pathlib import Path

from netdsl.errors import NetError
from netdsl.files import replace
from netdsl.folders import net_files
from netdsl.source import Source
from netdsl.syntax.files import MAX_BYTES, from_bytes
from netdsl.syntax.format import format_source
from netdsl.syntax.parse import read

Say = Callable[[str], None]

PIPE = Path("-")
"""Stands for standard input; what comes from there goes to standard output."""


def fmt(given: Iterable[Path], check: bool, diff: bool, say: Say, complain: Say) -> int:
    """Format files and those of directories; the exit status.

    With ``check`` or ``diff`` nothing is written; with ``check`` the status is 1 if a file would
    change. A file with a mistake is left alone, and the status is 2; so it is for a directory
    without files.
    """
    paths, empty = net_files(given)
    for error in empty.values():
        complain(str(error))
    status = max((error.status for error in empty.values()), default=0)
    changed = same = 0
    for path in paths:
        try:
            old = _read(path)
            new = format_source(old)
            if path == PIPE and not (check or diff):
                say(new.removesuffix("\n"))
            elif new == old.text:
                same += 1
            else:
                changed += 1
                _differs(path, old.text, new, check, diff, say)
        except NetError as error:
            complain(str(error))
            status = max(status, error.status)
    if same and not diff:
        would = "would be " if check else ""
        say(f"{same} file{'s' if same > 1 else ''} {would}left unchanged")
    return max(status, 1 if check and changed else 0)


def _differs(path: Path, old: str, new: str, check: bool, diff: bool, say: Say) -> None:
    if diff:
        before, after = old.splitlines(), new.splitlines()
        say("\n".join(unified_diff(before, after, str(path), f"{path}, formatted", lineterm="")))
    elif check:
        say(f"would format {path}")
    else:
        # A link stays one.
        replace(path.resolve(), new.encode())
        say(f"formatted {path}")


def _read(path: Path) -> Source:
    if path == PIPE:
        return from_bytes("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
    return read(path)
