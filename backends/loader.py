"""The one place that runs generated code: it writes modules to a private cache, and imports."""

from __future__ import annotations

import importlib
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

from netdsl.backends.cache import folder, root, trim, use
from netdsl.backends.emit import PACKAGE, Emitted
from netdsl.errors import RunError
from netdsl.files import replace

AGAIN = 20
"""So often an import is tried again: what was imported before stays, so that each goes further."""


def cache_directory() -> Path:
    """``$NETDSL_CACHE``, or ``netdsl`` in the user's cache; made private (0700) if it is new.

    Numba's own cache beside the generated files is pickle, so a directory that others may write
    to is refused: RunError E510.
    """
    path = root() / folder()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RunError(
            "E510",
            f"cannot make the cache directory {path}: {error.strerror}",
            help="set NETDSL_CACHE to a directory of your own",
        ) from error
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) or path.stat().st_uid != os.getuid():
        raise RunError(
            "E510",
            f"others may write to the cache directory {path}",
            help=f"chmod 700 {path}, or set NETDSL_CACHE to a directory of your own",
        )
    return path


def load(emitted: Emitted, again: int = AGAIN) -> ModuleType:
    """Write what is not there yet, and import the module of a network.

    If that fails it is tried ``again``: another process may have removed files meanwhile.
    """
    directory, stem = write(emitted)
    try:
        return import_from(directory, stem)
    except (ImportError, OSError, RuntimeError):
        if not again:
            raise
    return load(emitted, again - 1)


def import_from(directory: Path, stem: str) -> ModuleType:
    """Import a generated file, always under one name: Numba's cache remembers it."""
    from numba.core import config

    package = sys.modules.get(PACKAGE)
    if package is None or package.__path__ != [str(directory)]:
        package = sys.modules[PACKAGE] = ModuleType(PACKAGE)
        package.__path__ = [str(directory)]
    # Compiled kernels go beside their texts, into the private directory, and nowhere else.
    config.__dict__["CACHE_DIR"] = ""
    importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.{stem}")


def write(emitted: Emitted) -> tuple[Path, str]:
    """Write the files of a module that are not there yet; returns where, and the module's stem."""
    directory = cache_directory()
    files = emitted.files()
    use(directory, files)
    # The name of a file says what is in it.
    new = [name for name in files if not (directory / f"{name}.py").exists()]
    for name in new:
        replace(directory / f"{name}.py", files[name].encode())
    if new:
        trim()
    return directory, emitted.stem
