"""The summary of a network: its table, its totals, its forms for other programs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import networks
import pytest

import netdsl
from netdsl import cli, tools
from netdsl.autodiff import schedule
from netdsl.compiler import Net, load_source, nets
from netdsl.op import REGISTRY
from netdsl.report.figures import plain_peak
from netdsl.report.formats import CSV_TITLES
from netdsl.report.numbers import human, size_text
from netdsl.schedule import Term
from netdsl.source import Source

SPECS = Path(__file__).parent.parent / "specs"
FORMS = ("json", "csv", "markdown")


def net(file: str, name: str | None = None) -> Net:
    return netdsl.load(SPECS / f"{file}.net", name)


def towers() -> Net:
    """Shared weights and a side head."""
    return load_source(Source("towers.net", networks.text("towers")))


# ---- text --------------------------------------------------------------------------------------

SHOWN = [
    ("lenet5", "LeNet5", {}),
    ("resnet", "ResNet50", {}),
    ("resnet", "ResNet152", {"depth": 2, "batch": 32}),
    ("googlenet", "GoogLeNet", {}),
    ("densenet", "DenseNet121", {}),
    ("unet", "UNet", {"depth": 0, "width": 140}),
]


@pytest.mark.parametrize(("file", "name", "how"), SHOWN)
def test_text(file: str, name: str, how: dict[str, int], golden) -> None:
    shown = net(file, name).summary(**how)
    assert max(map(len, shown.splitlines())) <= how.get("width", 100)
    golden(f"summary/{name}.txt", shown + "\n")


def test_shared_weights_and_side_heads(golden) -> None:
    golden("summary/towers.txt", towers().summary() + "\n")


def test_every_architecture_fits_a_screen() -> None:
    for path in SPECS.glob("*.net"):
        for name in nets(path):
            lines = netdsl.load(path, name).summary().splitlines()
            rule = lines[3]
            table = lines[4 : lines.index(rule, 4)]
            assert len(table) <= 61 or all(not line.startswith(" ") for line in table), name
            assert max(map(len, lines)) <= 100, name


EQUAL = """
block unit(c, n=3) { conv(c, n, pad=same, bias=false) -> bn -> relu }
net Chain { input x(4x8x8)
  unit(4) * 3 -> unit(4, 5) * 2 -> unit(8) -> unit(8) * 2 }
net Parallel { input x(4x8x8)
  add [ unit(4), unit(4), unit(4) ] }
net Other { input x(4x8x8)
  input y(4x8x8)
  @x -> unit(4) as a
  @y -> unit(4) as b
  add [ @a, @b ] }
net Skips { input x(4x8x8)
  add [ id, unit(4) ] as a -> unit(4) -> unit(4) -> both(@a) -> both(@a) -> both(@x) }
block both(skip) { add [ unit(4), @skip -> unit(4) ] }
"""
FOLDED = [
    # The first of a width reads another shape than its repeats.
    ("Chain", ["x", "unit1..3 x3", "unit4..5 x2", "unit6", "unit7..8 x2"]),
    ("Parallel", ["x", "unit1..3 x3", "add1"]),
    ("Other", ["x", "y", "a", "b", "add1"]),
    ("Skips", ["x", "unit1", "a", "unit2..3 x2", "both1..2 x2", "both3"]),
]


@pytest.mark.parametrize(("name", "rows"), FOLDED)
def test_equal_blocks_are_folded(name: str, rows: list[str]) -> None:
    loaded = load_source(Source("equal.net", EQUAL), name)
    lines = loaded.summary(depth=0).splitlines()[4:]
    table = lines[: lines.index(next(line for line in lines if line.startswith("---")))]
    assert [line.split("  ")[0] for line in table] == rows
    unfolded = loaded.summary(unfold=True)
    assert unfolded.count("conv(") == len([n for n in loaded.graph if n.layer.name == "conv"])


def test_the_rows_add_up() -> None:
    for name, depth in (("ResNet50", 0), ("ResNet50", 1)):
        loaded = net("resnet", name)
        reader = loaded.summary("markdown", depth=depth).splitlines()[4:]
        rows = [line.split(" | ") for line in reader if line.startswith("| ")]
        outermost = [row for row in rows if not row[0].startswith("| &nbsp;")]
        for column, total in ((3, 25_557_032), (4, 4_089_184_256)):
            cells = (row[column].replace(",", "") for row in outermost)
            assert sum(int(cell) for cell in cells if cell != "-") == total


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.net")), ids=lambda path: path.stem)
def test_the_peak_without_a_recipe_is_that_of_a_schedule(path: Path) -> None:
    graph = netdsl.load(path).graph
    loss, sgd = REGISTRY["loss"]["mse"](), REGISTRY["optimizer"]["sgd"](0.1)
    heads = (*graph.outputs, *(n.name for n in graph if n.side and not graph.users(n.name)))
    made = schedule(graph, [Term(1.0, loss, name) for name in heads], sgd)
    own = {str(buffer): buffer for call in made.calls() for buffer in [call.out.buffer]}
    own = [b for b in own.values() if b.owner in {buffer.owner for buffer in made.losses}]
    targets = sum(graph[name].tensor.size for name in heads[:1])
    losses = 4 * sum(b.tensor.size * (8 if b.tensor.batch else 1) for b in own if b.role == "aux")
    assert plain_peak(graph, 8).size == made.memory(8) - losses - 4 * 8 * targets


def test_with_a_recipe_the_peak_is_that_of_its_schedule() -> None:
    loaded = netdsl.load(Path(__file__).parent / "nets" / "tiny.net")
    assert (
        f"{size_text(loaded.schedule().memory(32))} of tensors for a batch of 32"
        in loaded.summary()
    )
    assert f"{size_text(loaded.schedule().memory(7))} of tensors" in loaded.summary(batch=7)
    with pytest.raises(ValueError, match="batch must be 1 or more"):
        loaded.summary(batch=0)


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
    assert human(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1024 * 1024 - 1, "1.00 MiB"),
        (3_211_264, "3.06 MiB"),
        (2**30 * 100, "100.0 GiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


# ---- for other programs ------------------------------------------------------------------------


def test_markdown(golden) -> None:
    golden("summary/LeNet5.md", net("lenet5").summary("markdown") + "\n")
    golden("summary/towers.md", towers().summary("markdown", batch=2) + "\n")


def test_markdown_of_names_with_marks() -> None:
    text = """
