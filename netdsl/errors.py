"""The one family of errors that a user can meet, and warnings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from netdsl.source import Span


@dataclass(frozen=True)
class Frame:
    """A block call on the way to an error: ``in block f(c=64) called at line 4: f(64)``."""

    what: str
    call: Span

    def told(self, at: Span | None) -> str:
        """The sentence; the file is named where it is not that of the error."""
        line = self.call.source.line(self.call.line).strip()
        same = at is None or at.source.name == self.call.source.name
        where = f"line {self.call.line}" if same else f"{self.call.source.name}:{self.call.line}"
        return f"in {self.what} called at {where}: {_short(line)}"


class NetError(Exception):
    """Something is wrong with what the user gave: a place, a code, a message and a way out.

    The exit status of the command line is ``status``: 2, the input is wrong. An error may carry
    ``others``, independent of it, that were found in the same text: all are shown.
    """

    status = 2

    def __init__(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        help: str | None = None,
        frames: Iterable[Frame] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span
        self.help = help
        self.frames = tuple(frames)
        self.others: tuple[NetError, ...] = ()

    def __str__(self) -> str:
        return "\n\n".join(
            _show("error", each.code, each.message, each.span, each.help, each.frames)
            for each in self.each()
        )

    def each(self) -> tuple[NetError, ...]:
        """The error itself and the others that it carries."""
        return (self, *self.others)

    @staticmethod
    def together(errors: Iterable[NetError]) -> NetError:
        """The first of several errors, carrying the others; what was said already is left out."""
        found = {
            (error.code, error.message, error.span): error
            for given in reversed(tuple(errors))
            for error in reversed(given.each())
        }
        first, *others = reversed(found.values())
        first.others = tuple(others)
        return first


class SyntaxFault(NetError):
    """The text is not a sentence of the language (E0xx)."""


class MeaningError(NetError):
    """The sentence is right, but a name, an argument or a value is not (E1xx)."""


class ShapeError(NetError):
    """The layers do not fit together (E2xx)."""


class LimitError(MeaningError):
    """The file asks for more than any network needs, or never ends: no use in going on."""


class RecipeError(NetError):
    """The training section does not fit the network (E3xx)."""


class DataError(NetError):
    """A data set or an input file is missing or not what it says (E4xx)."""


class RunError(NetError):
    """The work failed on the way: disk, memory, numbers (E5xx). Exit status 1."""

    status = 1


class Interrupted(RunError):
    """The user broke the work off. Exit status 130, as of any program that SIGINT ends."""

    status = 130


class Problem(ValueError):
    """What an op says when an argument or an input does not suit it.

    Ops know no places; whoever called them adds the place and the code. ``argument`` names the
    guilty parameter, so that the caret stands under it.
    """

    def __init__(self, message: str, help: str | None = None, argument: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.argument = argument


@dataclass(frozen=True)
class Warning_:
    """A named warning: something that is legal, and seldom meant."""

    code: str
    message: str
    span: Span | None = None
    help: str | None = None
    frames: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        return _show("warning", self.code, self.message, self.span, self.help, self.frames)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """``did you mean 'stride'?``, or None if nothing known is near."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else None


def _show(
    kind: str,
    code: str,
    message: str,
    span: Span | None,
    help: str | None,
    frames: tuple[Frame, ...],
) -> str:
    place = f"{span.place}: " if span else ""
    lines = [f"{place}{kind}[{code}]: {message}"]
    if span:
        lines.append(span.excerpt())
    lines += _stack([f"  {frame.told(span)}" for frame in reversed(frames)])
    if help:
        lines.append(f"  help: {help}")
    return "\n".join(lines)


def _stack(calls: list[str], ends: int = 4) -> list[str]:
    """Block calls, the innermost first; of a deep recursion only both ends."""
    left = len(calls) - 2 * ends
    return [*calls[:ends], f"  … {left} more …", *calls[-ends:]] if left > 1 else calls


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
