"""Files that may hold a program: there, of a sane size, and text."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span

MAX_BYTES = 1_000_000


def read_text(path: str | Path) -> Source:
    """A file as a source, named as the user named it."""
    return _decode(str(path), read_bytes(path))


def read_bytes(path: str | Path) -> bytes:
    """What a file holds that may be a source; at most ``MAX_BYTES`` are ever read."""
    name = str(path)
    try:
        size, data = _load(Path(path))
    except FileNotFoundError:
        raise SyntaxFault("E001", f"there is no file {name}", help=_near(Path(path))) from None
    except IsADirectoryError:
        help = _list(Path(path), "it holds ")
        raise SyntaxFault("E001", f"{name} is a directory, not a file", help=help) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SyntaxFault("E001", f"{name} cannot be read: {reason.lower()}") from None
    _check_size(name, size)
    return data


def from_bytes(name: str, data: bytes) -> Source:
    """The same of bytes that were read already, from standard input."""
    _check_size(name, len(data))
    return _decode(name, data)


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise SyntaxFault(
            "E004",
            f"{name} is larger than {MAX_BYTES:_} bytes",
            help="a .net file describes a network; its weights and data live in other files",
        )


def _load(path: Path) -> tuple[int, bytes]:
    """The size is asked for before anything is read; a pipe has none, so reading is bounded too."""
    size = path.stat().st_size
    if size > MAX_BYTES and not path.is_dir():
        return size, b""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return len(data), data


def _decode(name: str, data: bytes) -> Source:
    binary = data.find(b"\0")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start if data[:3] != b"\xef\xbb\xbf" else error.start + 3
        raise _not_text(name, data, at if binary < 0 else min(at, binary)) from None
    if binary >= 0:
        raise _not_text(name, data, binary)
    source = Source(name, text)
    if not text:
        span = Span(source, 0, 0)
        help = "a file needs at least one net: net NAME { ... }"
        raise SyntaxFault("E002", "the file is empty", span, help)
    return source


def _not_text(name: str, data: bytes, at: int) -> SyntaxFault:
    line = data.count(b"\n", 0, at) + 1
    return SyntaxFault(
        "E003",
        f"{name} is not UTF-8 text: byte {data[at]:#04x} at offset {at} (line {line})",
        help="save it as UTF-8; a .net file is plain text",
    )


def _near(path: Path) -> str | None:
    """What the user may have meant by a file that is not there."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no directory {folder} either"
    try:
        stems = sorted(entry.stem for entry in folder.glob("*.net") if entry.exists())
    except OSError:
        return None
    # The ending is left out, for it makes all names alike.
    found = get_close_matches(path.name.removesuffix(".net"), stems, 1, cutoff=0.75)
    if found:
        return f"did you mean {folder / found[0]}.net?"
    return _list(folder, "the directory holds ")


def _list(folder: Path, prefix: str, limit: int = 5) -> str | None:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".net")
    except OSError:
        return None
    if not names:
        return f"{prefix}no .net file"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{prefix}{', '.join(names[:limit])}{more}"
