"""``netdsl diff``: what it says of two networks, and which layers it takes for the same."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path

import pytest
from shell import Capture, run

from netdsl.ir import Node
from netdsl.ops.conv import Conv
from netdsl.ops.relu import Relu
from netdsl.report.align import WORTH, align
from netdsl.source import Source
from netdsl.tensor import Tensor

PLAIN = "conv(4, 3, pad=1) -> relu\nconv(4, 3, pad=1) -> relu\nflatten -> dense(2)"
TWO = "id as a\n@a -> dense(4) as p\n@a -> dense(4) as q\n"

# Two bodies after ``input x(2x6x6)``, and the lines that tell how they differ.
CASES: dict[str, tuple[str, str, list[str]]] = {
    "equal": (PLAIN, PLAIN, []),
    "names do not count": ("conv(4, 3) as a -> relu", "{ conv(4, 3) -> relu as b }", []),
    "nor do layers that pass on": ("conv(4, 3) -> relu", "conv(4, 3) -> id -> relu -> id", []),
    "nor what is written as a block": (PLAIN, PLAIN.replace("relu", "act"), []),
    "one inserted shifts no other": (
        PLAIN,
        PLAIN.replace("-> relu\nf", "-> relu\nconv(4, 3, pad=1) -> bn -> relu\nf"),
        [
            "+ conv3: conv(4, 3, pad=1), 4x6x6",
            "+ bn1: bn, 4x6x6",
            "+ relu3: relu, 4x6x6",
        ],
    ),
    "one taken out": (
        PLAIN,
        PLAIN.replace("-> relu\nflatten", "\nflatten"),
        ["- relu2: relu, 4x6x6"],
    ),
    "arguments and shapes": (
        PLAIN,
        PLAIN.replace("conv(4, 3, pad=1) -> relu\nf", "conv(4, 3, stride=2, pad=1) -> relu\nf"),
        [
            "~ conv2: stride 1 -> 2, 4x6x6 -> 4x3x3",
            "~ relu2: 4x6x6 -> 4x3x3",
            "~ flatten1: 144 -> 36",
        ],
    ),
    "another layer of the same name": (
        "flatten -> dense(2) -> relu as end",
        "flatten -> dense(2) -> tanh as end",
        ["~ end: relu -> tanh"],
    ),
    "repeats": (
        "wide(4) * 2\nflatten -> dense(2)",
        "wide(4) * 5\nflatten -> dense(2)",
        ["+ wide3 … wide5 (3 times): wide(c=4)"],
    ),
    "repeats, fewer": ("wide(4) * 3", "wide(4) * 2", ["- wide3: wide(c=4)"]),
    "a residual around": (
        "conv(2, 3, pad=1) -> relu",
        "residual { conv(2, 3, pad=1) } -> relu",
        ["+ residual1.add1: add, 2x6x6", "~ relu1: reads residual1.conv1 -> residual1.add1"],
    ),
    "a branch more": (
        "concat [ conv(2, 1), conv(3, 1) ] -> relu",
        "concat [ conv(2, 1), conv(3, 1), id ] -> relu",
        [
            "~ concat1: 5x6x6 -> 7x6x6, reads conv1, conv2 -> conv1, conv2, x",
            "~ relu1: 5x6x6 -> 7x6x6",
        ],
    ),
    "wired otherwise": (
        f"flatten\n{TWO}@p -> relu as r\nadd [ @r, @q ]",
        f"flatten\n{TWO}@q -> relu as r\nadd [ @r, @p ]",
        ["~ r: reads p -> q", "~ add1: reads r, q -> r, p"],
    ),
    "the outputs": (
        f"flatten\n{TWO}add [ @p, @q ] as s\noutput p, s",
        f"flatten\n{TWO}add [ @p, @q ] as s\noutput s, q",
        ["~ output: p, s -> s, q"],
    ),
    "an input": (
        "@y -> relu as r\nconcat [ @x, @r ]",
        "@y -> relu as r\nconcat [ @x, @r ]",
        ["~ y: sizes 1x6x6 -> 3x6x6", "~ r: 1x6x6 -> 3x6x6", "~ concat1: 3x6x6 -> 5x6x6"],
    ),
    "shared weights": (
        "shared t = conv(2, 3, pad=1)\nt -> relu -> t",
        "conv(2, 3, pad=1) -> relu -> conv(2, 3, pad=1)",
        ["~ conv2: weights of conv1 -> its own"],
    ),
    "a side head": (
        "conv(4, 3) as c\nside flatten -> dense(2) as aux\n@c -> relu",
        "conv(4, 3) as c\nflatten -> dense(2) as aux\n@c -> relu as r\noutput r, aux",
        [
            "~ flatten1, aux: side head -> main flow",
            "~ output: r -> r, aux",
        ],
    ),
}
BLOCKS = "block act { relu }\nblock wide(c) { conv(c, 3, pad=1) -> bn -> relu }\n"


@pytest.mark.parametrize("name", CASES)
def test_differences(name: str, tmp_path: Path, capsys: Capture) -> None:
    for side, body in zip("ab", CASES[name], strict=False):
        other = {"a": "input y(1x6x6)", "b": "input y(3x6x6)"}[side] if "@y" in body else ""
        text = f"net {side.upper()} {{\n{other}\ninput x(2x6x6)\n{body}\n}}\n{BLOCKS}"
        (tmp_path / f"{side}.net").write_text(text)
    expected = CASES[name][2]
    status = run("diff", tmp_path / "a.net", tmp_path / "b.net")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"A ({tmp_path}/a.net) -> B ({tmp_path}/b.net)"
    assert lines[2:-3] == (expected or ["no difference"])
    assert status == (1 if expected else 0)


def test_the_library(capsys: Capture) -> None:
    assert run("diff", "resnet:ResNet50", "resnet:ResNet101") == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "+ stage3.bottleneck7 … stage3.bottleneck23 (17 times): bottleneck(c=256, stride=1)",
        "",
        "parameters  25,557,032 -> 44,549,160  (+18,992,128)",
        "MACs        4.09 G -> 7.80 G  (+3.71 G)",
    ]
    assert run("diff", "resnet:ResNet50", "resnet") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("(the same)")
    assert run("diff", "resnet", "resnet:ResNet101", "--set", "layers=[1, 1, 1, 1]") == 0
    assert "no difference" in capsys.readouterr().out
    assert run("diff", "resnet:ResNet50", "resnet:ResNet51") == 2
    assert "error[E142]" in capsys.readouterr().err


def test_differences_for_machines(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A(n=2) {\n  input x(4)\n  dense(n) as y\n}\nnet B = A(n=3)\n")
    assert run("diff", "--json", file, f"{file}:B") == 1
    assert json.loads(capsys.readouterr().out) == {
        "before": {"file": str(file), "net": "A", "parameters": 10, "macs": 8},
        "after": {"file": str(file), "net": "B", "parameters": 15, "macs": 12},
        "differences": [{"kind": "changed", "what": "units 2 -> 3, 2 -> 3", "names": ["y"]}],
    }


def test_a_recipe_does_not_matter(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    nets = "".join(f"net {n.upper()} {{\n  input x(4)\n  dense(2) as {n}\n}}\n" for n in "ab")
    file.write_text(f"{nets}train {{\n  optimizer = sgd(0.1)\n  loss = cross_entropy(@b)\n}}\n")
    assert run("diff", f"{file}:A", f"{file}:B") == 0
    assert run("summary", file, "A") == 0
    assert run("draw", file, "A", "-o", tmp_path / "a.dot") == 0
    assert run("compile", file, "A", "-o", tmp_path / "a.py") == 0
    assert "without training" in capsys.readouterr().out
    assert run("compile", file, "B", "-o", tmp_path / "b.py") == 0
    assert "without training" not in capsys.readouterr().out
    assert run("compile", file, "A", "-o", tmp_path / "a.py", "--recipe", "paper") == 2
    assert run("train", file, "A") == 2


# ---- which layers correspond -------------------------------------------------------------------


def layers(draw: random.Random) -> list[Node]:
    """Some layers of few kinds, named at random."""
    kinds = [Relu(), Conv(4, 3), Conv(8, 3)]
    names = draw.sample("abcdefgh", draw.randrange(7))
    span = Source("a.net", "").span(0, 0)
    return [Node(name, draw.choice(kinds), (), Tensor((1,)), span) for name in names]


def worth(a: Node, b: Node) -> int:
    """What a pair is worth, as WORTH tells."""
    same = (a.layer.name == b.layer.name, a.layer == b.layer, a.name == b.name)
    return sum(value for value, holds in zip(WORTH, same, strict=True) if holds)


@pytest.mark.parametrize("seed", range(40))
def test_no_pairs_are_worth_more(seed: int) -> None:
    draw = random.Random(seed)
    before, after = layers(draw), layers(draw)
    pairs = align(before, after)
    for side, nodes in ((0, before), (1, after)):
        places = [nodes.index(pair[side]) for pair in pairs]
        assert places == sorted(set(places))
    best = max(
        sum(worth(before[i], after[j]) for i, j in zip(rows, columns, strict=True))
        for size in range(min(len(before), len(after)) + 1)
        for rows in combinations(range(len(before)), size)
        for columns in combinations(range(len(after)), size)
    )
    assert sum(worth(a, b) for a, b in pairs) == best
    assert all(worth(a, b) for a, b in pairs)
