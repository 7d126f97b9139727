"""The library by its names: ``netdsl list``, ``netdsl new``, and names where a file is wanted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import Capture, run

import netdsl
from netdsl import commands
from netdsl.compiler import nets
from netdsl.elaborate.imports import library
from netdsl.elaborate.overrides import change
from netdsl.starter import starters

SPECS = Path(__file__).parent.parent / "specs"


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty directory."""
    monkeypatch.chdir(tmp_path)


# ---- names where a file is wanted --------------------------------------------------------------


def test_a_bare_name_is_the_librarys(capsys: Capture) -> None:
    ours = netdsl.load("resnet", "ResNet50")
    assert str(ours.graph) == str(netdsl.load(SPECS / "resnet.net", "ResNet50").graph)
    assert ours.graph["stage1.bottleneck1.residual1.conv1"].place.startswith("netdsl/specs/resnet")
    assert run("summary", "resnet", "ResNet101") == 0
    assert "44,549,160" in capsys.readouterr().out
    assert run("draw", "lenet5", "-o", "lenet5.dot") == 0
    assert run("check", "vgg") == 0


@pytest.mark.parametrize("name", ["lenet5", "lenet5.net"])
def test_a_file_of_the_name_wins(name: str) -> None:
    Path(name).write_text("net Mine {\n  input x(4)\n  dense(2)\n}\n")
    assert netdsl.load("lenet5").name == "Mine"
    Path(name).unlink()
    Path("lenet5").mkdir()
    assert netdsl.load("lenet5").name == "LeNet5"


def test_the_librarys_own_is_named_lib(capsys: Capture) -> None:
    Path("vgg.net").write_text("net Mine {\n  input x(4)\n  dense(2)\n}\n")
    assert netdsl.load("lib:vgg", "VGG16").graph["logits"].place.startswith("netdsl/specs/vgg")
    assert run("diff", "vgg", "lib:vgg") == 1
    assert capsys.readouterr().out.startswith("Mine (vgg.net) -> VGG16 (netdsl/specs/vgg.net)")
    assert run("diff", "lib:vgg:VGG16", "lib:vgg:VGG16") == 0
    assert run("check", "lib:vgg", "vgg.net") == 0
    assert run("summary", "lib:vg") == 2
    told = capsys.readouterr().err
    assert told == "error[E001]: the library has no vg\n  help: did you mean lib:vgg?\n"


def test_a_missing_file_is_not_guessed_too_far(capsys: Capture) -> None:
    for name in ("twoio", "l", "mine"):
        Path(f"{name}.net").touch()
    Path("link.net").symlink_to("nothing.net")
    for given in ("nodir", "-", "link.net"):
        assert run("summary", given) == 2
        assert "did you mean" not in capsys.readouterr().err
    assert run("summary", "mne.net") == 2
    assert "help: did you mean mine.net?\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "help"),
    [
        (
            "resnt",
            "the directory holds no .net file; the library has resnet: write lib:resnet\n",
        ),
        (
            "resnet.net",
            "the directory holds no .net file; the library has resnet: write lib:resnet",
        ),
        (
            "resnet18",
            "the directory holds no .net file; the library's resnet has the net ResNet18: "
            "lib:resnet ResNet18\n",
        ),
        ("quite_another.net", "the directory holds no .net file\n"),
        ("gtu.net", "the directory holds no .net file\n"),
    ],
)
def test_a_missing_file(given: str, help: str, capsys: Capture) -> None:
    assert run("summary", given) == 2
    assert f"error[E001]: there is no file {given}\n  help: {help}" in capsys.readouterr().err


# ---- list --------------------------------------------------------------------------------------


def test_the_list(capsys: Capture) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("resnet: "))
    assert lines[at].startswith("resnet: Deep residual learning for image recognition (He, Zhang")
    row = next(line for line in lines[at:] if line.startswith("  ResNet50 "))
    assert row.split() == ["ResNet50", "25,557,032", "4.09", "G", "3x224x224"]
    assert max(map(len, lines)) <= 100
    named = {line.split()[0] for line in lines if line.startswith("  ")}
    assert named >= {name for path in library().values() for name in nets(path)}


def test_one_file_of_the_list(capsys: Capture) -> None:
    assert run("list", "resnet") == 0
    told = capsys.readouterr().out
    assert "ResNet101 = ResNet50(layers=[3, 4, 23, 3])" in told
    assert "  bottleneck(c, stride=1)\n" in told
    for name in ("lib:resnet", "resnet.net"):
        assert run("list", name) == 0
        assert capsys.readouterr().out == told
    assert run("list", "googlenet") == 0
    assert " 1.58 G " in capsys.readouterr().out, "side heads are training's"
    assert run("list", "resnt") == 2
    assert "error[E419]" in capsys.readouterr().err


def test_the_list_for_machines(capsys: Capture) -> None:
    assert run("list", "lenet5", "--json") == 0
    (book,) = json.loads(capsys.readouterr().out)
    assert book["nets"] == [
        {
            "name": "LeNet5",
            "call": "LeNet5(classes=10)",
            "parameters": 61_706,
            "macs": 416_520,
            "inputs": {"image": "1x32x32"},
        }
    ]
    assert book["paper"].endswith("(LeCun, Bottou, Bengio, Haffner 1998)")


def test_every_file_of_the_library_names_its_source(capsys: Capture) -> None:
    assert run("list", "--json") == 0
    books = json.loads(capsys.readouterr().out)
    assert [book["name"] for book in books] == sorted(library())
    assert not [book["name"] for book in books if not book["paper"]]


# ---- new ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "net"), [("my-net", "MyNet"), ("a.net", "A"), ("3d", "Net3d")])
def test_a_new_file(name: str, net: str, capsys: Capture) -> None:
    assert run("new", name) == 0
    file = f"{name.removesuffix('.net')}.net"
    assert capsys.readouterr().out == (
        f"wrote {file}; go on with:\n"
        f"  netdsl summary {file}\n  netdsl draw {file}\n  netdsl train {file}\n"
        "the first training compiles kernels, which takes some 20 seconds\n"
    )
    assert netdsl.load(file).name == net
    assert run("check", "--strict", file) == 0
    before = Path(file).read_text()
    assert run("new", name) == 2
    assert "error[E416]" in capsys.readouterr().err
    assert Path(file).read_text() == before


def test_a_new_file_like_one_of_the_library(capsys: Capture) -> None:
    assert run("new", "--like", "resnet") == 0
    assert "train" not in capsys.readouterr().out
    assert Path("resnet.net").read_bytes() == (SPECS / "resnet.net").read_bytes()
    assert run("new", "--like", "digit") == 2
    assert "help: did you mean 'digits'?" in capsys.readouterr().err
    for name in (".", "..", "", ".net", "a/.."):
        assert run("new", name) == 2
        assert f"error[E417]: '{name}' is no name for a file" in capsys.readouterr().err
    assert run("new", "none/mine") == 1
    assert "error[E501]" in capsys.readouterr().err


@pytest.mark.parametrize("name", starters())
def test_what_new_writes_trains(name: str) -> None:
    pytest.importorskip("sklearn")
    assert run("new", "mine", "--like", name) == 0
    net = netdsl.load("mine.net", changes=[change("train.epochs=2")])
    data = commands.read_data(net, commands.needs(net))
    model = net.compile("cpu")
    model.fit(data.train.x, data.train.y)
    assert model.evaluate(data.test.x, data.test.y)["accuracy"] > 0.8
