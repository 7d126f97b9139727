"""The canonical form of files with their comments: another layout, and nothing else."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import programs
from test_syntax import bare

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.comments import comments_of
from netdsl.syntax.format import WIDTH, format_file, format_source
from netdsl.syntax.parse import parse
from netdsl.syntax.scene import WORDS

HERE = Path(__file__).parent
OURS = {
    path.name: path.read_text()
    for folder in ("specs", "examples")
    for path in sorted((HERE.parent / folder).glob("**/*.net"))
}
OTHERS = {
    path.name: path.read_text()
    for folder in ("programs", "nets")
    for path in sorted((HERE / folder).glob("*.net"))
}


def fmt(text: str) -> str:
    return format_source(Source("f.net", text))


def check(text: str) -> str:
    """The canonical form, which keeps the tree and every comment, and has itself for its form."""
    shown = fmt(text)
    assert bare(parse(Source("f", shown))) == bare(parse(Source("f", text)))
    assert Counter(c.text for c in comments_of(shown)) == Counter(c.text for c in comments_of(text))
    assert fmt(shown) == shown
    return shown


@pytest.mark.parametrize("name", OURS)
def test_what_we_ship_stands_in_canonical_form(name: str) -> None:
    assert check(OURS[name]) == OURS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_other_files(name: str) -> None:
    check(OTHERS[name])


LAYOUTS = {
    "blanks and ends of lines": (
        "\r\n\n\tnet A  {\r\n\r\n\r\n\trelu  # a \t\r\n\n\n\n\ttanh\r\n\n}\n\n\n# end\n\n",
        "net A {\n  relu  # a\n\n  tanh\n}\n\n# end\n",
    ),
    "the same layer in columns": (
        "net A {\n conv(6, 5) as a -> relu # x\n conv(16, 5) as b2 -> bn # y\n dense(9) -> relu\n}",
        "net A {\n  conv(6, 5)  as a  -> relu  # x\n  conv(16, 5) as b2 -> bn    # y\n"
        "  dense(9) -> relu\n}\n",
    ),
    "columns too far apart": (
        "net A {\n  f(1) -> relu\n  f(123456789, 123456789) -> relu\n}",
        "net A {\n  f(1) -> relu\n  f(123456789, 123456789) -> relu\n}\n",
    ),
    "no columns across a blank line or a comment": (
        "net A {\n  f(1) -> a\n\n  f(12) -> a\n  # c\n  f(123) -> a\n}",
        "net A {\n  f(1) -> a\n\n  f(12) -> a\n  # c\n  f(123) -> a\n}\n",
    ),
    "settings": (
        "train a{batch=3 # c\n optimizer.lr=1e-3 # d\n}",
        "train a {\n  batch        = 3     # c\n  optimizer.lr = 1e-3  # d\n}\n",
    ),
    "braces and branches stay on a line, or off it": (
        "block f { relu }\nblock g {\n relu }\nnet A { add [ a, b ]\n add [\n a, b]\n"
        "if x {a} else {b} }",
        "block f { relu }\n\nblock g {\n  relu\n}\n\nnet A {\n  add [a, b]\n  add [\n    a\n    b\n"
        "  ]\n  if x { a } else { b }\n}\n",
    ),
    "declarations apart, an alias with its net": (
        "netdsl 1\nlet a = 1\nlet b = 2\nnet A {\n relu }\nnet B = A\nnet C = A\ntrain { }\n"
        "net D {\n a }",
        "netdsl 1\nlet a = 1\nlet b = 2\n\nnet A {\n  relu\n}\nnet B = A\nnet C = A\ntrain {}\n\n"
        "net D {\n  a\n}\n",
    ),
    "arguments too long for a line": (
        f"let x = f({', '.join(f'argument{i}=[1, 2, 3]' for i in range(6))})",
        "let x = f(\n" + "".join(f"  argument{i}=[1, 2, 3],\n" for i in range(6)) + ")\n",
    ),
    "comments between arguments": (
        "let x = f( # a\n  1, # b\n  # c\n  (2 + # d\n 3), [ # e\n ], y # f\n)",
        "let x = f(  # a\n  1,  # b\n  # c\n  # d\n  2 + 3,\n  [  # e\n  ],\n  y,  # f\n)\n",
    ),
    "comments between steps": (
        "net A {\n  a -> # one\n  b # two\n  -> c # three\n}",
        "net A {\n  a ->  # one\n    b ->  # two\n    c  # three\n}\n",
    ),
    "comments around braces": (
        "net A ( # p\n) { # o\n # first\n if x { a } # then\n # else\n else { b } # after\n"
        "# last\n}",
        "net A(  # p\n) {  # o\n  # first\n  if x { a } else {\n    # then\n    # else\n    b\n  }"
        "  # after\n  # last\n}\n",
    ),
    "comments around branches": (
        "net A { concat(axis=1 # x\n) [ # y\n a, # z\n # w\n b ] }",
        "net A {\n  concat(\n    axis=1,  # x\n  ) [  # y\n    a  # z\n    # w\n    b\n  ]\n}\n",
    ),
    "comments inside a value": (
        "# 0\nlet x = (1 + # a\n # b\n 2) # c",
        "# 0\n# a\n# b\nlet x = 1 + 2  # c\n",
    ),
    "comments alone": ("# a\n\n\n# b", "# a\n\n# b\n"),
    "nothing": ("\n \n", ""),
    "a sign that begins no comment": (
        'import f from "a#b.net" # c',
        'import f from "a#b.net"  # c\n',
    ),
}


ROW = "conv(128, 3, stride=2, pad=same, bias=false) -> bn -> relu -> conv(c, 3, pad=same)"
SHORT = "conv(c, 1) -> bn"
LONG = f"{ROW} -> bn"
NAME = "n" * 30
# What is written on one line, and the lines that it becomes.
TOO_LONG = {
    f"residual(shortcut=project) {{ {LONG} }}": ["residual(shortcut=project) {", f"  {LONG}", "}"],
    f"mean(drop=0.1) [{LONG}, {SHORT}]": ["mean(drop=0.1) [", f"  {LONG}", f"  {SHORT}", "]"],
    f"for n in [64, 128] {{ {LONG} }}": ["for n in [64, 128] {", f"  {LONG}", "}"],
    f"dense_block(4) {{ {LONG} }}": ["dense_block(4) {", f"  {LONG}", "}"],
    f"if f(n) {{ {SHORT} }} else {{ {LONG} }}": [
        f"if f(n) {{ {SHORT} }} else {{",
        f"  {LONG}",
        "}",
    ],
    f"relu -> f(n) {{ {LONG} }} -> relu": ["relu -> f(n) {", f"  {LONG}", "} -> relu"],
    f"{NAME} -> f(n) {{ {SHORT} }} -> {NAME} -> {NAME}": [
        f"{NAME} ->",
        f"  f(n) {{ {SHORT} }} ->",
        f"  {NAME} ->",
        f"  {NAME}",
    ],
    f"f(shortcut={{ {LONG} }}) {{ {SHORT} }}": [
        "f(shortcut={",
        f"  {LONG}",
        f"}}) {{ {SHORT} }}",
    ],
    f"f({NAME}1, {NAME}2, {NAME}3) {{ {SHORT} }}": [
        "f(",
        *[f"  {NAME}{at}," for at in (1, 2, 3)],
        f") {{ {SHORT} }}",
    ],
}


@pytest.mark.parametrize("line", TOO_LONG)
def test_braces_and_branches_break_before_what_stands_around_them(line: str) -> None:
    wanted = "".join(f"  {row}\n" for row in TOO_LONG[line])
    assert check(f"block unit(c) {{\n  {line}\n}}\n") == f"block unit(c) {{\n{wanted}}}\n"
    assert check(f"block unit(c) {{ {LONG} -> relu }}") == (
        f"block unit(c) {{\n  {LONG} -> relu\n}}\n"
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str) -> None:
    text, wanted = LAYOUTS[name]
    assert check(text) == wanted


def test_lines_fit_where_they_can_be_broken() -> None:
    step = "convolution(64, kernel=3, stride=2, pad=same, groups=32)"
    long = " -> ".join([step] * 3)
    text = f"net A {{ {long}\n residual(shortcut={{ {long} }}) {{ a }}\n f(g(a={{ {long} }}), 3) }}"
    assert max(map(len, check(text).split("\n"))) <= WIDTH


def test_a_source_that_does_not_read_is_not_formatted() -> None:
    with pytest.raises(SyntaxFault):
        fmt("net A { conv(6 5) }")


def test_a_tree_without_its_source_has_no_comments() -> None:
    file = parse(Source("f", "# a\nnet A { relu } # b"))
    assert format_file(file) == "net A {\n  relu\n}\n"


def scatter(text: str, chance: random.Random) -> str:
    """The text with comments, line ends and blanks wherever it still reads."""
    for number in range(chance.randrange(1, 8)):
        spots = [at.start() for at in re.finditer(r"(?<=[,({\[>)}\]])|(?=[)}\]\n ])", text)]
        at = chance.choice(spots)
        pieces = [
            f"  # {number}a\n",
            f"\n# {number}b\n",
            f"#{number}c\n\n\n# d\n",
            "\r\n",
            "\t",
            "\n\n\n",
        ]
        text = _if_it_reads(text[:at] + chance.choice(pieces) + text[at:], text)
    return text


def stretch(text: str, chance: random.Random) -> str:
    """The text with some braces and branches put on one line, and some names made long."""
    for _ in range(chance.randrange(12)):
        spots = [*re.finditer(r"[{\[]\s*\n[^\n#]*\n\s*[}\]]", text)]
        if spots:
            spot = chance.choice(spots)
            joined = re.sub(r"\s+", " ", spot[0])
            text = _if_it_reads(text[: spot.start()] + joined + text[spot.end() :], text)
    word = re.compile(r'(?<![\w."#])[a-z]\w*')
    names = sorted({*word.findall(text)} - WORDS)
    long = {name: f"{name}_{'long' * chance.randrange(1, 14)}" for name in names}
    some = {name: long[name] for name in names if chance.random() < 0.4}
    return _if_it_reads(word.sub(lambda one: some.get(one[0], one[0]), text), text)


def _if_it_reads(text: str, other: str) -> str:
    try:
        parse(Source("f", text))
    except SyntaxFault:
        return other
    return text


@pytest.mark.parametrize("seed", range(4))
def test_lines_too_long_are_laid_out_once_and_for_all(seed: int) -> None:
    chance = random.Random(seed)
    texts = [text for text in (*OURS.values(), *OTHERS.values()) if len(text) < 2500]
    for _ in range(60):
        check(stretch(chance.choice(texts), chance))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, st.randoms(use_true_random=False))
def test_random_programs_with_long_names(file: ast.File, chance: random.Random) -> None:
    check(stretch(format_file(file), chance))


@pytest.mark.parametrize("seed", range(4))
def test_comments_anywhere_are_kept(seed: int) -> None:
    chance = random.Random(seed)
    texts = [text for text in (*OURS.values(), *OTHERS.values()) if len(text) < 2500]
    for _ in range(60):
        check(scatter(chance.choice(texts), chance))
