"""Text to tree and back: what reads, what is refused and how, and the canonical form."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path

import lark
import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import exprs, programs

from netdsl.errors import SyntaxFault
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.format import WIDTH, format_expr, format_file
from netdsl.syntax.parse import parse, parse_expr, read

HERE = Path(__file__).parent
PROGRAMS = {path.stem: path.read_text() for path in sorted((HERE / "programs").glob("*.net"))}


def bare(node: object) -> object:
    """A tree without its places."""
    if is_dataclass(node):
        inner = (bare(getattr(node, one.name)) for one in fields(node) if one.name != "span")
        return (type(node).__name__, *inner)
    if isinstance(node, tuple):
        return tuple(bare(one) for one in node)
    return (type(node).__name__, node)


def nodes(node: object) -> Iterator[ast.Tree]:
    """All nodes of a tree."""
    if isinstance(node, ast.Tree):
        yield node
        for one in fields(node):
            yield from nodes(getattr(node, one.name))
    elif isinstance(node, tuple):
        for one in node:
            yield from nodes(one)


def dump(node: object, indent: int = 0) -> str:
    """A tree as people read it: one node a line, with the text it was read from."""
    if isinstance(node, tuple):
        return "".join(dump(one, indent) for one in node)
    if not isinstance(node, ast.Tree):
        return ""
    text = " ".join(node.span.text.split())
    text = text if len(text) <= 50 else f"{text[:23]} ... {text[-22:]}"
    line = f"{'  ' * indent}{type(node).__name__}: {text}\n"
    return line + "".join(dump(getattr(node, one.name), indent + 1) for one in fields(node))


def refuse(text: str, reader: Callable[[Source], object] = parse) -> SyntaxFault:
    with pytest.raises(SyntaxFault) as caught:
        reader(Source("f.net", text))
    return caught.value


# ---- what reads ----------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_read_and_keep_their_trees_through_the_canonical_form(name: str) -> None:
    tree = parse(Source(name, PROGRAMS[name]))
    text = format_file(tree)
    again = parse(Source(name, text))
    assert bare(again) == bare(tree)
    assert format_file(again) == text
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", ["lenet5", "fragments"])
def test_tree_and_canonical_text(name: str, golden: Callable[[str, str], None]) -> None:
    tree = parse(Source(name, PROGRAMS[name]))
    golden(f"syntax/{name}.tree", dump(tree))
    golden(f"syntax/{name}.net", format_file(tree))


@pytest.mark.parametrize("ending", ["\r\n", "\n\n", "  # c\n\t# d\n"])
def test_layout_leaves_no_trace_in_the_tree(ending: str) -> None:
    for text in PROGRAMS.values():
        laid_out = text.replace("\n", ending)
        assert bare(parse(Source("f", laid_out))) == bare(parse(Source("f", text)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_spans_nest_and_begin_and_end_with_words(name: str) -> None:
    for node in nodes(parse(Source(name, PROGRAMS[name]))):
        assert node.span.text == node.span.text.strip() != ""
        if isinstance(node, ast.Name):
            assert node.span.text == node.text
        for one in fields(node):
            for inner in nodes(getattr(node, one.name)):
                assert node.span.start <= inner.span.start <= inner.span.end <= node.span.end


def test_spans_cover_what_they_name() -> None:
    file = parse(Source("f", "net A {\n  conv(6, pad=(1)) * (n - 1) as x -> relu\n}"))
    net = file.items[0]
    assert isinstance(net, ast.Net)
    pipe = net.body.statements[0]
    assert isinstance(pipe, ast.Pipe)
    step = pipe.steps[0]
    assert step.span.text == "conv(6, pad=(1)) * (n - 1) as x"
    assert isinstance(step.atom, ast.Call)
    assert [arg.span.text for arg in step.atom.args] == ["6", "pad=(1)"]
    assert step.atom.args[1].value.span.text == "(1)"
    assert step.count is not None and step.count.span.text == "(n - 1)"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1+2*3-(4-5)", "1 + 2 * 3 - (4 - 5)"),
        ("-a**-b**c", "-a ** -b ** c"),
        ("(-a)**b", "(-a) ** b"),
        ("not (a or b) and c==(d<e)", "not (a or b) and c == (d < e)"),
        ("(a if b else c) if d else e if f else g", "(a if b else c) if d else e if f else g"),
        ("1..n-1", "1..n - 1"),
        ("(in).c//2", "in.c // 2"),
        ("(3).x", "(3).x"),
        ("[3,4,6,3,][0]", "[3, 4, 6, 3][0]"),
        ("(3x3,)", "(3x3,)"),
        ("1e-4+61_706+61706", "1e-4 + 61_706 + 61706"),
        ("f(a,b={conv(1)->bn},c=@in)", "f(a, b={ conv(1) -> bn }, c=@in)"),
    ],
)
def test_values_in_canonical_form(text: str, canonical: str) -> None:
    tree = parse_expr(Source("e", text))
    assert format_expr(tree) == canonical
    assert bare(parse_expr(Source("e", canonical))) == bare(tree)


def test_a_pipe_too_long_for_a_line_is_broken_after_its_arrows() -> None:
    long = " -> ".join(["convolution(64, kernel=3, stride=2)"] * 3)
    text = format_file(parse(Source("f", f"net A {{ {long} }}")))
    step = "convolution(64, kernel=3, stride=2)"
    assert text == f"net A {{\n  {step} ->\n    {step} ->\n    {step}\n}}\n"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_random_programs_read_back(file: ast.File) -> None:
    text = format_file(file)
    again = parse(Source("random", text))
    assert bare(again) == bare(file)
    assert format_file(again) == text


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(exprs)
def test_random_values_read_back(expr: ast.Expr) -> None:
    assert bare(parse_expr(Source("random", format_expr(expr)))) == bare(expr)


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    """Without strict mode, which needs a further package, Lark only logs what it resolves."""
    grammar = files("netdsl.grammars").joinpath("net.lark").read_text()
    with caplog.at_level(logging.DEBUG, logger="lark"):
        lark.Lark(grammar, parser="lalr", lexer="basic", start=["start", "value"], debug=True)
        assert "conflict" not in caplog.text.lower()
        lark.Lark('start: "i" start ["e" start] | "x"', parser="lalr", lexer="basic", debug=True)
    assert "conflict" in caplog.text.lower()


# ---- what would overwhelm ----------------------------------------------------------

DEEP = {
    "braces": ("net A " + "{" * 10_000 + "}" * 10_000, "E005"),
    "parentheses": ("let x = " + "(" * 10_000 + "1" + ")" * 10_000, "E005"),
    "lists": ("let x = " + "[" * 10_000, "E005"),
    "sum": ("let x = 1" + "+1" * 20_000, "E005"),
    "signs": ("let x = " + "-" * 20_000 + "1", "E005"),
    "powers": ("let x = 2" + "**2" * 20_000, "E005"),
    "members": ("let x = a" + ".b" * 20_000, "E005"),
    "choices": ("let x = a" + " if b else c" * 10_000, "E005"),
    "else if": ("net A { if a { }" + " else if a { }" * 5_000 + " }", "E005"),
    "words": ("a " * 500_000, "E006"),
    "operators": ("let x = 1" + "+1" * 200_000, "E006"),
    "nearly too many operators": ("let x = 1" + "+1" * 99_000, "E005"),
    "digits": ("let x = " + "1" * 900_000, "E007"),
}


@pytest.mark.parametrize("name", DEEP)
def test_what_would_overwhelm_is_refused_at_once(name: str) -> None:
    text, code = DEEP[name]
    began = time.process_time()
    assert refuse(text).code == code
    assert time.process_time() - began < 2


def test_the_bracket_that_goes_too_deep_is_named() -> None:
    fault = refuse("let x = " + "(" * 65 + "1" + ")" * 65)
    assert fault.span is not None
    assert (fault.code, fault.span.column) == ("E005", len("let x = ") + 65)


@pytest.mark.parametrize(
    "text",
    [
        "net A {" + "f {" * 63 + "}" * 63 + "}",
        "net A {" + "f(a={" * 31 + "x\ny" + "})" * 31 + "}",
        "let x = " + "f(" * 64 + ")" * 64,
        "let x = 1" + "+1" * 140,
        "net A { if a { }" + " else if a { }" * 50 + " }",
        "net A {" + ("r { " + "a" * 60 + " -> " + "b" * 60 + " -> ") * 30 + "x\ny" + "}" * 31,
    ],
)
def test_the_deepest_that_reads_can_be_walked(text: str) -> None:
    tree = parse(Source("f", text))
    began = time.process_time()
    assert bare(parse(Source("f", format_file(tree)))) == bare(tree)
    assert time.process_time() - began < 2


def test_twenty_thousand_lines_read_in_seconds() -> None:
    block = """block stage%d(c, n) {
  residual(shortcut=project) {
    conv(c, 3, pad=1) -> bn -> relu
    conv(4 * c, 3, pad=1) -> bn  # expands
  }
  concat [
    conv(c, 1) * n
    id
  ]
}
"""
    text = "".join(block % number for number in range(2_000))
    began = time.process_time()
    file = parse(Source("f", text))
    assert time.process_time() - began < 5
    assert len(file.items) == 2_000


# ---- files -----------------------------------------------------------------------


def test_files_that_cannot_be_programs(tmp_path: Path) -> None:
    (tmp_path / "lenet5.net").write_text("net A { relu }")
    (tmp_path / "empty.net").write_bytes(b"")
    (tmp_path / "latin.net").write_bytes(b"# caf\xe9\nnet A { relu }")
    (tmp_path / "zero.net").write_bytes(b"net A {\n\0}")
    (tmp_path / "large.net").write_bytes(b"#" * 10_000_000)
    cases = {
        "lenet.net": ("E001", f"there is no file {tmp_path}/lenet.net"),
        "lenet5": ("E001", f"there is no file {tmp_path}/lenet5"),
        "": ("E001", f"{tmp_path} is a directory, not a file"),
        "empty.net": ("E002", "the file is empty"),
        "latin.net": (
            "E003",
            f"{tmp_path}/latin.net is not UTF-8 text: byte 0xe9 at offset 5 (line 1)",
        ),
        "zero.net": (
            "E003",
            f"{tmp_path}/zero.net is not UTF-8 text: byte 0x00 at offset 8 (line 2)",
        ),
        "large.net": ("E004", f"{tmp_path}/large.net is larger than 1_000_000 bytes"),
    }
    for name, expected in cases.items():
        with pytest.raises(SyntaxFault) as caught:
            read(tmp_path / name)
        assert (caught.value.code, caught.value.message) == expected
        if name.startswith("lenet"):
            assert caught.value.help == f"did you mean {tmp_path}/lenet5.net?"


def test_a_file_may_begin_with_a_mark_and_end_its_lines_in_two_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_bytes(b"\xef\xbb\xbfnetdsl 1\r\nnet A {\r\n  conv(6 5)\r\n}\r\n")
    source = read(path)
    assert source.name == str(path)
    with pytest.raises(SyntaxFault) as caught:
        parse(source)
    assert caught.value.span is not None
    assert (caught.value.span.line, caught.value.span.column) == (3, 10)


@pytest.mark.parametrize("text", ["", " \n\t\n", "# nothing\n"])
def test_a_text_without_a_word_is_a_file_without_an_item(text: str) -> None:
    assert bare(parse(Source("f", text))) == bare(ast.File(Source("f", "").span(0, 0), None, ()))
