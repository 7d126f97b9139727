"""Which module of the cache is that of a network: what was emitted once is found without emitting.

Beside the modules lies a file for each network that was compiled, named by the hash of all that
decides its text. It imports the module, and that is all it does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from llvmlite import binding

import netdsl.specs
from netdsl.backends.cache import use
from netdsl.backends.emit import PACKAGE, Emitted
from netdsl.backends.loader import cache_directory, import_from, load
from netdsl.files import replace

ASKED = ("NETDSL_LANES", "NETDSL_CHECKED")
"""The environment variables that decide what is emitted."""
CODE = (".py", ".net")


def known(parts: Iterable[str], emit: Callable[[], Emitted]) -> ModuleType:
    """The module of a network made of ``parts``: that of the cache, else what ``emit`` gives."""
    decides = "\0".join((*parts, *machine(), *stamps()))
    stem = f"known_{sha256(decides.encode()).hexdigest()[:20]}"
    directory = cache_directory()
    if (directory / f"{stem}.py").exists():
        try:
            module = sys.modules[import_from(directory, stem).Model.__module__]
        except (ImportError, OSError, RuntimeError):
            pass  # another process has removed a file of it
        else:
            use(directory, (stem, module.__name__.removeprefix(f"{PACKAGE}."), *stems(module)))
            return module
    emitted = emit()
    module = load(emitted)
    text = f"from {PACKAGE}.{emitted.stem} import Model\n"
    replace(directory / f"{stem}.py", text.encode())
    return module


def stems(module: ModuleType) -> list[str]:
    """The files of the cache that hold a network's kernels, and last what these share."""
    kernels = list(module.Model.KERNELS.values())
    names = [kernel.function.__module__ for kernel in kernels]
    names += [type(kernel).__module__ for kernel in kernels]
    return [name.removeprefix(f"{PACKAGE}.") for name in dict.fromkeys(names)]


def machine() -> tuple[str, ...]:
    """The processor, as far as generated code goes by it."""
    features = str(binding.get_host_cpu_features().flatten())
    return (binding.get_host_cpu_name(), features, *(os.environ.get(name, "") for name in ASKED))


@cache
def stamps() -> tuple[str, ...]:
    """The code that has a part in what is emitted: sizes, and when it was written."""
    packages = (netdsl, netdsl.backends, netdsl.specs)
    folders = {Path(folder) for package in packages for folder in package.__path__}
    files = {path for folder in folders for path in folder.rglob("*") if path.suffix in CODE}
    found = ((path, path.stat()) for path in sorted(files))
    return tuple(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found)