net A_b(a="`|", b="``") { input _x_(4)
  named(a) -> named(b) -> bn -> dense(1) }
block named(text) { relu }
"""
    shown = load_source(Source("marks.net", text)).summary("markdown", unfold=True)
    calls = ('| ``named(text="`\\|")`` |', '| ```named(text="``")``` |')
    for part in ("**A\\_b**", "| \\_x\\_ |", *calls):
        assert part in shown


def test_there_is_no_other_form() -> None:
    with pytest.raises(ValueError, match="one of text, markdown, csv, json, not 'bogus'"):
        net("lenet5").summary("bogus")  # type: ignore[arg-type]


def test_csv(golden) -> None:
    loaded = towers()
    text = loaded.summary("csv")
    golden("summary/towers.csv", text + "\n")
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["name"] for row in rows] == [node.name for node in loaded.graph]
    assert sum(int(row["parameters"]) for row in rows) == sum(
        map(loaded.graph.parameters, loaded.graph)
    )


def test_json(golden) -> None:
    golden("summary/towers.json", towers().summary("json", batch=4) + "\n")


def test_the_keys_are_documented() -> None:
    page = (SPECS.parent / "docs" / "commands.md").read_text()
    section = page.partition("## summary\n")[2].partition("\n## ")[0]
    told = json.loads(towers().summary("json"))
    layer = told["layers"][-1]
    objects = (told, told["inputs"][0], layer, *layer["weights"].values())
    keys = {key for each in objects for key in each} | {*told["totals"], *CSV_TITLES}
    keys |= {key for block in told["blocks"].values() for key in block}
    keys |= {key for seen in layer["receptive_field"].values() for key in seen}
    assert not [key for key in keys if f"`{key}`" not in section]


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.net")), ids=lambda path: path.stem)
def test_json_of_every_file(path: Path) -> None:
    loaded = netdsl.load(path)
    told = json.loads(loaded.summary("json"))
    assert told["version"] == 1 and told["net"] == loaded.name
    assert [layer["name"] for layer in told["layers"]] == [n.name for n in loaded.graph]
    total = told["totals"]
    assert total["parameters"] == sum(layer["parameters"] for layer in told["layers"])
    assert total["macs"] + total["side_macs"] == sum(layer["macs"] for layer in told["layers"])
    for layer in told["layers"]:
        sizes = [len(seen["size"]) for seen in layer["receptive_field"].values()]
        assert layer["shared"] is None or layer["parameters"] == 0
        assert (
            sizes
            and all(sizes)
            and set(layer["receptive_field"]) <= {each["name"] for each in told["inputs"]}
        )


# ---- the command -------------------------------------------------------------------------------


def run(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(arg) for arg in args])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command_gives_what_python_gives(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = net("resnet", "ResNet18")
    for form in FORMS:
        assert run("summary", SPECS / "resnet.net", "ResNet18", f"--{form}") == 0
        given = capsys.readouterr().out
        assert given.replace(str(SPECS), "") == loaded.summary(form).replace(str(SPECS), "") + "\n"
    assert run("summary", SPECS / "resnet.net", "ResNet18", "--depth", "2", "--batch", "3") == 0
    assert capsys.readouterr().out == loaded.summary(depth=2, batch=3) + "\n"


WRONG = [
    ("--json", "--csv"),
    ("--markdown", "--json"),
    ("--json", "--depth", "1"),
    ("--csv", "--unfold"),
    ("--csv", "--batch", "5"),
    ("--batch", "0"),
    ("--depth", "-1"),
]


@pytest.mark.parametrize("options", WRONG, ids=" ".join)
def test_options_that_exclude_each_other(options, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("summary", SPECS / "lenet5.net", *options) == 2
    told = capsys.readouterr()
    assert told.out == "" and "Usage: netdsl summary" in told.err


@pytest.mark.parametrize(("columns", "width"), [(20, 60), (80, 80), (160, 160)])
def test_text_is_as_wide_as_the_terminal(columns: int, width: int, monkeypatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 40)))
    assert tools.columns() == 100
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert tools.columns() == width
    monkeypatch.setattr(sys, "stdout", None)
    assert tools.columns() == 100


@pytest.mark.parametrize(
    ("width", "hidden"), [(80, "rec. field"), (70, "memory, rec. field"), (100, None)]
)
def test_a_narrow_table_leaves_columns_out(width: int, hidden: str | None) -> None:
    text = net("resnet", "ResNet50").summary(width=width)
    table = text.partition("x5: ")[0].splitlines()
    assert max(len(line) for line in table if "  " in line) <= width
    told = [line for line in table if line.startswith("There is no room here for: ")]
    assert told == ([f"There is no room here for: {hidden}."] if hidden else [])


def test_looking_needs_no_numba() -> None:
    program = (
        "import sys, netdsl\n"
        "net = netdsl.load(sys.argv[1])\n"
        "for form in ('text', 'json', 'csv', 'markdown'): net.summary(form)\n"
        "net.explain('conv1')\n"
        "print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(SPECS / "lenet5.net")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("False False\n", "")
