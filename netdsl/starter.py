"""The command ``new``: a file to begin with, made from a small example or from the library."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from netdsl.compiler import program
from netdsl.elaborate.imports import library
from netdsl.elaborate.program import Program
from netdsl.errors import DataError, nearest
from netdsl.files import replace


def starters() -> dict[str, Path]:
    """The examples to begin with, by name; they train at once."""
    folder = Path(str(files("netdsl.starters")))
    return {path.stem: path for path in sorted(folder.glob("*.net"))}


def write(name: str | None, like: str, say: Callable[[str], None]) -> None:
    """Write ``name`` with the ending .net, and tell what to do with it.

    DataError E417 if there is nothing of the name ``like`` or ``name`` is none, E416 if the file is
    there already.
    """
    known = {**library(), **starters()}
    if like not in known:
        help = nearest(like, known) or f"there are {', '.join(known)}"
        raise DataError("E417", f"there is no {like} to begin with", help=help)
    path = _path(like if name is None else name)
    if path.exists():
        help = f"give another name: netdsl new {path.stem}2"
        raise DataError("E416", f"{path} is there already", help=help)
    of = program(known[like])
    replace(path, (_renamed(of, path.stem) if like in starters() else _text(of)).encode())
    say(f"wrote {path}; go on with:")
    for command in ("summary", "draw", *(["train"] if of.recipes else [])):
        say(f"  netdsl {command} {path}")
    if of.recipes:
        say("the first training compiles kernels, which takes some 20 seconds")


def _path(name: str) -> Path:
    """The file of that name; ``..`` and ``.net`` are none."""
    path = Path(name)
    stem = path.name.removesuffix(".net")
    if not stem.strip(". "):
        raise DataError("E417", f"'{name}' is no name for a file", help="netdsl new mine")
    return path.with_name(f"{stem}.net")


def _text(of: Program) -> str:
    return of.file.span.source.text


def _renamed(of: Program, stem: str) -> str:
    """The text with its net called after the file: ``my-net`` holds ``MyNet``."""
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words)
    name = name if name[:1].isalpha() else f"Net{name}"
    span = of.choose(None).name.span
    return f"{_text(of)[: span.start]}{name}{_text(of)[span.end :]}"
