"""The cache of compiled kernels: where it is, what is in it, and how it stays below a limit.

A folder of it belongs to one set of versions. There the files of a kernel, or of a network's
module, have one stem: the text ``STEM.py``, and in ``__pycache__`` what Python and compilers made
of it. They come and go together. A process whose files another one removes compiles them again.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from stat import S_ISDIR
from time import time

from netdsl.errors import DataError, RunError

LIMIT = "1 GiB"
"""What the cache may hold if ``$NETDSL_CACHE_LIMIT`` does not say it."""
HOUR = 3600.0
"""Uses are written down once an hour; a temporary file that is older was left by an accident."""

_FOLDER = re.compile(r"netdsl[\w.+]+-numba[\w.+]+-numpy[\w.+]+-[\w.-]+", re.ASCII)
_STEM = r"(?P<stem>\w+_[0-9a-f]{20})"
_TEXT = re.compile(rf"(?P<passing>\.)?{_STEM}\.py(?(passing)\.\w+)", re.ASCII)
_MADE = re.compile(rf"{_STEM}\.[\w.-]+\.(o|nbi|nbc|pyc)(?P<passing>\.(tmp\.)?\w+)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(?:([kmgt])(i)?)?b?", re.ASCII | re.IGNORECASE)
_ORDER = {".nbi": 0, ".nbc": 1, ".pyc": 2}

_at_work: set[tuple[Path, str]] = set()
"""The folders and stems that this process uses."""


@dataclass(frozen=True)
class Kept:
    """The files of one stem: what they take, and when they were last used, in seconds."""

    folder: Path
    stem: str
    files: tuple[Path, ...]
    size: int
    used: float


def root() -> Path:
    """``$NETDSL_CACHE``, or ``netdsl`` in the user's cache."""
    given = os.environ.get("NETDSL_CACHE")
    if given:
        return Path(given).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(home) / "netdsl").absolute()


def folder() -> str:
    """The folder of the versions that are installed: compiled kernels fit no other."""
    packages = (f"{name}{version(name)}" for name in ("netdsl", "numba", "numpy"))
    return "-".join((*packages, str(sys.implementation.cache_tag)))


def limit() -> int:
    """The bytes that the cache may hold; DataError E421 if ``$NETDSL_CACHE_LIMIT`` is no size."""
    text = os.environ.get("NETDSL_CACHE_LIMIT") or LIMIT
    found = _SIZE.fullmatch(text.strip())
    if not found:
        message = f"NETDSL_CACHE_LIMIT is no size: {text[:80]!r}"
        raise DataError("E421", message, help="write a number and a unit: 500 MB, 1.5 GiB")
    number, unit, binary = found.groups()
    power = " kmgt".index((unit or " ").lower())
    return int(float(number) * (1024 if binary else 1000) ** power)


def kept() -> list[Kept]:
    """What the cache holds, the least recently used first; RunError E512 if it cannot be read."""
    try:
        found = [each for folder in _folders() for each in _of_folder(folder)]
    except OSError as error:
        message = f"the cache {root()} cannot be read: {error.strerror}"
        raise RunError("E512", message, help="set NETDSL_CACHE to another directory") from error
    return sorted(found, key=lambda each: (each.used, each.folder, each.stem))


def use(folder: Path, stems: Iterable[str]) -> None:
    """Files are at work in this process: they stay, and other processes see when they were used.

    DataError E421 if the limit is no size, before anything is written.
    """
    limit()
    now = time()
    for stem in stems:
        _at_work.add((folder, stem))
        with suppress(OSError):  # not written yet, or in a cache that may only be read
            path = folder / f"{stem}.py"
            found = path.lstat()
            if now - max(found.st_atime, found.st_mtime) > HOUR:
                # When it was written stays: Python and Numba compare that.
                times = (int(now * 1e9), found.st_mtime_ns)
                os.utime(path, ns=times, follow_symlinks=False)


def trim() -> None:
    """Remove the least recently used files until the cache is within its limit.

    What this process uses stays, and so does what cannot be removed.
    """
    most = limit()
    found = kept()
    size = sum(each.size for each in found)
    for each in found:
        if size <= most:
            break
        if (each.folder, each.stem) not in _at_work:
            with suppress(OSError):
                _remove(each.files)
                size -= each.size
    _tidy()


def clear() -> list[Kept]:
    """Remove all files of the cache, and tell which; RunError E512 if some cannot be removed."""
    found = kept()
    try:
        for each in found:
            _remove(each.files)
    except OSError as error:
        message = f"{error.filename} cannot be removed: {error.strerror}"
        raise RunError("E512", message, help="see who may write to its folder") from error
    _tidy()
    return found


def _folders() -> Iterator[Path]:
    """The folders in the cache that are netdsl's: links are none, nor are those of other people."""
    with suppress(FileNotFoundError), os.scandir(root()) as entries:
        for entry in entries:
            if _FOLDER.fullmatch(entry.name) and _own(Path(entry.path)):
                yield Path(entry.path)


def _own(path: Path) -> bool:
    """Whether this is a directory, of this user."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        return S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return False


def _of_folder(folder: Path) -> Iterator[Kept]:
    """The files of a folder, by their stems."""
    stems: dict[str, list[tuple[Path, os.stat_result]]] = {}
    for directory, names in ((folder, _TEXT), (folder / "__pycache__", _MADE)):
        if not _own(directory):
            continue
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                name = names.fullmatch(entry.name)
                with suppress(FileNotFoundError):  # another process may remove it meanwhile
                    if name and entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        if not name["passing"] or time() - found.st_mtime > HOUR:
                            stems.setdefault(name["stem"], []).append((Path(entry.path), found))
    for stem, files in stems.items():
        used = max(max(found.st_atime, found.st_mtime) for _, found in files)
        size = sum(found.st_size for _, found in files)
        yield Kept(folder, stem, tuple(path for path, _ in files), size, used)


def _remove(files: Iterable[Path]) -> None:
    """Remove files, Numba's index before what it names: others must not find half of it."""
    for path in sorted(files, key=lambda path: _ORDER.get(path.suffix, len(_ORDER))):
        path.unlink(missing_ok=True)


def _tidy() -> None:
    """Remove the empty folders of other versions; a process of this one may be about to write."""
    for path in _folders():
        if path.name != folder():
            for each in (path / "__pycache__", path):
                with suppress(OSError):
                    each.rmdir()
