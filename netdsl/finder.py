"""Where the file lies that a user names: here, or in the library."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from netdsl.elaborate.imports import library
from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax.parse import read

LIBRARY = "lib:"
"""Before a name it says that the library's file is meant, whatever files there are here."""


def find(path: str | Path) -> tuple[Source, Path]:
    """A file as a source, and where it lies.

    A bare name, ``resnet``, is the library's if there is no file of that name, nor ``resnet.net``;
    ``lib:resnet`` always is.
    """
    path, ours = Path(path), library()
    if str(path).startswith(LIBRARY):
        return _of_library(str(path).removeprefix(LIBRARY))
    if path == Path(path.name) and path.name in ours and not path.is_file():
        beside = path.with_suffix(".net")
        return (read(beside), beside) if beside.is_file() else _of_library(path.name)
    try:
        return read(path), path
    except SyntaxFault as error:
        if not path.exists() and (near := _like(path)):
            error.help = f"{error.help}; {near}" if error.help else near
        raise


def _of_library(name: str) -> tuple[Source, Path]:
    """A file of the library, named in messages by its place in the package."""
    ours = library()
    if name not in ours:
        near = get_close_matches(name, ours, n=1)
        help = f"did you mean {LIBRARY}{near[0]}?" if near else f"it has {', '.join(ours)}"
        raise SyntaxFault("E001", f"the library has no {name}", help=help)
    return Source(f"netdsl/specs/{ours[name].name}", read(ours[name]).text), ours[name]


def _like(path: Path) -> str | None:
    """What the library has that a missing file's name may mean: a net of that name, or a file."""
    ours, wanted = library(), path.stem.lower()
    for name, file in ours.items():
        for net in re.findall(r"^net (\w+)", read(file).text, re.MULTILINE):
            if net.lower() == wanted and wanted != name:
                return f"the library's {name} has the net {net}: {LIBRARY}{name} {net}"
    near = get_close_matches(path.stem, ours, n=1, cutoff=0.75)
    return f"the library has {near[0]}: write {LIBRARY}{near[0]}" if near else None
