"""Random programs: trees of the language, and real files with something changed."""

from __future__ import annotations

import re
from functools import partial

from hypothesis import strategies as st

from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.scene import WORDS

NOWHERE = Source("random", "").span(0, 0)


def node(kind: type[ast.Tree], *fields: st.SearchStrategy) -> st.SearchStrategy:
    """Trees of a kind, their fields drawn in order."""
    return st.builds(partial(kind, NOWHERE), *fields)


def rarely(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def rows(strategy: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


texts = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).filter(
    lambda text: text not in WORDS
)
names = node(ast.Name, texts)
tensors = st.just("in") | texts
paths = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n\0'), max_size=12)
numbers = (
    st.integers(0, 10**18 - 1)
    | st.floats(0, allow_infinity=False)
    | rows(st.integers(0, 999), 2, 4)
)
literals = node(ast.Literal, numbers | paths | st.booleans() | st.none())
leaves = literals | node(ast.Var, texts) | node(ast.TensorRef, tensors) | node(ast.In)
BINARY = ["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "and", "or", ".."]


def _distinct(pair: tuple[list, dict]) -> tuple[ast.Arg, ...]:
    """Positional arguments, then keywords of which none comes twice."""
    places, keywords = pair
    named = [ast.Arg(NOWHERE, ast.Name(NOWHERE, name), value) for name, value in keywords.items()]
    return (*(ast.Arg(NOWHERE, None, value) for value in places), *named)


def arguments(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(st.lists(values, max_size=2), st.dictionaries(texts, values, max_size=2)).map(
        _distinct
    )


def _values(inner: st.SearchStrategy) -> st.SearchStrategy:
    return (
        node(ast.Binary, st.sampled_from(BINARY), inner, inner)
        | node(ast.Unary, st.sampled_from(["-", "not"]), inner)
        | node(ast.Ternary, inner, inner, inner)
        | node(ast.TupleExpr, rows(inner, 1))
        | node(ast.ListExpr, rows(inner))
        | node(ast.Attr, inner, names)
        | node(ast.Index, inner, inner)
        | node(ast.Fn, names, arguments(inner))
        | node(ast.BodyExpr, node(ast.Body, rows(node(ast.Pipe, rows(_plain(inner), 1)), 0, 2)))
    )


def _plain(values: st.SearchStrategy) -> st.SearchStrategy:
    call = node(ast.Call, names, arguments(values)) | node(ast.Ref, tensors)
    return node(ast.Step, call, rarely(values), rarely(names))


exprs = st.recursive(leaves, _values, max_leaves=8)


def _atoms(atoms: st.SearchStrategy) -> st.SearchStrategy:
    pipes = node(ast.Pipe, rows(node(ast.Step, atoms, rarely(exprs), rarely(names)), 1))
    bodies = node(ast.Body, rows(statements(pipes)))
    return (
        node(ast.Merge, names, arguments(exprs), rows(pipes, 1))
        | node(ast.Wrap, names, arguments(exprs), bodies)
        | node(ast.If, exprs, bodies, rarely(bodies))
        | node(ast.For, rows(names, 1), exprs, bodies)
        | bodies
    )


def statements(pipes: st.SearchStrategy) -> st.SearchStrategy:
    return (
        pipes
        | node(ast.Input, names, arguments(exprs))
        | node(ast.Output, rows(names, 1))
        | node(ast.Let, names, exprs)
        | node(ast.Default, names, arguments(exprs))
        | node(ast.Shared, names, pipes)
        | node(ast.Side, pipes)
    )


calls = node(ast.Call, names, arguments(exprs)) | node(ast.Ref, tensors)
atoms = st.recursive(calls, _atoms, max_leaves=6)
pipes = node(ast.Pipe, rows(node(ast.Step, atoms, rarely(exprs), rarely(names)), 1))
bodies = node(ast.Body, rows(statements(pipes)))
params = st.dictionaries(texts, rarely(exprs), max_size=3).map(
    lambda chosen: tuple(
        ast.Param(NOWHERE, ast.Name(NOWHERE, name), value) for name, value in chosen.items()
    )
)
keys = st.lists(texts, min_size=1, max_size=3).map(".".join)
settings = st.dictionaries(keys, exprs, max_size=3).map(
    lambda chosen: tuple(
        ast.Setting(NOWHERE, ast.Name(NOWHERE, key), value) for key, value in chosen.items()
    )
)
items = (
    node(ast.Import, rows(names, 1), paths)
    | node(ast.Let, names, exprs)
    | node(ast.Default, names, arguments(exprs))
    | node(ast.Block, names, params, bodies)
    | node(ast.Net, names, params, bodies)
    | node(ast.Alias, names, names, arguments(exprs))
    | node(ast.Train, rarely(names), settings)
    | node(ast.Sweep, rarely(names), settings)
)
programs = node(ast.File, st.sampled_from([None, 1]), rows(items, 0, 3))


# ---- real programs with something changed ---------------------------------------------

WORD = re.compile(r'#[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|[0-9][\w.]*|->|\.\.|[=!<>*/]=?|\n[ \n]*|.')
NUMBERS = ["0", "1", "2", "-1", "7", "100", "999_999", "100_000_000", "0.5", "1e-3", "3x3", "[]"]


CHANGES = [
    "drop",
    "double",
    "exchange",
    "name",
    "name",
    "name",
    "number",
    "number",
    "number",
    "line",
]


@st.composite
def mutations(draw: st.DrawFn, texts: list[str]) -> str:
    """One of some texts, a few of its words or lines dropped, doubled, exchanged or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from(CHANGES))
        pieces = (
            text.split("\n") if change == "line" else [w for w in WORD.findall(text) if w != " "]
        )
        at, other = (draw(st.integers(0, len(pieces) - 1)) for _ in range(2))
        _change(pieces, "exchange" if change == "line" else change, at, other, draw)
        text = ("\n" if change == "line" else " ").join(pieces)
    return text


def _change(pieces: list[str], change: str, at: int, other: int, draw: st.DrawFn) -> None:
    if change == "drop":
        pieces[at] = ""
    elif change == "double":
        pieces[at] = f"{pieces[at]} {pieces[at]}"
    elif change == "exchange":
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif change == "name":
        names = [i for i, word in enumerate(pieces) if word.isidentifier() and word not in WORDS]
        if names:
            pieces[names[at % len(names)]] = pieces[names[other % len(names)]]
    else:
        numbers = [i for i, word in enumerate(pieces) if word[:1].isdigit()] or [at]
        pieces[numbers[at % len(numbers)]] = draw(st.sampled_from(NUMBERS))
