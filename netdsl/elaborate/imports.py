"""What ``import f from "x.net"`` means: a file beside the one that says so, or one of the library.

Nothing outside the directory of the main file is ever read, but for the library's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

from netdsl.errors import LimitError, MeaningError, NetError, nearest
from netdsl.source import Source, Span
from netdsl.syntax import ast
from netdsl.syntax.parse import parse, read

LONGEST_CHAIN = 32
"""How many files may stand in a row, each imported by the one before."""

MOST_TEXT = 2_000_000
"""How many characters all files that one imports may hold together."""

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
    known: dict[Path, Read | NetError] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    size: int = 0

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
        if len(chain) > LONGEST_CHAIN:
            message = f"more than {LONGEST_CHAIN} files import one another in a row"
            raise LimitError("E154", message, place(item), "put blocks together in one file")
        if path not in self.known:
            try:
                self.known[path] = make(parse(self.source(path)), path, (*chain, path))
            except NetError as error:
                self.known[path] = error
        found = self.known[path]
        if isinstance(found, NetError):
            raise found
        return found

    def source(self, path: Path) -> Source:
        """The text of a file, remembered if it is the project's; LimitError E154 for too much."""
        source = self.read(path)
        if self.root and path.is_relative_to(self.root):
            self.sources[path.relative_to(self.root).as_posix()] = source
        self.size += len(source.text)
        if self.size > MOST_TEXT:
            message = f"the imported files hold more than {MOST_TEXT:_} characters"
            raise LimitError("E154", message, None, "import fewer files")
        return source

    def find(self, item: ast.Import, at: Path | None) -> Path:
        """The file that an import names; MeaningError E150 or E151."""
        given = item.path if item.path.endswith(".net") else f"{item.path}.net"
        beside = resolved(at.parent / given) if at else None
        root = self.root if beside and self.root and at and at.is_relative_to(self.root) else None
        inside = beside is not None and beside.is_relative_to(root or (at or beside).parent)
        if Path(given).is_absolute() or "\\" in given or "\0" in given or (beside and not inside):
            message = f"the import leaves the directory of the main file: {item.path}"
            help = "copy the file there, or write the name of one of the library: resnet"
            raise MeaningError("E151", message, place(item), help)
        if beside and _there(beside):
            return beside
        ours = library()
        if given.removesuffix(".net") in ours:
            return ours[given.removesuffix(".net")].resolve()
        theirs = [path.name for path in sorted(at.parent.glob("*.net"))] if at else []
        near = [*ours, *theirs]
        help = nearest(item.path, near) or f"the library has {', '.join(ours)}"
        where = "beside this one, nor in the library" if at else "of that name in the library"
        raise MeaningError("E150", f"there is no file {item.path} {where}", place(item), help)

    def read(self, path: Path) -> Source:
        """A file's text, named as people read it: by its place in netdsl if it is the library's.

        Others are named as seen from where they are, if they lie below.
        """
        ours = library().get(path.stem)
        own = self.root is not None and path.is_relative_to(self.root)
        if ours and not own and ours.resolve() == path:
            return Source(f"netdsl/specs/{path.name}", read(path).text)
        here = Path.cwd()
        return read(path.relative_to(here) if path.is_relative_to(here) else path)


def resolved(path: Path) -> Path:
    """A path without links; as it is where the system cannot follow it."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # a link in a circle, a name that cannot be
        return path


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def place(item: ast.Import) -> Span:
    """The text in quotes."""
    start = item.span.start + item.span.text.rindex('"', 0, -1)
    return item.span.source.span(start, item.span.end)
