"""A language and a compiler for neural networks.

``netdsl.load("lenet5.net")`` reads a network; the result has ``summary()``, ``draw()`` and
``compile()``. The compiled model has ``fit``, ``evaluate`` and ``predict``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from netdsl.errors import NetError as NetError

if TYPE_CHECKING:
    from netdsl.compiler import Net as Net
    from netdsl.compiler import load as load

__all__ = ["Net", "NetError", "__version__", "load"]

__version__ = version("netdsl")


def __getattr__(name: str) -> Any:
    # The compiler imports the whole language; whoever wants only the version need not wait for it.
    if name in ("load", "Net"):
        from netdsl import compiler

        return getattr(compiler, name)
    raise AttributeError(f"module 'netdsl' has no attribute '{name}'")
