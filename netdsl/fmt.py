"""The command ``fmt``: files in their canonical form, each written whole or not at all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from netdsl.errors import NetError
from netdsl.files import replace
from netdsl.folders import net_files
from netdsl.syntax.files import MAX_BYTES, from_bytes, read_bytes
from netdsl.syntax.format import format_source

Say = Callable[[str], None]

PIPE = Path("-")
"""Stands for standard input; what comes from there goes to standard output."""

_MARK = b"\xef\xbb\xbf"
_END = re.compile(r"\r\n?|\n")


class _Change(NamedTuple):
    """A text and its canonical form, and whether a byte order mark stands before the text."""

    old: str
    new: str
    mark: bool

    @property
    def needed(self) -> bool:
        """Whether the file has to be written."""
        return self.mark or self.old != self.new

    @property
    def unseen(self) -> str:
        """What changes and shows in no line."""
        ends = set(_END.findall(self.old)) - {*_END.findall(self.new), "\n"}
        open_end = bool(self.new) and not self.old.endswith("\n")
        what = {"byte order mark": self.mark, "line ends": bool(ends) or open_end}
        return ", ".join(name for name, changes in what.items() if changes)


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
            change = _change(path)
            if path == PIPE and not (check or diff):
                say(change.new.removesuffix("\n"))
            elif not change.needed:
                same += 1
            else:
                changed += 1
                _differs(path, change, check, diff, say)
        except NetError as error:
            complain(str(error))
            status = max(status, error.status)
    if same and not diff:
        would = "would be " if check else ""
        say(f"{same} file{'s' if same > 1 else ''} {would}left unchanged")
    return max(status, 1 if check and changed else 0)


def _differs(path: Path, change: _Change, check: bool, diff: bool, say: Say) -> None:
    if diff:
        before, after = _lines(change.old), _lines(change.new)
        shown = [*unified_diff(before, after, str(path), f"{path}, formatted", lineterm="")]
        if change.unseen:
            shown.append(f"{path}: {change.unseen}")
        say("\n".join(shown))
    elif check:
        say(f"would format {path}")
    else:
        # A link stays one.
        replace(path.resolve(), change.new.encode())
        say(f"formatted {path}")


def _lines(text: str) -> list[str]:
    """The lines without their ends, whichever these are."""
    *lines, last = _END.split(text)
    return [*lines, last] if last else lines


def _change(path: Path) -> _Change:
    piped = path == PIPE
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if piped else read_bytes(path)
    source = from_bytes("standard input" if piped else str(path), data)
    return _Change(source.text, format_source(source), data.startswith(_MARK))
