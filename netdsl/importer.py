"""After ``import netdsl.importer`` Python imports ``.net`` files: ``import lenet5``.

The module has the file's nets by name (``lenet5.LeNet5``, with ``summary``, ``draw``, ``compile``)
and, as a compiled file would, ``Model`` for the first of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any


class NetFinder(MetaPathFinder):
    """Finds ``name.net`` where Python looks for ``name.py``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module for a file of that name, or None."""
        name = fullname.rpartition(".")[2]
        for directory in sys.path if path is None else path:
            file = Path(directory or Path.cwd(), f"{name}.net")
            if file.is_file():
                return spec_from_loader(fullname, NetLoader(file), origin=str(file))
        return None


class NetLoader(Loader):
    """Makes a module of a file; its nets are elaborated when they are first asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def exec_module(self, module: ModuleType) -> None:
        """Read the file, so that a mistake in it is told at the import."""
        from netdsl.compiler import load, nets

        names = nets(self.file)

        def attribute(name: str) -> Any:
            if name == "Model":
                value: Any = load(self.file).module().Model
            elif name in names:
                value = load(self.file, name, train=False)
            else:
                raise AttributeError(f"{self.file} has no net '{name}'; it has {', '.join(names)}")
            setattr(module, name, value)
            return value

        module.__file__ = str(self.file)
        module.__dict__["__getattr__"] = attribute
        module.__dict__["__all__"] = [*names, "Model"]


if not any(isinstance(finder, NetFinder) for finder in sys.meta_path):
    sys.meta_path.append(NetFinder())
