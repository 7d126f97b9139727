"""The mistakes that are found while a network is written out: all of them are told, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeVar

from netdsl.elaborate.scope import Lost
from netdsl.errors import LimitError, NetError
from netdsl.syntax import ast

Made = TypeVar("Made")

MOST_MISTAKES = 20
"""After so many the rest waits until these are mended."""


class Enough(Exception):
    """So many mistakes were found that no more are looked for."""


class Apart:
    """``with`` this, mistakes are kept and what is lost is passed over; limits are not."""

    __slots__ = ("mistakes",)

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, LimitError) or not isinstance(error, (NetError, Lost)):
            return False
        if isinstance(error, NetError):
            self.mistakes.add(error)
        return True


class Mistakes:
    """Errors found so far. What depends on a mistake is skipped, so that none is told of twice."""

    def __init__(self) -> None:
        self.found: list[NetError] = []
        self._told: set[object] = set()
        self._apart = Apart(self)

    def add(self, error: NetError) -> None:
        """Keep an error, and those it carries, if they are new."""
        for each in error.each():
            key = (each.code, each.message, each.span)
            if key not in self._told:
                self._told.add(key)
                self.found.append(each)
        if len(self.found) >= MOST_MISTAKES:
            raise Enough

    def apart(self) -> Apart:
        """Keep the error of what stands inside, so that what follows is looked at too."""
        return self._apart

    def told(self, work: Callable[[], Made]) -> Made:
        """What ``work`` makes; all mistakes that it meets are raised as one error."""
        made: Made | None = None
        try:
            made = work()
        except LimitError as error:
            # It may be for the mistakes that the work has no end.
            raise NetError.together(self.found or [error]) from None
        except NetError as error:
            raise NetError.together([*self.found, error]) from None
        except RecursionError:
            message = "blocks, braces and expressions nest too deeply"
            raise LimitError("E131", message, None, "give parts names: let, or block") from None
        except (Lost, Enough):
            pass
        if self.found or made is None:
            raise NetError.together(self.found)
        return made


def walk(tree: ast.Tree) -> Iterator[ast.Tree]:
    """A tree and all that it holds."""
    yield tree
    for field in fields(tree):
        value = getattr(tree, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, ast.Tree):
                yield from walk(item)


def labels(tree: ast.Tree) -> Iterator[ast.Name]:
    """The names that ``as`` and ``input`` give to tensors, however deep in braces."""
    for part in walk(tree):
        if isinstance(part, ast.Step) and part.label:
            yield part.label
        elif isinstance(part, ast.Input):
            yield part.name
