"""A language and a compiler for neural networks."""

from importlib.metadata import version

__version__ = version("netdsl")
