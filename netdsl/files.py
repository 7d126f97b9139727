"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from netdsl.errors import RunError


def replace(path: Path, content: bytes) -> None:
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
            os.chmod(name, _mode(path))
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        help = "make room on the disk" if full else "choose another place to write to"
        raise RunError("E501", f"{path} cannot be written: {error.strerror}", help=help) from error


def _mode(path: Path) -> int:
    """Who may read and write the file: as before, or as any new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """What the user's files are not open for; it can only be asked for by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_directory(path: Path) -> None:
    # Without this a power cut may undo the renaming. Windows has no such call, and no need of it.
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
