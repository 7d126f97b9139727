"""The picture: what is folded, what is open, what skips, and that no text means anything to dot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import netdsl
from netdsl.compiler import load_source
from netdsl.errors import NetError, RunError
from netdsl.ir import Graph
from netdsl.report.draw import draw, render
from netdsl.report.picture_flow import Flow
from netdsl.report.picture_outline import outline
from netdsl.report.picture_view import MOST, Depth, read_depth, view
from netdsl.source import Source

SPECS = Path(netdsl.__file__).parent.parent / "specs"
SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")

LENET = """
net LeNet(classes=10) {
  input image(1x32x32)
  conv(6, 5)  -> tanh -> avgpool(2)
  conv(16, 5) -> tanh -> avgpool(2)
  flatten
  { dense(120) -> tanh } * 2
  dense(classes) as logits
}
"""
RESIDUAL = """
default conv(pad=same, bias=false)
net Residual {
  input image(3x8x8)
  bottleneck(4, stride=2) as first
  bottleneck(4) * 2
  global_avgpool as out
}
block bottleneck(c, stride=1) {
  residual(shortcut=project) {
    conv(c, 1)                -> bn -> relu
    conv(2 * c, 3, stride=stride) -> bn
  }
  relu
}
"""
HEADS = """
default conv(pad=same)
net Heads {
  shared tower = mix(3)
  input left(2x6x6)
  input right(2x6x6)
  @left -> tower as a
  side aux(5) as extra
  @right -> tower
  concat [ @a, id ] -> flatten -> dense(2) as out
}
block mix(c) {
  concat [
    conv(c, 1)
    conv(c, 1) -> relu -> conv(c, 3)
    maxpool(3, stride=1, pad=1)
  ]
}
block aux(classes) { global_avgpool -> dense(classes) -> relu -> dense(classes) }
train {
  loss = cross_entropy(@out) + cross_entropy(@extra)
  optimizer = sgd(lr=0.1)
}
"""


def graph(text: str) -> Graph:
    return load_source(Source("x.net", f"netdsl 1\n{text.strip()}\n")).graph


def net(body: str, blocks: str = "") -> Graph:
    """A small network around some statements."""
    return graph(f"net A {{\ninput x(4x8x8)\n{body}\nflatten as out\n}}\n{blocks}")


def labels(picture: str) -> list[str]:
    """The texts of the nodes, in order, without their tags."""
    found = re.findall(r"^\s*n\d+ \[label=(<<.*?>>|\"?[^\"]*?\"?) ", picture, re.MULTILINE)
    return [re.sub(r"(<[^<>]*>|\")+", " ", label).strip("<> ") for label in found]


@pytest.mark.parametrize("text", [LENET, RESIDUAL, HEADS], ids=["lenet", "residual", "heads"])
def test_drawing(text: str, request: pytest.FixtureRequest, golden: Callable[..., None]) -> None:
    drawn = draw(graph(text)).source
    assert drawn == draw(graph(text)).source
    golden(f"drawings/{request.node.callspec.id}.dot", drawn)


# ---- repeats -----------------------------------------------------------------------------------

BLOCK = "block f { conv(4, 3, pad=1) -> relu\nconv(4, 1) }"
REPEATS = {
    "a line": ("{ conv(4, 1) -> relu } * 3", "", ["3"]),
    "lines": ("conv(4, 1) -> relu\n conv(4, 1) -> relu", "", ["2"]),
    "a block": ("f * 4", BLOCK, ["4"]),
    "a residual": ("{ residual { conv(4, 1) -> bn }\n relu } * 5", "", ["5"]),
    "a dense block": ("dense_block(3) { bn -> relu -> conv(2, 1) }", "", ["3"]),
    "shorter shapes": ("{ conv(4, 3) -> relu } * 2 ", "", ["2"]),
    "in one another": ("{ { conv(4, 1) } * 2\n maxpool(3, stride=1) } * 3", "", ["3", "2"]),
    "shared": ("shared s = conv(4, 1)\n s * 3", "", ["3"]),
    "what all read": ("relu as r\n { add [ @r, conv(4, 1) ] } * 3", "", ["3"]),
    "other numbers": ("conv(4, 1) -> relu\n conv(5, 1) -> relu", "", []),
    "other labels": ("f as one\n f as two", BLOCK, []),
    "branches": ("add [ conv(4, 1), conv(4, 1) ]", "", []),
    "read from outside": ("conv(4, 1) as a\n conv(4, 1)\n conv(4, 1)\n add [ @a, id ]", "", ["2"]),
    "two sets": ("shared s = conv(4, 1)\n s\n s\n conv(4, 1)", "", ["2"]),
}


@pytest.mark.parametrize("name", REPEATS)
def test_repeats(name: str) -> None:
    body, blocks, counts = REPEATS[name]
    assert re.findall(r"&#215;(\d+)", draw(net(body, blocks)).source) == counts


def test_a_repeat_of_growing_shapes_tells_the_last() -> None:
    drawn = draw(net("dense_block(3) { bn -> relu -> conv(2, 1) }")).source
    assert re.findall(r'label=" ([\dx]+) "', drawn) == ["4x8x8", "2x8x8", "10x8x8", "640"]


# ---- depth -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "count", "text"),
    [
        (0, 9, "stage(unit=bottleneck, c=256, n=36, stride=2)"),
        (1, 13, "bottleneck(c=256, stride=1)"),
        ("auto", 19, "stage(unit=bottleneck, c=256, n=36, stride=2)"),
        ("all", 49, "conv(256, 3)"),
    ],
)
def test_depth(depth: Depth, count: int, text: str) -> None:
    resnet = netdsl.load(SPECS / "resnet.net", "ResNet152").graph
    drawn = labels(draw(resnet, depth).source)
    assert len(drawn) == count
    assert text in re.sub(r"\s+", " ", " ".join(drawn))


def test_a_closed_block_tells_its_shape_and_its_parameters() -> None:
    drawn = labels(draw(net("f * 2", BLOCK), 0).source)
    assert "f 4x8x8 &#183; 168 parameters each &#215;2" in re.sub(r"\s+", " ", " ".join(drawn))


def test_a_closed_repeat_tells_what_its_last_turn_gives() -> None:
    drawn = labels(draw(net("f * 2", "block f { conv(4, 1) -> relu\n maxpool(2) }"), 0).source)
    assert any(label.startswith("f 4x2x2") for label in drawn)


def test_a_block_may_be_called_as_a_connection_is_inside() -> None:
    drawn = draw(net("residual { shortcut }", "block shortcut { conv(4, 1)\n conv(4, 3, pad=1) }"))
    assert "cluster_residual1.shortcut1" in drawn.source


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.net")), ids=lambda path: path.stem)
def test_the_specs_fit_on_a_page(path: Path) -> None:
    flow = Flow(netdsl.load(path).graph)
    shown = view(flow, outline(flow))
    assert shown.height(flow) <= MOST
    names = [node.name for leaf in shown.leaves for node in leaf.nodes]
    assert sorted(names) == sorted(n.name for n in flow.nodes if n.name not in shown.stands)


@pytest.mark.parametrize(("given", "depth"), [("3", 3), ("all", "all"), ("auto", "auto"), (0, 0)])
def test_read_depth(given: int | str, depth: Depth) -> None:
    assert read_depth(given) == depth


@pytest.mark.parametrize("given", ["", "deep", "-1", -1, "1.5", "²"])
def test_a_depth_that_is_none(given: int | str) -> None:
    with pytest.raises(NetError, match="depth is a number, auto or all"):
        read_depth(given)


# ---- skips -------------------------------------------------------------------------------------

SKIPS = {
    "identity": ("residual { conv(4, 1) -> bn }", ["x add1"]),
    "project": (
        "residual(shortcut=project) { conv(6, 1) }",
        ["project project_bn", "project_bn add1", "x project"],
    ),
    "pad": ("residual(shortcut=pad) { conv(6, 1) }", ["x zero_channels1", "zero_channels1 add1"]),
    "body": ("residual(shortcut={ conv(6, 1) }) { relu -> conv(6, 1) }", ["conv1 add1", "x conv1"]),
    "dense": ("dense_block(1) { conv(2, 1) }", ["x concat1"]),
    "excite": ("mul [ id, { global_avgpool -> dense(4) } ]", ["x mul1"]),
    "copy": (
        "relu as a\n conv(4, 3) as b\n concat [ @a -> crop(@b), id ]",
        ["a crop1", "crop1 concat1"],
    ),
    "branches": ("concat [ conv(4, 1), maxpool(1), relu ]", []),
    "square": ("mul [ id, id ]", []),
    "a name": ("residual { conv(4, 1) as project }", ["x add1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SKIPS)
def test_skips(name: str) -> None:
    body, wanted = SKIPS[name]
    found = Flow(net(body)).skips
    assert sorted(" ".join(end.split(".")[-1] for end in edge) for edge in found) == wanted


@needs_dot
def test_branches_keep_the_order_of_the_file() -> None:
    places = positions(netdsl.load(SPECS / "googlenet.net").graph)
    flow = Flow(netdsl.load(SPECS / "googlenet.net").graph)
    shown = view(flow, outline(flow))
    first = [f"inception1.{name}" for name in ("cr1.conv1", "cr2.conv1", "cr4.conv1", "maxpool1")]
    row = ["title inception1", *(shown.ids[shown.leaf(name)] for name in first)]
    assert [places[name][0] for name in row] == sorted(places[name][0] for name in row)
    assert len({places[name][1] for name in row}) == 1


def positions(graph: Graph) -> dict[str, tuple[float, float]]:
    """Where dot puts the nodes."""
    told = subprocess.run(
        ["dot", "-Tplain"], input=draw(graph).source, capture_output=True, text=True, check=True
    )
    assert not told.stderr
    found = re.findall(r'^node ("[^"]*"|\S+) (\S+) (\S+) ', told.stdout, re.MULTILINE)
    return {name.strip('"'): (float(x), float(y)) for name, x, y in found}


# ---- text --------------------------------------------------------------------------------------


def test_a_layer_is_called_as_its_line_calls_it() -> None:
    body = """
    default conv(pad=same, bias=false)
    conv(4, 3, stride=1)
    conv(channels=4, window=3x1, pad=1x0) -> dropout(0.5)
    residual(shortcut=project) { conv(6, 3, stride=2) }
    """
    drawn = labels(draw(net(body)).source)
    shown = ["conv(4, 3)", "conv(4, 3x1, pad=1x0) dropout(0.5)", "conv(6, 3, stride=2)"]
    shown.append("conv(6, 1, stride=2) project bn")
    assert [text for text in shown if text not in drawn] == []


@needs_dot
def test_labels_mean_nothing_to_graphviz(tmp_path: Path) -> None:
    names = ("<b>", "back\\", "\\N", 'q"uote', "a:b", "html&amp;", "<table>", "bell\a")
    text = "block f(s) { relu -> conv(4, 1)\n maxpool(2) }\nblock g(s) { relu }"
    hostile = net('f("<b>&amp;\\N</b>")', text)
    first, *rest = hostile.nodes
    extra = [replace(rest[-1], name=name, inputs=(first.name,)) for name in names]
    graph = replace(hostile, nodes=(*hostile.nodes, *extra), outputs=("out", *names))
    (path,) = render(replace(graph, name="<table>"), tmp_path / "hostile.svg")
    shown = {text.text for text in ElementTree.parse(path).iter(f"{SVG}text")}
    wanted = {f"output {name}" for name in names if name != "bell\a"}
    assert wanted | {"output bell?", 'f(s="<b>&amp;\\N</b>")'} <= shown


# ---- files -------------------------------------------------------------------------------------


@pytest.fixture
def lenet() -> Graph:
    return graph(LENET)


@needs_dot
@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("PDF", b"%PDF"), ("dot", b"dig")]
)
def test_formats(lenet: Graph, tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"net.{suffix}"
    assert render(lenet, path) == [path]
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


@needs_dot
def test_left_to_right(tmp_path: Path) -> None:
    (path,) = render(graph(RESIDUAL), tmp_path / "net.svg", "all", left_right=True)
    sizes = ElementTree.parse(path).getroot().attrib
    assert float(sizes["width"].removesuffix("pt")) > 2 * float(sizes["height"].removesuffix("pt"))


def test_unknown_format(lenet: Graph, tmp_path: Path) -> None:
    with pytest.raises(NetError, match="svg, png, pdf or dot") as raised:
        render(lenet, tmp_path / "net.jpg")
    assert raised.value.status == 2
    assert not os.listdir(tmp_path)


def test_without_the_program(lenet: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="'dot' is missing") as raised:
        render(lenet, tmp_path / "net.png")
    assert raised.value.code == "E508"
    assert "apt-get install graphviz" in str(raised.value)
    assert (tmp_path / "net.dot").read_text() == draw(lenet).source
    assert os.listdir(tmp_path) == ["net.dot"]


def test_a_failure_leaves_nothing(lenet: Graph, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        render(lenet, tmp_path / "missing" / "net.dot")
    (tmp_path / "net.dot").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        render(lenet, tmp_path / "net.dot")
    assert os.listdir(tmp_path) == ["net.dot"]
