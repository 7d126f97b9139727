"""Files of programs, found in directories."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from netdsl.errors import DataError


def net_files(given: Iterable[Path]) -> tuple[list[Path], dict[Path, DataError]]:
    """The files themselves, and all ``.net`` files of the directories, each once and in order.

    Hidden directories and virtual environments are passed over. The directories that have no such
    file come with the DataError E414 that says so.
    """
    found: dict[str, Path] = {}
    empty: dict[Path, DataError] = {}
    for path in given:
        inside = list(_inside(path)) if path.is_dir() else [path]
        if not inside:
            help = "name a file, or write one: netdsl new"
            empty[path] = DataError("E414", f"there is no .net file in {path}", help=help)
        for file in inside:
            # Unlike Path.resolve, this also takes a link that leads back to itself.
            found.setdefault(os.path.realpath(file), file)
    return list(found.values()), empty


def _inside(root: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(root):
        folders[:] = sorted(each for each in folders if _searched(Path(name, each)))
        yield from (Path(name, each) for each in sorted(files) if each.endswith(".net"))


def _searched(folder: Path) -> bool:
    return not folder.name.startswith(".") and not (folder / "pyvenv.cfg").exists()
