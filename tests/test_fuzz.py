"""Whatever somebody writes: it reads back, or it is a ``NetError``, and soon."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from random_programs import mutations, programs
from test_syntax import bare

from netdsl.compiler import load_source
from netdsl.errors import NetError
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.comments import comments_of
from netdsl.syntax.format import format_file, format_source
from netdsl.syntax.parse import parse

ROOT = Path(__file__).parent.parent
TEXTS = [
    path.read_text()
    for folder in ("specs", "examples", "tests/nets", "tests/programs")
    for path in sorted((ROOT / folder).glob("*.net"))
]
# The same programs at every run; a failing one is shown as it is, since making it small takes long.
few, many = (
    settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for examples in (150, 10_000)
)
# Two seconds are the aim, and what grows to the limit of layers takes nearly that; the rest is for
# machines that have other work.
SECONDS = 4


def check(text: str) -> None:
    """Reads, keeps its tree and its comments when formatted, and loads; or a ``NetError``."""
    source = Source("f.net", text)
    try:
        file = parse(source)
    except NetError as error:
        assert error.code in str(error)
    else:
        check_form(source, file)
        nets = [item.name.text for item in file.items if isinstance(item, ast.Net | ast.Alias)]
        for net in (nets or [None])[:2]:
            check_load(source, net)


def check_form(source: Source, file: ast.File) -> None:
    shown = Source("f.net", format_source(source))
    assert bare(parse(shown)) == bare(file)
    assert format_source(shown) == shown.text
    assert remarks(shown.text) == remarks(source.text)


def check_load(source: Source, net: str | None) -> None:
    """A busy machine may be slow once; a program that is slow twice is."""
    assert load(source, net) < SECONDS or load(source, net) < SECONDS


def load(source: Source, net: str | None) -> float:
    """How long the net takes to load, or to be refused."""
    began = process_time()
    try:
        load_source(source, net, path=ROOT / "specs" / "f.net")
    except NetError as error:
        assert error.code in str(error)
    return process_time() - began


def remarks(text: str) -> Counter[str]:
    return Counter(comment.text for comment in comments_of(text))


@few
@given(mutations(TEXTS))
def test_real_programs_with_something_changed(text: str) -> None:
    check(text)


@few
@given(programs)
def test_programs_of_the_grammar(file: ast.File) -> None:
    check(format_file(file))


@pytest.mark.slow
@many
@given(mutations(TEXTS))
def test_ten_thousand_real_programs_with_something_changed(text: str) -> None:
    check(text)


@pytest.mark.slow
@many
@given(programs)
def test_ten_thousand_programs_of_the_grammar(file: ast.File) -> None:
    check(format_file(file))
