"""Text to tree: files, and single expressions of the command line.

The text is taken apart into words, and the words are checked for what would overwhelm the parser
(their number, the depth of the brackets, the size of the numbers) before the parser sees them.
"""

from __future__ import annotations

from pathlib import Path

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.brackets import check_brackets
from netdsl.syntax.files import read_text
from netdsl.syntax.newlines import fold
from netdsl.syntax.numbers import check_numbers
from netdsl.syntax.reader import Reader, together
from netdsl.syntax.table import load
from netdsl.syntax.tokens import Wrong, read_words
from netdsl.syntax.words import END, WRONG, Word, make, place

VERSION = 1


def read(path: str | Path) -> Source:
    """A file as a source; a ``SyntaxFault`` if it cannot be one."""
    return read_text(path)


def parse(source: Source) -> ast.File:
    """The tree of a whole file; the ``SyntaxFault`` that it raises carries all mistakes found."""
    tree = _parse(source, "start")
    assert isinstance(tree, ast.File)
    return tree


def parse_expr(source: Source) -> ast.Expr:
    """The tree of one expression."""
    tree = _parse(source, "value")
    assert isinstance(tree, ast.Expr)
    return tree


def _parse(source: Source, start: str) -> ast.Tree:
    table = load()
    words, wrong = read_words(source, table)
    _check_version(words, source)
    wrong |= check_numbers(words, source)
    try:
        check_brackets(words, source)
    except SyntaxFault as fault:
        raise together([*wrong.values()] or [fault]) from None
    words = _marked(fold(words), wrong)
    end = len(source.text)
    return Reader(source, table, [*words, make("", END, end)], start, wrong).read()


def _marked(words: list[Word], wrong: Wrong) -> list[Word]:
    """The words, those that are wrong of a type that no rule takes."""
    if not wrong:
        return words
    return [make(one, WRONG, one.start) if one.start in wrong else one for one in words]


def _check_version(words: list[Word], source: Source) -> None:
    """A file in another version of the language may differ in anything, so this comes first."""
    words = [one for one in words[:4] if one.type != "_NL"]
    if len(words) < 2 or words[0] != "netdsl" or words[1].type not in ("INT", "FLOAT", "DIMS"):
        return
    if words[1] != str(VERSION):
        raise SyntaxFault(
            "E008",
            f"language version {words[1]} is not known",
            place(source, words[1]),
            f"this netdsl knows version {VERSION}: write netdsl {VERSION}, or install a newer one",
        )
