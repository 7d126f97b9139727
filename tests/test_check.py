"""``netdsl check``: all that is wrong with files, told together and once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from shell import Capture, run

RECIPE = "train {{\n  optimizer = sgd(0.1)\n  loss = cross_entropy({})\n}}\n"
WARNED = "net A {\n  input x(1x8x8)\n  maxpool(3, stride=2) as y\n}\n"

# A file, and the severity, the code and the line of what is found in it.
FILES: dict[str, tuple[str, list[tuple[str, str | None, int]]]] = {
    "sound": ("net A {\n  input x(4)\n  dense(2)\n}\n", []),
    "blocks alone": ("block f(c) {\n  dense(c)\n}\n", []),
    "each net": (
        "net A {\n  input x(4)\n  dnse(2)\n}\nnet B {\n  input x(4)\n  dense(0)\n}\n",
        [("error", "E130", 3), ("error", "E114", 7)],
    ),
    "a block of several nets": (
        "net A {\n  input x(4)\n  f\n}\nnet B = A\nnet C {\n  input x(5)\n  f\n}\n"
        "block f {\n  dnse(2)\n}\n",
        [("error", "E130", 11)],
    ),
    "syntax": ("net A {\n  input x(4)\n", [("error", "E020", 1)]),
    "a warning of each line, once": (
        "net A {\n  input x(1x20x20)\n  maxpool(3, stride=2) * 2\n}\nnet B = A\n",
        [("warning", "W201", 3)],
    ),
    "a recipe of the second net": (
        "net A {\n  input x(4)\n  dense(2) as a\n}\n"
        "net B {\n  input x(4)\n  dense(2) as b\n}\n" + RECIPE.format("@b"),
        [],
    ),
    "what a recipe reads is used": (
        "net A {\n  input x(4)\n  dense(2) as a\n  @x -> dense(2) as b\n}\nnet B = A\n"
        + RECIPE.format("@a) + cross_entropy(@b"),
        [],
    ),
    "a recipe of no net": (
        "net A {\n  input x(4)\n  dense(2) as a\n}\n"
        "net B {\n  input x(4)\n  dense(2) as b\n}\n" + RECIPE.format("@c"),
        [("error", "E103", 11)],
    ),
    "a recipe with a mistake of its own": (
        "net A {\n  input x(4)\n  dense(2) as a\n}\n"
        "net B {\n  input x(4)\n  dense(2) as b\n}\n" + RECIPE.format("@b, smooth=1"),
        [("error", "E110", 11)],
    ),
    "a mistaken net and a mistaken recipe": (
        "net A {\n  input x(4)\n  dnse(2) as a\n}\n"
        + RECIPE.format("@a").replace("loss", "epoch = 3\n  loss"),
        [("error", "E130", 3), ("error", "E110", 7)],
    ),
    "a net without values": (
        "net A(classes) {\n  input x(4)\n  dense(classes)\n}\nnet B = A(classes=3)\nnet C = A\n",
        [("note", None, 1), ("note", None, 6)],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_findings(name: str, tmp_path: Path, capsys: Capture) -> None:
    text, found = FILES[name]
    (tmp_path / "a.net").write_text(text)
    errors = sum(severity == "error" for severity, _, _ in found)
    assert run("check", "--json", tmp_path) == (2 if errors else 0)
    told = json.loads(capsys.readouterr().out)
    assert [(f["severity"], f["code"], f["range"]["start"]["line"]) for f in told] == found
    assert run("check", tmp_path) == (2 if errors else 0)
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.count("error[") == errors
    assert f": {errors or 'no'} error" in told.out.splitlines()[-1]


def test_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("parts", ".hidden", "venv/lib", "deep/er"):
        Path(folder).mkdir(parents=True)
    Path("venv/pyvenv.cfg").touch()
    mistaken = "net A {\n  input x(4)\n  dnse(2)\n}\n"
    for name in (".hidden/no.net", "venv/lib/no.net", "parts/a.net"):
        Path(name).write_text(mistaken)
    Path("main.net").write_text('import A from "parts/a.net"\nnet B = A\nnet C = A\n')
    Path("deep/er/warned.net").write_text(WARNED)
    assert run("check") == 2
    assert capsys.readouterr().out == (
        "deep/er/warned.net:3:3: warning[W201]: "
        "stride 2 leaves 1 of 8 uncovered: (8 - 3)/2 + 1 = 3.5, floor 3\n"
        "   3 |   maxpool(3, stride=2) as y\n"
        "     |   ^^^^^^^^^^^^^^^^^^^^\n"
        "\n"
        "parts/a.net:3:3: error[E130]: no layer or block is called 'dnse'\n"
        "   3 |   dnse(2)\n"
        "     |   ^^^^\n"
        "  help: did you mean 'dense'?\n"
        "\n"
        "checked 3 files, 4 networks: 1 error, 1 warning\n"
    )
    assert run("check", "deep", "./deep/er/../er/warned.net") == 0
    assert capsys.readouterr().out.endswith("checked 1 file, 1 network: no errors, 1 warning\n")
    assert run("check", "deep", "--strict") == 2


def test_findings_for_machines(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A {\n  input x(4)\n  f(2)\n}\nblock f(n) {\n  dnse(n)\n}\n")
    assert run("check", "--json", file, tmp_path / "none.net") == 2
    first, second = json.loads(capsys.readouterr().out)
    name = str(file)
    assert first == {
        "severity": "error",
        "code": "E130",
        "message": "no layer or block is called 'dnse'",
        "help": "did you mean 'dense'?",
        "file": name,
        "range": {"start": {"line": 6, "column": 3}, "end": {"line": 6, "column": 7}},
        "frames": [
            {
                "what": "block f(n=2)",
                "file": name,
                "range": {"start": {"line": 3, "column": 3}, "end": {"line": 3, "column": 7}},
            }
        ],
    }
    assert (second["code"], second["range"]) == ("E001", None)


def test_a_sweep_is_listed(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    net = "net A(n=4) {\n  input x(4)\n  dense(n)\n}\n" + RECIPE.format("")
    sweep = "sweep {\n  n = [2, 3]\n  goal = min(val_loss)\n}\n"
    file.write_text(net + sweep)
    assert run("check", file) == 0
    assert f"{file}:9:1: note: sweep of A: 2 combinations" in capsys.readouterr().out
    file.write_text(net + sweep.replace("3]", "0]"))
    assert run("check", file) == 2
    assert "n = 0" in capsys.readouterr().out


def test_no_file_takes_for_ever(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A {\n  input x(4)\n  relu * 60\n}\nnet B = A\nnet C { dnse }\n")
    monkeypatch.setattr("netdsl.check.MOST_LAYERS", 100)
    assert run("check", file) == 2
    told = capsys.readouterr().out
    assert "error[E420]" in told and told.count("error[") == 1, "the rest is left out"
    file.write_text("net A {\n  input x(4)\n  relu * 1_000_000\n}\nnet C { dnse }\n")
    assert run("check", file) == 2
    told = capsys.readouterr().out
    assert "error[E124]" in told and told.count("error[") == 1


COUNTED = [
    (["open.net"], "checked 1 file (its networks could not be read): 1 error, no warnings"),
    (["open.net", "lost.net"], "checked 2 files (their networks could not be read): 2 errors, "),
    (["a.net", "lost.net"], "checked 2 files (of 1 the networks could not be read), 1 network: 1 "),
    (["a.net", "gone.net"], "checked 1 file, 1 network: 1 error, no warnings"),
    (["gone.net"], "checked no files: 1 error, no warnings"),
]


@pytest.mark.parametrize(("files", "told"), COUNTED)
def test_what_is_counted(
    files: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.net").write_text("net A {\n  input x(4)\n  dense(2)\n}\n")
    Path("open.net").write_text("net A {\n")
    Path("lost.net").write_text('import f from "gone"\nnet A {\n  input x(4)\n  f\n}\n')
    assert run("check", *files) == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith(told)


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_a_link_to_itself(command: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "loop.net").symlink_to("loop.net")
    (tmp_path / "a.net").write_text("net A {\n  input x(4)\n  dense(2)\n}\n")
    assert run(command, tmp_path) == 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("error[") == 1
    assert "loop.net cannot be read: too many levels of symbolic links" in told.out + told.err


def test_a_folder_without_files(tmp_path: Path, capsys: Capture) -> None:
    told = f"error[E414]: there is no .net file in {tmp_path / 'empty'}"
    (tmp_path / "empty").mkdir()
    assert run("check", tmp_path / "empty") == 2
    assert told in capsys.readouterr().out
    (tmp_path / "a.net").write_text("net A { input x(4)\n  dense(2) }\n")
    assert run("check", tmp_path / "empty", tmp_path / "a.net") == 2
    shown = capsys.readouterr().out
    assert told in shown and "checked 1 file, 1 network: 1 error, no warnings" in shown
    assert run("check", "--json", tmp_path / "empty", tmp_path / "a.net") == 2
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["code"], finding["file"]) == ("E414", str(tmp_path / "empty"))
    assert run("fmt", tmp_path / "empty", tmp_path / "a.net") == 2
    shown = capsys.readouterr()
    assert told in shown.err and f"formatted {tmp_path / 'a.net'}" in shown.out


def test_what_no_network_carries_out_is_looked_at(tmp_path, capsys) -> None:
    (tmp_path / "parts.net").write_text("net Base { input x(4)\n dense(2) as logits }\n")
    (tmp_path / "a.net").write_text(
        'import Base from "parts"\n'
        "net A(n, deep=false) { input x(4)\n if deep { dnse(3) } else { relu }\n dense(n) as o }\n"
        "net B = Base\n"
        "block unused(c, unit) { unit(c) * (c - 1) -> conv(in.c / 2, 3, pad=sam) -> nonsense }\n"
        "train { loss = cross_entropy(@oo) + cross_entropy(@logits)\n optimizer = sdg(lr=1) }\n"
    )
    assert run("check", str(tmp_path / "a.net")) == 2
    told = capsys.readouterr().out
    assert re.findall(r"(\d+):\d+: error.(E\d+).: (.*)", told) == [
        ("3", "E130", "no layer or block is called 'dnse'"),
        ("6", "E114", "pad of conv wants a size, same or same_upper, not sam"),
        ("6", "E130", "no layer or block is called 'nonsense'"),
        ("7", "E103", "no tensor is called 'oo' here"),
        ("8", "E116", "no optimizer is called 'sdg'"),
    ]
