"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from netdsl.errors import RunError


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a file in the place of another, whole or not at all, and onto the disk.

    Raises `RunError` E501 if that fails, and then leaves nothing new behind.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), mode)
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise RunError(
            "E501",
            f"{path} cannot be written: {error.strerror}",
            help="make room on the disk, or choose another directory",
        ) from error


def _sync_directory(path: Path) -> None:
    # Without this a power cut may undo the renaming. Windows has no such call, and no need of it.
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
