"""Text to graph: each construct of the language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import commands
from netdsl.compiler import Net, load_source, nets, vocabulary
from netdsl.elaborate.overrides import change
from netdsl.elaborate.program import Program
from netdsl.elaborate.sweeps import sweeps
from netdsl.errors import LimitError, RecipeError, SyntaxFault
from netdsl.ir import Graph
from netdsl.op import call_text
from netdsl.report.figures import shared_parameters, side_parameters
from netdsl.source import Source
from netdsl.syntax.parse import parse

NETS = Path(__file__).parent / "nets"


def of(body: str, size: str = "4x8x8", rest: str = "") -> Graph:
    """The graph of a net with one input."""
    lines = "\n".join(f"  {line}" for line in body.strip().splitlines())
    text = f"net A {{\n  input x({size})\n{lines}\n}}\n{rest}"
    return load_source(Source("a.net", text)).graph


def rows(graph: Graph) -> list[str]:
    """The nodes but the input, without their types: ``conv1 = conv(6, 5) from x``."""
    return [
        f"{node.name} = {call_text(node.layer)} from {', '.join(node.inputs)}"
        for node in graph
        if node.inputs
    ]


# ---- graphs, whole: tests/nets/*.net -----------------------------------------------------------


@pytest.mark.parametrize("path", sorted(NETS.glob("*.net")), ids=lambda path: path.stem)
def test_graph(path: Path, golden: Callable[[str, str], None]) -> None:
    graphs = [netdsl.load(path, name).graph for name in nets(path)]
    golden(f"graphs/{path.stem}.txt", "\n\n".join(map(str, graphs)) + "\n")


# ---- constructs that are the same as others ----------------------------------------------------

SAME = {
    "an arrow is a newline": ("relu -> tanh", "relu\ntanh"),
    "braces group": ("{ relu -> tanh }", "relu\ntanh"),
    "a repeat is written out": ("{ relu -> tanh } * 2", "relu\ntanh\nrelu\ntanh"),
    "no times is nothing": ("{ relu } * 0\ntanh", "tanh"),
    "commas part branches": ("add [ relu, tanh ]", "add [\n  relu\n  tanh\n]"),
    "a branch may do nothing": ("add [ relu, {} ]", "add [ relu, id ]"),
    "a branch may be a tensor": ("add [ relu, @in_ ]", "add [ relu, id ]"),
    "let": ("let c = 2 * 3\nconv(c, 3)", "conv(6, 3)"),
    "let sees the let before": ("let c = 2\nlet c = c + 1\nconv(c, 3)", "conv(3, 3)"),
    "for": ("for c in [6, 7] { conv(c, 3) }", "conv(6, 3)\nconv(7, 3)"),
    "for over a range": ("for c in 2..3 { conv(c, 3) }", "conv(2, 3)\nconv(3, 3)"),
    "for over an empty range": ("for c in 2..1 { conv(c, 3) }\nrelu", "relu"),
    "for with two names": (
        "for c, w in [(6, 3), (7, 1)] { conv(c, w) }", "conv(6, 3)\nconv(7, 1)",
    ),
    "if": ("if 2 > 1 { relu } else { tanh }", "relu"),
    "else": ("if 2 < 1 { relu } else { tanh }", "tanh"),
    "else if": ("if false { relu } else if true { tanh } else { id }", "tanh"),
    "if without else": ("if 2 < 1 { relu }\ntanh", "tanh"),
    "if, by a value": ("conv(6 if 2 > 1 else 7, 3)", "conv(6, 3)"),
    "exact division": ("conv(12 / 2, 7 // 2)", "conv(6, 3)"),
    "functions": ("conv(max(2, 6, 3), len([1, 2, 3]))", "conv(6, 3)"),
    "logic": ("if not (1 == 2) and (true or 1) { relu }", "relu"),
    "dims": ("conv(6, 3x1)", "conv(6, (3, 1))"),
    "default": ("default conv(pad=same)\nconv(6, 3)", "conv(6, 3, pad=same)"),
    "a call wins over the default": ("default conv(pad=1)\nconv(6, 3, pad=0)", "conv(6, 3)"),
    "a later default wins": (
        "default conv(pad=1)\ndefault conv(pad=0, bias=false)\nconv(6, 3)",
        "conv(6, 3, bias=false)",
    ),
    "a default ends with its braces": (
        "{ default conv(pad=1)\nconv(6, 3) } -> conv(6, 3)", "conv(6, 3, pad=1)\nconv(6, 3)",
    ),
    "an inner default adds to the outer": (
        "default conv(pad=1)\n{ default conv(bias=false)\nconv(6, 3) }",
        "conv(6, 3, pad=1, bias=false)",
    ),
    "min of a list": ("let l = [3, 6] + [7]\nconv(min(l) + l[-1], l[0])", "conv(10, 3)"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_same(name: str) -> None:
    ours, other = (text.replace("@in_", "@x") for text in SAME[name])
    seen, wanted = rows(of(ours)), rows(of(other))
    if "id" in other:
        wanted = [row.replace("id1", "x") for row in wanted if not row.startswith("id1")]
    assert seen == wanted
    assert seen


BLOCKS = """
block f(c, w=3, again=c) { conv(c, w, pad=same) -> conv(again, 1) }
block apply(step) { step -> relu }
block around(body, skip) { body -> add [ id, @skip ] }
block half { conv(in.c / 2, in.h - in.w + 1) }
block down(n) { if n > 0 { conv(n, 1) -> down(n - 1) } }
default f(w=1)
"""
BLOCK_CASES = {
    "a default sees the parameters before": ("f(6, 3)", ["conv(6, 3, pad=same)", "conv(6, 1)"]),
    "arguments by name": ("f(again=2, c=6)", ["conv(6, 1, pad=same)", "conv(2, 1)"]),
    "a default of a block": ("f(6)", ["conv(6, 1, pad=same)", "conv(6, 1)"]),
    "a layer as argument": ("apply(tanh)", ["tanh", "relu"]),
    "a call as argument": ("apply(leaky_relu(0.5))", ["leaky_relu(slope=0.5)", "relu"]),
    "a block as argument": ("apply(half)", ["conv(2, 1)", "relu"]),
    "a body as argument": (
        "relu as r\naround({ tanh -> sigmoid }, @r)", ["relu", "tanh", "sigmoid", "id", "add"],
    ),
    "sizes of what enters": ("half -> half", ["conv(2, 1)", "conv(1, 1)"]),
    "recursion": ("down(3)", ["conv(3, 1)", "conv(2, 1)", "conv(1, 1)"]),
    "defaults of the caller stay there": (
        "default conv(bias=false)\nhalf -> conv(2, 1)", ["conv(2, 1)", "conv(2, 1, bias=false)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCK_CASES)
def test_block(name: str) -> None:
    body, layers = BLOCK_CASES[name]
    graph = of(body, rest=BLOCKS)
    assert [call_text(node.layer) for node in graph if node.inputs] == layers


def test_defaults_of_the_file() -> None:
    graph = of("f", rest="block f { conv(6, 3) }\ndefault conv(pad=same)")
    assert rows(graph) == ["f1.conv1 = conv(6, 3, pad=same) from x"]


def test_a_dense_block_is_a_concat_repeated() -> None:
    def layers(body: str) -> list[tuple[str, str]]:
        return [
            (call_text(node.layer), str(node.tensor))
            for node in of(body)
            if node.layer.name != "id"
        ]

    body = "{ bn -> relu -> conv(3, 3, pad=same) }"
    assert layers(f"dense_block(4) {body}") == layers(f"concat [id, {body}] * 4")
    assert of(f"dense_block(4) {body}").nodes[-1].tensor.channels == 4 + 4 * 3


RESIDUALS = {
    "residual { conv(4, 1) }": ["residual1.conv1", "residual1.add1 < residual1.conv1, x"],
    "residual(shortcut=project) { conv(4, 1) }": [
        "residual1.conv1", "residual1.add1 < residual1.conv1, x",
    ],
    "residual(shortcut=project) { conv(6, 3, stride=2, pad=1) }": [
        "residual1.conv1", "residual1.project", "residual1.project_bn",
        "residual1.add1 < residual1.conv1, residual1.project_bn",
    ],
    "residual(shortcut=pad) { conv(6, 3, stride=2, pad=1) }": [
        "residual1.conv1", "residual1.zero_channels1",
        "residual1.add1 < residual1.conv1, residual1.zero_channels1",
    ],
    "residual(shortcut={ avgpool(2) -> conv(6, 1) }) { conv(6, 2, stride=2) }": [
        "residual1.conv1", "residual1.shortcut1.avgpool1", "residual1.shortcut1.conv1",
        "residual1.add1 < residual1.conv1, residual1.shortcut1.conv1",
    ],
    "residual(drop=0.2) { conv(4, 1) }": [
        "residual1.conv1", "residual1.drop_path1", "residual1.add1 < residual1.drop_path1, x",
    ],
    "residual(drop=0) { conv(4, 1) }": ["residual1.conv1", "residual1.add1 < residual1.conv1, x"],
    "residual(project) { conv(6, 1) as project -> relu as project_bn }": [
        "residual1.project", "residual1.project_bn", "residual1.project1", "residual1.project_bn1",
        "residual1.add1 < residual1.project_bn, residual1.project_bn1",
    ],
}  # fmt: skip


@pytest.mark.parametrize("body", RESIDUALS)
def test_residual(body: str) -> None:
    graph = of(body)
    names = [node.name for node in graph if node.inputs]
    assert [*names[:-1], f"{names[-1]} < {', '.join(graph.nodes[-1].inputs)}"] == RESIDUALS[body]


def test_a_projection_is_a_convolution_of_one_position() -> None:
    graph = of("residual(shortcut=project) { conv(6, 3, stride=2x1, pad=1) }")
    assert rows(graph)[1:3] == [
        "residual1.project = conv(6, 1, stride=2x1, bias=false) from x",
        "residual1.project_bn = bn from residual1.project",
    ]


JOINS = {"concat": 10, "add": 5, "mul": 5, "mean": 5, "max": 5}


@pytest.mark.parametrize(("join", "channels"), JOINS.items())
def test_joins(join: str, channels: int) -> None:
    graph = of(f"{join} [ conv(5, 3), conv(5, 3) ]")
    assert str(graph.nodes[-1].tensor) == f"{channels}x6x6"
    assert graph.nodes[-1].inputs == ("conv1", "conv2")


def test_imports_have_bounds(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"c{i}.net").write_text(
            f'import b{i + 1} from "c{i + 1}"\nblock b{i} {{ relu }}\n'
        )
    with pytest.raises(LimitError) as caught:
        netdsl.load(tmp_path / "c0.net")
    assert caught.value.code == "E154"
    # A mistake at the end of many ways is looked for once.
    for i in range(30):
        for way in "ab":
            more = "".join(f'import {w}{i + 1} from "{w}{i + 1}"\n' for w in "ab" if i < 29)
            (tmp_path / f"{way}{i}.net").write_text(
                f"{more}block {way}{i} {{ relu {'-' * (i // 29)}}}\n"
            )
    with pytest.raises(SyntaxFault):
        netdsl.load(tmp_path / "a0.net")


def test_a_sweep_gives_values_to_what_has_none() -> None:
    text = (
        """
        let n = 3
        let n = n + 1
        net A(w) { input x(4) dense(w) -> relu -> dense(2) as o }
        train fast { optimizer = sgd(lr=0.1) loss = cross_entropy(@o) }
        train slow { optimizer = adam() loss = cross_entropy(@o) }
        sweep slow { w = [n, 2 * n] lr = 1 goal = min(val_loss) }
    """.replace(") dense", ")\n dense")
        .replace(" loss", "\n loss")
        .replace(" goal", "\n goal")
    )
    text = text.replace(" lr = 1", "\n optimizer.lr = log_range(0.001, 0.1)")
    program = Program.of(parse(Source("a.net", text)), vocabulary())
    (sweep,) = sweeps(program)
    assert str(sweep).splitlines() == [
        "sweep slow of A: 2 combinations, each anywhere in its ranges; goal min(val_loss)",
        "  w = [n, 2 * n]",
        "  optimizer.lr = log_range(0.001, 0.1)",
    ]


def test_what_a_side_head_uses_first_counts_for_the_main_flow() -> None:
    graph = of("shared t = dense(4)\nside t as h\nt -> expect(params=20) -> relu", size="4")
    assert side_parameters(graph) == 0
    assert shared_parameters(graph) == 20


def test_no_number_takes_a_name_of_the_user() -> None:
    graph = of("relu\nrelu as relu2\nrelu\nf as f1\n{ f } as f2\nf", rest="block f { tanh }")
    names = [node.name for node in graph if node.inputs]
    assert names == ["relu1", "relu2", "relu3", "f1.tanh1", "f2.tanh1", "f3.tanh1"]


def test_outputs_bear_the_names_of_the_user() -> None:
    graph = of("{ relu as r -> tanh } * 2\nid as last\noutput r, last")
    assert dict(graph.called) == {"r2": "r", "last": "last"}


def test_names_of_tensors() -> None:
    graph = of("{ relu as r } * 2\nadd [ @r, @x ]\ntanh as r_\noutput r, r_")
    assert rows(graph)[2] == "add1 = add from r2, x"
    assert graph.outputs == ("r2", "r_")
    blocks = of("f -> f", rest="block f { relu as r -> add [ id, @r, @in ] }")
    assert rows(blocks)[-1] == "f2.add1 = add from f2.id1, f2.r, f1.add1"


def test_aliases_of_aliases() -> None:
    text = """
    net C = B(classes=5)
    net A(width, classes=10, deep=1) { input x(3)
      dense(width) * deep -> dense(classes) }
    net B = A(8, deep=2)
    net D = C(width=9)
    """
    sizes = {
        name: [str(node.tensor) for node in load_source(Source("a.net", text), name).graph][1:]
        for name in ("B", "C", "D")
    }
    assert sizes == {"B": ["8", "8", "10"], "C": ["8", "8", "5"], "D": ["9", "9", "5"]}
    changed = load_source(Source("a.net", text), "D", width=4, classes=2).graph
    assert [str(node.tensor) for node in changed][1:] == ["4", "4", "2"]
    assert load_source(Source("a.net", text), "B", width=4).graph.name == "B"


def test_what_nothing_uses_is_left_out() -> None:
    graph = of("conv(4, 1) as a\nconv(4, 1) -> tanh\n@a -> relu")
    assert rows(graph) == ["a = conv(4, 1) from x", "relu1 = relu from a"]
    assert [str(warning.code) for warning in graph.warnings] == ["W202"]


TRAIN = "train {{\n  optimizer = sgd(0.1, momentum=0.9)\n  {}\n}}"


def trained(loss: str, body: str = "dense(3) as a\ndense(3) as b\noutput a, b") -> Net:
    text = f"net A {{\n  input x(3)\n{body}\n}}\n{TRAIN.format(loss)}"
    return load_source(Source("a.net", text))


@pytest.mark.parametrize(
    ("loss", "terms"),
    [
        ("cross_entropy(@a)", [(1.0, "a", None)]),
        ("cross_entropy(@a) + 0.3 * cross_entropy(@b)", [(1.0, "a", None), (0.3, "b", None)]),
        ("2 * (mse(@a) + mse(@b) * 0.5)", [(2.0, "a", None), (1.0, "b", None)]),
        ("(mse(@a) + mse(@b)) * 0.5 * 3", [(1.5, "a", None), (1.5, "b", None)]),
        ("mse(@a, @x)", [(1.0, "a", "x")]),
        ("mse(target=@x, prediction=@b)", [(1.0, "b", "x")]),
    ],
)
def test_losses(loss: str, terms: list[tuple[float, str, str | None]]) -> None:
    found = trained(f"loss = {loss}").elaborated.training
    assert found is not None
    assert [(t.weight, t.prediction, t.target) for t in found.terms] == terms


def test_a_changed_argument_of_a_recipe_keeps_the_others() -> None:
    text = "net A {\n  input x(4)\n  dense(3)\n}\n" + TRAIN.format("loss = mse")
    changes = [change("train.optimizer.lr=0.5"), change("train.epochs = 3")]
    net = load_source(Source("a.net", text), changes=changes)
    assert net.recipe is not None
    assert call_text(net.recipe.optimizer) == "sgd(lr=0.5, momentum=0.9)"
    assert net.recipe.epochs == 3


def test_predict_wants_one_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Two:
        def predict(self, x: object) -> dict[str, object]:
            return {"a": x, "b": x}

    np.save(tmp_path / "x.npy", np.zeros((1, 3), np.float32))
    net = trained("loss = mse(@a)")
    monkeypatch.setattr(commands, "open_run", lambda path, device: (net, Two(), []))
    with pytest.raises(RecipeError) as caught:
        commands.predict(tmp_path, tmp_path / "x.npy", None, None, print)
    assert caught.value.code == "E310"
