"""Text to tree: files, and single expressions of the command line.

The text is taken apart into words, and the words are checked for what would overwhelm the parser
(their number, the depth of the brackets, the size of the numbers) before Lark's LALR parser sees
them. What the parser refuses is turned into a sentence by ``mistakes``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from lark import Lark, Token, UnexpectedToken

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.brackets import check_brackets
from netdsl.syntax.build import build
from netdsl.syntax.files import read_text
from netdsl.syntax.mistakes import explain
from netdsl.syntax.newlines import fold
from netdsl.syntax.numbers import check_numbers
from netdsl.syntax.scene import Scene
from netdsl.syntax.tokens import collect, place

VERSION = 1


def read(path: str | Path) -> Source:
    """A file as a source; a ``SyntaxFault`` if it cannot be one."""
    return read_text(path)


def parse(source: Source) -> ast.File:
    """The tree of a whole file."""
    tree = _parse(source, "start")
    assert isinstance(tree, ast.File)
    return tree


def parse_expr(source: Source) -> ast.Expr:
    """The tree of one expression."""
    tree = _parse(source, "value")
    assert isinstance(tree, ast.Expr)
    return tree


@cache
def _lark() -> Lark:
    """The parser, made when the first text comes: making it takes some 80 ms."""
    grammar = files("netdsl.grammars").joinpath("net.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=["start", "value"],
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def _parse(source: Source, start: str) -> ast.Tree:
    parser = _lark().parse_interactive(source.text, start=start)
    words = collect(parser.lexer_thread.lex(parser.parser_state), source)
    _check_version(words, source)
    check_numbers(words, source)
    check_brackets(words, source)
    words = fold(words)
    end = Token("$END", "", start_pos=len(source.text), end_pos=len(source.text))
    raw = None
    for at, word in enumerate([*words, end]):
        try:
            raw = parser.feed_token(word)
        except UnexpectedToken:
            accepts = frozenset(parser.accepts())
            raise explain(Scene(source, [*words, end], at, accepts, start == "value")) from None
    assert raw is not None
    return build(raw, source)


def _check_version(words: list[Token], source: Source) -> None:
    """A file in another version of the language may differ in anything, so this comes first."""
    words = [word for word in words[:4] if word.type != "_NL"]
    if len(words) < 2 or words[0] != "netdsl" or words[1].type not in ("INT", "FLOAT", "DIMS"):
        return
    if words[1] != str(VERSION):
        raise SyntaxFault(
            "E008",
            f"language version {words[1]} is not known",
            place(source, words[1]),
            f"this netdsl knows version {VERSION}: write netdsl {VERSION}, or install a newer one",
        )
