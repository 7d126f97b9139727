"""What editors colour is what the parser reads: the class of every word, by each of the lexers."""

from __future__ import annotations

import importlib.metadata
import json
import re
import runpy
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import lark
import pytest
from hypothesis import HealthCheck, given, settings
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from random_programs import programs

from netdsl.highlight import BRACKETS, CONSTANTS, OPERATOR_WORDS
from netdsl.pygments_lexer import TOKENS, NetLexer
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.comments import comments_of
from netdsl.syntax.format import format_file
from netdsl.syntax.generate import STARTS, generate
from netdsl.syntax.numbers import NUMBERS
from netdsl.syntax.table import GRAMMAR, TABLE, load
from netdsl.syntax.tokens import read_words
from netdsl.syntax.words import Word

ROOT = Path(__file__).parent.parent
EXTENSION = ROOT / "grammars" / "vscode"
TEXTS = {
    f"{path.parent.name}/{path.name}": path.read_text()
    for folder in ("specs", "examples", "tests/programs", "tests/nets")
    for path in sorted((ROOT / folder).glob("*.net"))
}
Place = tuple[int, int]


# ---- the tables that everything is made from ----------------------------------------


def test_the_tables_are_those_of_the_grammar() -> None:
    """If not: python -m netdsl.syntax.generate."""
    folder = files("netdsl.grammars")
    made = generate(folder.joinpath(GRAMMAR).read_text())
    assert json.loads(folder.joinpath(TABLE).read_text()) == made


@pytest.mark.parametrize("name", TEXTS)
def test_words_are_those_of_the_grammar(name: str) -> None:
    """Lark reads the grammar itself."""
    text = TEXTS[name]
    words, wrong = read_words(Source(name, text), load())
    read = [(str(token), token.type, token.start_pos) for token in lark_lexer()(text)]
    assert not wrong and [(str(word), word.type, word.start) for word in words] == read


@cache
def lark_lexer() -> Callable[[str], Iterator[lark.Token]]:
    grammar = files("netdsl.grammars").joinpath(GRAMMAR).read_text()
    return lark.Lark(grammar, parser="lalr", lexer="basic", start=STARTS).lex


# ---- the class of every word ---------------------------------------------------------


def classes(text: str) -> dict[Place, str]:
    """The class of each word, from the words that the parser reads."""
    words, _ = read_words(Source("f", text), load())
    words = [word for word in words if word.type != "_NL"]
    found = {
        (word.start, word.end): _class(words[at - 1] if at else None, word, text)
        for at, word in enumerate(words)
    }
    for comment in comments_of(text):
        found[comment.start, comment.start + len(comment.text)] = "comment"
    return found


def _class(before: Word | None, word: Word, text: str) -> str:
    if word.type == "NAME":
        return _class_of_name(before, word, text)
    fixed = {"STRING": "string", "DIMS": "dims", "COMMA": "comma"}
    if word in load().words:
        kinds = {**dict.fromkeys(CONSTANTS, "constant"), **dict.fromkeys(OPERATOR_WORDS, "word")}
        return kinds.get(str(word), "keyword")
    if word in BRACKETS:
        return "bracket"
    return fixed.get(word.type) or ("number" if word.type in NUMBERS else "operator")


def _class_of_name(before: Word | None, word: Word, text: str) -> str:
    between = text[before.end : word.start] if before else "\n"
    if before in ("net", "block") and between.strip(" \t") == "":
        return "declared"
    if before == "@" and not between:
        return "tensor"
    return "call" if re.match(r"[ \t]*\(", text[word.end :]) else "name"


def by_pygments(text: str) -> dict[Place, str]:
    kinds = {token: kind for kind, token in TOKENS.items() if kind not in ("bracket", "comma")}
    found: dict[Place, str] = {}
    for at, token, piece in NetLexer().get_tokens_unprocessed(text):
        kind = kinds.get(token, "comma" if piece == "," else "bracket")
        if kind:
            found[at, at + len(piece.rstrip() if kind == "comment" else piece)] = kind
    return found


@cache
def textmate() -> list[tuple[re.Pattern[str], dict[str, str]]]:
    """Each pattern of the extension with the classes of its groups."""
    scopes = runpy.run_path(str(ROOT / "scripts" / "textmate.py"))["SCOPES"]
    kinds = {f"{scope}.netdsl": kind for kind, scope in scopes.items()}
    grammar = json.loads((EXTENSION / "syntaxes" / "netdsl.tmLanguage.json").read_text())
    return [
        (
            re.compile(one["match"]),
            {
                group: kinds[scope["name"]]
                for group, scope in one.get("captures", {"0": one}).items()
            },
        )
        for one in grammar["patterns"]
    ]


def by_textmate(text: str) -> dict[Place, str]:
    """As editors do it: of each line, the pattern that matches first, the topmost if several do."""
    found: dict[Place, str] = {}
    start = 0
    for line in text.split("\n"):
        at = 0
        while matches := [(m, kinds) for p, kinds in textmate() if (m := p.search(line, at))]:
            match, kinds = min(matches, key=lambda pair: pair[0].start())
            for group, kind in kinds.items():
                begin, piece = match.start(int(group)), match[int(group)].rstrip()
                found[start + begin, start + begin + len(piece)] = kind
            at = match.end()
        start += len(line) + 1
    return found


@pytest.mark.parametrize("lexer", [by_pygments, by_textmate])
@pytest.mark.parametrize("name", TEXTS)
def test_every_word_has_its_class(name: str, lexer: Callable[[str], dict[Place, str]]) -> None:
    assert lexer(TEXTS[name]) == classes(TEXTS[name])


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs)
def test_every_word_of_random_programs_has_its_class(file: ast.File) -> None:
    text = format_file(file)
    assert by_pygments(text) == by_textmate(text) == classes(text)


# ---- the files -----------------------------------------------------------------------


def test_the_textmate_grammar_is_up_to_date() -> None:
    """If not: python scripts/textmate.py."""
    made = runpy.run_path(str(ROOT / "scripts" / "textmate.py"))
    assert made["TARGET"].read_text() == made["text"]()


def test_the_extension_holds_what_it_names() -> None:
    package = json.loads((EXTENSION / "package.json").read_text())
    (language,), (grammar,) = (package["contributes"][key] for key in ("languages", "grammars"))
    assert package["version"] == importlib.metadata.version("netdsl")
    assert language["id"] == grammar["language"] and language["extensions"] == [".net"]
    assert (
        json.loads((EXTENSION / grammar["path"]).read_text())["scopeName"] == grammar["scopeName"]
    )
    configuration = json.loads((EXTENSION / language["configuration"]).read_text())
    assert configuration["comments"]["lineComment"] == "#"
    assert {"".join(pair) for pair in configuration["brackets"]} == {"()", "[]", "{}"}


def test_pygments_finds_the_lexer_by_itself() -> None:
    assert get_lexer_for_filename("resnet.net").name == get_lexer_by_name("netdsl").name == "netdsl"
