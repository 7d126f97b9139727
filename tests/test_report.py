"""What people see of a network: the table and the picture."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

import netdsl.ops  # noqa: F401  registers the layers
from netdsl.errors import NetError, RunError
from netdsl.ir import Graph, Node
from netdsl.op import REGISTRY, Layer
from netdsl.report.draw import draw, render
from netdsl.report.summary import _human, summary
from netdsl.report.table import Column, table
from netdsl.source import Source

SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


def layer(word: str, *args: object, **named: object) -> Layer:
    return REGISTRY["layer"][word](*args, **named)  # type: ignore[return-value]


def build(name: str, outputs: tuple[str, ...], *rows: tuple[str, Layer, str]) -> Graph:
    """A graph of rows: a name, a layer, and the names that enter it."""
    source = Source("x.net", "\n".join(row[0] for row in rows))
    graph = Graph(name, (), ())
    for number, (called, step, entering) in enumerate(rows):
        inputs = tuple(entering.split())
        tensor = step.shape(*(graph[name].tensor for name in inputs))
        start = source.starts[number]
        node = Node(called, step, inputs, tensor, source.span(start, start + len(called)))
        graph = Graph(name, (*graph.nodes, node), ())
    return Graph(name, graph.nodes, outputs).verify()


@pytest.fixture
def lenet() -> Graph:
    return build(
        "LeNet",
        ("logits",),
        ("image", layer("input", (1, 32, 32)), ""),
        ("conv1", layer("conv", 6, 5), "image"),
        ("bn1", layer("bn"), "conv1"),
        ("relu1", layer("relu"), "bn1"),
        ("maxpool1", layer("maxpool", 2), "relu1"),
        ("flatten1", layer("flatten"), "maxpool1"),
        ("dropout1", layer("dropout", 0.25), "flatten1"),
        ("logits", layer("dense", 10), "dropout1"),
    )


@pytest.fixture
def residual() -> Graph:
    wide = {"pad": "same", "bias": False}
    first, second = "stage1.block1", "stage1.block2"
    return build(
        "Residual",
        ("out",),
        ("image", layer("input", (3, 8, 8)), ""),
        (f"{first}.conv1", layer("conv", 3, 3, **wide), "image"),
        (f"{first}.id1", layer("id"), "image"),
        (f"{first}.add1", layer("add"), f"{first}.conv1 {first}.id1"),
        (f"{second}.conv1", layer("conv", 6, 3, stride=2, **wide), f"{first}.add1"),
        (f"{second}.project", layer("conv", 6, 1, stride=2, bias=False), f"{first}.add1"),
        (f"{second}.add1", layer("add"), f"{second}.conv1 {second}.project"),
        ("out", layer("global_avgpool"), f"{second}.add1"),
    )


def test_summary(lenet: Graph, residual: Graph, golden) -> None:
    golden("summary.txt", f"{summary(lenet)}\n\n{summary(residual)}\n")


def test_a_table_fits(lenet: Graph) -> None:
    columns = (Column("name"), Column("layer", cut=True), Column("n", right=True))
    lines = table(columns, [("a", "x" * 300, "1"), ("b" * 30, "y", "22")])
    assert {len(lines[1]), max(map(len, lines))} == {100}
    assert "…" in lines[2] and lines[2].endswith(" 1")
    assert "b" * 30 in lines[3]
    assert "…" not in summary(lenet)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (416_520, "416.5 k"),
        (999_949, "999.9 k"),
        (999_950, "1.00 M"),
        (99_994_999, "99.99 M"),
        (99_995_000, "100.0 M"),
        (4_089_184_256, "4.09 G"),
        (15_470_264_320, "15.47 G"),
    ],
)
def test_human_numbers(number: int, text: str) -> None:
    assert _human(number) == text


def test_drawing(lenet: Graph, residual: Graph, golden) -> None:
    golden("lenet.dot", draw(lenet).source)
    golden("residual.dot", draw(residual).source)


def test_an_identity_is_a_skip_and_no_box(residual: Graph) -> None:
    lines = draw(residual).source.splitlines()
    skips = [line.split("[")[0].strip() for line in lines if "weight=0" in line]
    assert skips == ["n0 -> n2"]  # image to the first add; a projection does not skip
    assert not [line for line in lines if "id1" in line]


@needs_dot
def test_labels_mean_nothing_to_graphviz(tmp_path: Path) -> None:
    names = ("<b>", "back\\", "\\N", 'q"uote', "a:b", "<i>.</i>", "html&amp;")
    rows = [("in", layer("input", (4,)), "")]
    rows += [(name, layer("relu"), "in") for name in names]
    graph = build("<table>", names, *rows)
    (path,) = render(graph, tmp_path / "hostile.svg")
    shown = {text.text for text in ElementTree.parse(path).iter(f"{SVG}text")}
    assert shown == {*names, "<i>", "</i>", "input", "in", "relu", "output", " 4 "}


@needs_dot
@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("PDF", b"%PDF"), ("dot", b"dig")]
)
def test_formats(lenet: Graph, tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"net.{suffix}"
    assert render(lenet, path) == [path]
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


def test_unknown_format(lenet: Graph, tmp_path: Path) -> None:
    with pytest.raises(NetError, match="svg, png, pdf or dot") as raised:
        render(lenet, tmp_path / "net.jpg")
    assert raised.value.status == 2
    assert not os.listdir(tmp_path)


def test_without_the_program(lenet: Graph, tmp_path: Path, monkeypatch) -> None:
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
