"""A language and a compiler for neural networks.

``netdsl.load("lenet5.net")`` reads a network, ``netdsl.loads(text)`` one from a text; the result
has ``summary()``, ``explain()``, ``draw()`` and ``compile()``. The compiled model has ``fit``,
``evaluate`` and ``predict``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from netdsl.errors import NetError as NetError

if TYPE_CHECKING:
    from netdsl.compiler import Net as Net
    from netdsl.compiler import load as load
    from netdsl.compiler import loads as loads

__all__ = ["Net", "NetError", "__version__", "load", "loads"]

__version__ = version("netdsl")


def __getattr__(name: str) -> Any:
    # The compiler imports the whole language; whoever wants only the version need not wait for it.
    if name in ("load", "loads", "Net"):
        from netdsl import compiler

        return getattr(compiler, name)
    raise AttributeError(f"module 'netdsl' has no attribute '{name}'")


def __dir__() -> list[str]:
    # Modules that happen to be imported are no part of what is offered.
    return __all__
