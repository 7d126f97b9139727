"""What names mean: compile-time values, and the scopes that hold them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from netdsl.arguments import Word, spell
from netdsl.errors import Frame, LimitError, MeaningError, nearest
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import Tensor

MOST_STEPS = 100_000
"""How many steps a file may take to write a network out, so that no file can hang the compiler."""


@dataclass(frozen=True)
class TensorValue:
    """A tensor of the network: the node that makes it, and its type."""

    node: str
    tensor: Tensor

    def __str__(self) -> str:
        return f"@{self.node}"


LOST = TensorValue("", Tensor(()))
"""A value that is not known because of a mistake, which has been reported: no more of it."""


class Lost(Exception):
    """What is evaluated depends on a `LOST` value."""


@dataclass(frozen=True)
class BlockName(Word):
    """The name of a block as a value: the block that is called so in ``home``."""

    home: Scope = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Argument:
    """An evaluated argument and its place."""

    name: ast.Name | None
    value: Any
    span: Span


Group = tuple[Argument, ...]
"""The arguments of one call, or of one ``default``."""


@dataclass(frozen=True)
class Given:
    """A call that stands for an object: ``sgd(lr=0.1)``. What it means depends on who takes it."""

    name: str
    args: Group
    span: Span
    home: Scope = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.span.text


@dataclass(frozen=True, eq=False)
class BodyValue:
    """``{ ... }`` as a value, with the names that it sees."""

    body: ast.Body
    scope: Scope

    def __str__(self) -> str:
        return "{ ... }"


@dataclass(eq=False)
class SharedValue:
    """``shared tower = pipe``: what it makes, and where it was first used.

    ``first`` is the path of the names of its first use, whose weights all others take.
    """

    name: str
    pipe: ast.Pipe
    scope: Scope
    first: str = ""

    def __str__(self) -> str:
        return f"shared {self.name}"


@dataclass
class Work:
    """How many steps are left."""

    left: int = MOST_STEPS


@dataclass(eq=False)
class Scope:
    """Names and their values, inside other scopes.

    ``defaults`` are those of the ``default`` statements, None for a mistaken one. ``labels`` are
    the tensors named with ``as``: all of a block call or a net shares them, however deep the
    braces. ``entering`` is the tensor that ``in`` means. ``blocks`` are those of the file, by their
    names there, each with the scope of the file that declares it. ``work`` is shared by all scopes.
    The scope of a file knows the ``file``.
    """

    parent: Scope | None = None
    names: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Group | None] = field(default_factory=dict)
    labels: MutableMapping[str, tuple[TensorValue, Span]] = field(default_factory=dict)
    entering: TensorValue | None = None
    frames: tuple[Frame, ...] = ()
    work: Work = field(default_factory=Work)
    blocks: dict[str, tuple[ast.Block, Scope]] = field(default_factory=dict)
    file: ast.File | None = field(default=None, repr=False)

    def inner(self) -> Scope:
        """A scope for what stands between braces."""
        return Scope(
            self,
            labels=self.labels,
            entering=self.entering,
            frames=self.frames,
            work=self.work,
            blocks=self.blocks,
        )

    def called(self, home: Scope, entering: TensorValue | None = None) -> Scope:
        """A scope for a block or a net: it sees the names of the file that declares it alone."""
        return Scope(
            home, entering=entering, frames=self.frames, work=self.work, blocks=home.blocks
        )

    @property
    def root(self) -> Scope:
        """The scope of the file."""
        return list(self.chain())[-1]

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find(self, name: str) -> tuple[bool, Any]:
        """Whether a name has a value here, and which."""
        for scope in self.chain():
            if name in scope.names:
                return True, scope.names[name]
        return False, None

    def default(self, name: str) -> tuple[Group, ...]:
        """What calls of a name take unless they say otherwise, the latest default last."""
        found = [scope.defaults[name] for scope in self.chain() if name in scope.defaults]
        if None in found:
            raise Lost
        return tuple(group for group in reversed(found) if group is not None)

    def visible(self) -> list[str]:
        """All names that have a value here."""
        return [name for scope in self.chain() for name in scope.names]

    def spend(self, span: Span, steps: int = 1) -> None:
        """Count steps; MeaningError E124 when there are too many."""
        self.work.left -= steps
        if self.work.left < 0:
            message = f"the file takes more than {MOST_STEPS:,} steps to write out"
            raise self.limit("E124", message, span, "repeat less often")

    def limit(self, code: str, message: str, span: Span, help: str | None = None) -> LimitError:
        """The error that ends the work at once."""
        return LimitError(code, message, span, help, self.frames)

    def error(self, code: str, message: str, span: Span, help: str | None = None) -> MeaningError:
        """An error at a place, with the block calls that led there."""
        return MeaningError(code, message, span, help, self.frames)

    def unknown(self, name: str, span: Span, help: str | None = None) -> MeaningError:
        """The error for a name without a value; ``help`` is for one that nothing else explains."""
        help = nearest(name, self.visible()) or help or f"give it a value: let {name} = ..."
        if name in ("True", "False", "None"):
            help = f"write {name.lower()}"
        if name in self.labels:
            help = f"write @{name} for the tensor of that name"
        return self.error("E101", f"unknown name '{name}'", span, help)


def brief(value: object, limit: int = 60) -> str:
    """A value as the language writes it, cut short: for messages."""
    if isinstance(value, float):
        value = float(f"{value:.10g}")
    if isinstance(value, (list, tuple)) and len(value) > limit:
        value = value[:limit]  # each is a sign at least
    text = spell(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def known(value: Any, span: Span, scope: Scope) -> Any:
    """The value itself; MeaningError E101 if it is a bare name, where a value is wanted."""
    if isinstance(value, Word):
        raise scope.unknown(value.name, span)
    return value
