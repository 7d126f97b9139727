"""The command ``compile``: a network as a Python module, in no other file's place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from netdsl.compiler import Net
from netdsl.errors import DataError
from netdsl.files import replace

OURS = re.compile(rb'"""\w+, compiled by netdsl \S+ from ')
"""How a module begins that netdsl wrote."""


def publish(net: Net, device: str, output: Path | None, say: Callable[[str], None]) -> None:
    """Write a network as the module ``output``, or as one called after it.

    DataError E413 if that is no name of a module, or the file there is none that netdsl compiled.
    """
    path = output or Path(f"{net.name.lower()}.py")
    _check(path)
    replace(path, net.source(device).encode())
    say(f"wrote {path}{'' if net.recipe else ', without training: no recipe fits'}")


def tell(net: Net, batch: int | None, width: int, say: Callable[[str], None]) -> None:
    """Tell what the CPU's kernels make of a network, and the memory that a batch takes."""
    from netdsl.backends.cpu import CPU
    from netdsl.report.plan import told

    batch = batch or (net.recipe.batch if net.recipe else 1)
    say(told(net.graph, CPU.lower(net.schedule(), "f4"), batch, width))


def _check(path: Path) -> None:
    if path.suffix != ".py":
        help = f"write: -o {path.with_suffix('.py') if path.name else 'net.py'}"
        raise DataError("E413", f"{path} does not end in .py, as a module must", help=help)
    if path.is_file() and not OURS.match(_begin(path)):
        help = f"name another file: -o {path.with_stem(f'{path.stem}_net')}; or remove this one"
        raise DataError("E413", f"{path} is there, and netdsl did not compile it", help=help)


def _begin(path: Path) -> bytes:
    """The beginning of a file; nothing of one that may not be read, for then it is another's."""
    try:
        with path.open("rb") as file:
            return file.read(200)
    except OSError:
        return b""
