"""Brackets: each is closed by its own kind, and they do not nest without bound."""

from __future__ import annotations

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax.newlines import CLOSERS, CLOSING
from netdsl.syntax.words import Word, place

MAX_NESTING = 64
_DECLARES = {"net", "block", "train", "sweep", "import"}


def check_brackets(tokens: list[Word], source: Source) -> None:
    """Brackets pair up and nest at most ``MAX_NESTING`` deep."""
    opened: list[int] = []
    suspect: int | None = None
    for at, token in enumerate(tokens):
        if token in CLOSERS:
            opened.append(at)
            if len(opened) > MAX_NESTING:
                raise _too_deep(token, source)
        elif token in CLOSING:
            if suspect is None and opened and _outdented(token, tokens[opened[-1]], source):
                suspect = opened[-1]
            _close(tokens, opened, at, source)
        elif opened and token in _DECLARES and _begins(tokens, at, source):
            guilty = suspect if suspect is not None else opened[-1]
            raise _unclosed(tokens, guilty, f"before '{token}' begins", at, source)
    if opened:
        guilty = suspect if suspect is not None else opened[-1]
        raise _unclosed(tokens, guilty, "", len(tokens) - 1, source)


def _close(tokens: list[Word], opened: list[int], at: int, source: Source) -> None:
    closer = tokens[at]
    opener = opened[-1] if opened else -1
    if opened and CLOSERS[tokens[opener]] == closer:
        opened.pop()
        return
    if not opened or (tokens[opener] == "{" and not _open(tokens, opened, closer)):
        span = place(source, closer)
        pair = next(one for one, other in CLOSERS.items() if other == closer)
        help = f"drop it, or write the '{pair}' that it closes"
        raise SyntaxFault("E021", f"'{closer}' closes nothing", span, help)
    if _open(tokens, opened, closer):
        raise _unclosed(tokens, opener, f"before '{closer}'", at, source)
    line = place(source, tokens[opener]).line
    raise SyntaxFault(
        "E022",
        f"'{closer}' does not close {_describe(tokens, opener)} on line {line}",
        place(source, closer),
        f"write '{CLOSERS[tokens[opener]]}'",
    )


def _open(tokens: list[Word], opened: list[int], closer: Word) -> bool:
    return any(CLOSERS[tokens[other]] == closer for other in opened)


def _unclosed(tokens: list[Word], opener: int, when: str, at: int, source: Source) -> SyntaxFault:
    token = tokens[opener]
    wanted = CLOSERS[token]
    where = f" {when} on line {place(source, tokens[at]).line}" if when else ""
    what = f"{_describe(tokens, opener)} on line {place(source, token).line}"
    return SyntaxFault(
        "E020",
        f"missing '{wanted}': {what} is not closed{where}",
        place(source, token),
    )


def _describe(tokens: list[Word], at: int) -> str:
    """``the '(' of conv``."""
    head = at - 1
    if tokens[at] != "(" and head >= 0 and tokens[head] == ")":
        depth = 0
        while head >= 0:
            depth += (tokens[head] == ")") - (tokens[head] == "(")
            head -= 1
            if depth == 0:
                break
    if head >= 1 and tokens[head].type == "NAME" and tokens[head - 1] in _DECLARES:
        return f"the '{tokens[at]}' of {tokens[head - 1]} {tokens[head]}"
    if head >= 0 and (tokens[head].type == "NAME" or tokens[head] in ("else", "train", "sweep")):
        return f"the '{tokens[at]}' of {tokens[head]}"
    return f"the '{tokens[at]}'"


def _begins(tokens: list[Word], at: int, source: Source) -> bool:
    """Whether a declaration begins here: first on its line, its name or brace after it."""
    if at and tokens[at - 1].type != "_NL":
        return False
    rest = [token for token in tokens[at + 1 : at + 3] if token.type != "_NL"]
    first = place(source, tokens[at]).column == 1
    return first and bool(rest) and (rest[0].type == "NAME" or rest[0] == "{")


def _outdented(closer: Word, opener: Word, source: Source) -> bool:
    """Whether a line begins with the closer, further left than the line of its opener."""
    line = source.line(place(source, closer).line)
    indent = len(line) - len(line.lstrip())
    other = source.line(place(source, opener).line)
    return place(source, closer).column == indent + 1 and indent < len(other) - len(other.lstrip())


def _too_deep(token: Word, source: Source) -> SyntaxFault:
    return SyntaxFault(
        "E005",
        f"brackets are nested more than {MAX_NESTING} deep here",
        place(source, token),
        "give the inner part a name: block f { ... } or let x = ...",
    )
