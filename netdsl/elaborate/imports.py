"""What ``import f from "x.net"`` means: a file beside the one that says so, or one of the library.

Nothing outside the directory of the main file is ever read, but for the library's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

from netdsl.errors import MeaningError, nearest
from netdsl.source import Source, Span
from netdsl.syntax import ast
from netdsl.syntax.parse import parse, read

Read = TypeVar("Read")


def library() -> Mapping[str, Path]:
    """The files of the library by their names: ``resnet``."""
    folder = Path(str(files("netdsl.specs")))
    return {path.stem: path for path in sorted(folder.glob("*.net"))}


@dataclass
class Files(Generic[Read]):
    """The files that take part, each read once.

    ``root`` is the directory of the main file, which no import may leave; None for a text that is
    no file, which can import from the library alone. ``sources`` are the project's own files, by
    their paths in ``root``.
    """

    root: Path | None
    known: dict[Path, Read] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def load(
        self, item: ast.Import, at: Path | None, chain: tuple[Path, ...],
        make: Callable[[ast.File, Path, tuple[Path, ...]], Read],
    ) -> Read:  # fmt: skip
        """What ``make`` makes of the file that an import names.

        ``at`` is the file that imports, ``chain`` those that led to it.
        """
        path = self.find(item, at)
        if path in chain:
            around = " imports ".join(each.name for each in (*chain[chain.index(path) :], path))
            message = f"files import each other: {around}"
            help = "put what both need into a third file"
            raise MeaningError("E152", message, place(item), help)
        if path not in self.known:
            source = read(self.shown(path))
            if self.root and path.is_relative_to(self.root):
                self.sources[path.relative_to(self.root).as_posix()] = source
            self.known[path] = make(parse(source), path, (*chain, path))
        return self.known[path]

    def find(self, item: ast.Import, at: Path | None) -> Path:
        """The file that an import names; MeaningError E150 or E151."""
        given = item.path if item.path.endswith(".net") else f"{item.path}.net"
        beside = (at.parent / given).resolve() if at else None
        root = self.root if beside and self.root and at and at.is_relative_to(self.root) else None
        inside = beside is not None and beside.is_relative_to(root or (at or beside).parent)
        if Path(given).is_absolute() or "\\" in given or "\0" in given or (beside and not inside):
            message = f"the import leaves the directory of the main file: {item.path}"
            help = "copy the file there, or write the name of one of the library: resnet"
            raise MeaningError("E151", message, place(item), help)
        if beside and beside.is_file():
            return beside
        ours = library()
        if given.removesuffix(".net") in ours:
            return ours[given.removesuffix(".net")].resolve()
        theirs = [path.name for path in sorted(at.parent.glob("*.net"))] if at else []
        near = [*ours, *theirs]
        help = nearest(item.path, near) or f"the library has {', '.join(ours)}"
        where = "beside this one, nor in the library" if at else "of that name in the library"
        raise MeaningError("E150", f"there is no file {item.path} {where}", place(item), help)

    def shown(self, path: Path) -> Path:
        """A file's path as people read it: seen from where they are, if it lies below."""
        here = Path.cwd()
        return path.relative_to(here) if path.is_relative_to(here) else path


def place(item: ast.Import) -> Span:
    """The text in quotes."""
    start = item.span.start + item.span.text.rindex('"', 0, -1)
    return item.span.source.span(start, item.span.end)
