"""The commands, end to end: what they print, write and return."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from shell import Capture, run

import netdsl
from netdsl import commands
from netdsl.cli import cli
from netdsl.menu import SECTIONS
from netdsl.runtime import checkpoint

NET = Path(__file__).parent / "nets" / "tiny.net"
SPECS = Path(__file__).parent.parent / "specs"


def test_what_the_package_offers() -> None:
    told = python("import netdsl; print(*dir(netdsl))").split()
    assert {"load", "loads", "Net", "NetError"} <= set(told) and not {"cli", "Any"} & set(told)
    assert all(hasattr(netdsl, name) for name in told)
    net = netdsl.loads("net A(n) {\n  input x(4)\n  dense(n)\n}\n", n=2)
    assert repr(net) == "Net A: 2 layers, 10 parameters"
    with pytest.raises(netdsl.NetError, match="no layer or block is called 'dnse'") as caught:
        netdsl.loads("net A {\n  input x(4)\n  dnse(2)\n}\n")
    assert str(caught.value).startswith("<text>:3:3: error[E130]")


def python(program: str, *args: str | Path, cwd: Path | None = None) -> str:
    """What a Python of its own prints."""
    command = [sys.executable, "-c", program, *map(str, args)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


# ---- commands that only look -------------------------------------------------------------------


def test_help(capsys: Capture) -> None:
    assert run("--help") == 0
    told = capsys.readouterr().out
    listed = [line.split()[0] for line in told.splitlines() if line.startswith("  ")]
    every = [name for names in SECTIONS.values() for name in names]
    assert [name for name in listed if name in every] == every
    assert sorted(every) == sorted(cli.commands)
    assert run() == 0 and capsys.readouterr().out == told
    for name in every:
        assert run(name, "--help") == 0
        assert capsys.readouterr().out.startswith(f"Usage: netdsl {name} ")
    assert run("train", "-h") == 0 and "--recipe" in capsys.readouterr().out
    assert run("--version") == 0
    assert capsys.readouterr().out == f"netdsl {netdsl.__version__}\n"


WRONG = [
    ["sumary", NET],
    ["summary"],
    ["summary", NET, "--sett", "a=1"],
    ["train", NET, "--epochs", "0"],
    ["fmt"],
    ["fmt", "-", NET],
    ["diff", NET],
]


@pytest.mark.parametrize("args", WRONG)
def test_wrong_options(args: list[str | Path], capsys: Capture) -> None:
    assert run(*args) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[0].startswith("Usage: netdsl")
    assert "Traceback" not in told.err


NEAR = [
    ("sumary", "help: did you mean 'summary'?"),
    ("lenet5.net", "help: to look at a file: netdsl summary lenet5.net"),
    ("xyz", "help: there are bench, cache, check, compile, diff, "),
]


@pytest.mark.parametrize(("given", "help"), NEAR)
def test_an_unknown_command(given: str, help: str, capsys: Capture) -> None:
    assert run(given) == 2
    told = capsys.readouterr().err
    assert f"there is no command '{given}'" in told and help in told


def test_summary(capsys: Capture) -> None:
    assert run("summary", NET) == 0
    told = capsys.readouterr()
    assert "conv1" in told.out
    assert told.err == ""
    assert run("summary", NET, "--set", "layers=[2, 1]", "--set", "classes=7") == 0
    assert "conv3" in capsys.readouterr().out
    assert run("summary", SPECS / "resnet.net", "ResNet101") == 0
    assert "44,549,160" in capsys.readouterr().out


def test_a_claim_that_a_change_breaks(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A(c=3) {\n  input x(4)\n  dense(c) -> expect(params=15)\n}\n")
    assert run("summary", file, "--set", "c=4") == 2
    assert "help: 5 too many; not as in the file: c\n" in capsys.readouterr().err
    assert run("summary", "lenet5", "--set", "classes=26") == 0
    example = SPECS.parent / "examples" / "lenet5.net"
    assert run("summary", example, "--set", "classes=26") == 0


def test_warnings_go_to_standard_error(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A {\n  input x(3x8x8)\n  maxpool(3, stride=2)\n}\n")
    assert run("summary", file) == 0
    told = capsys.readouterr()
    assert "warning[W201]" in told.err
    assert "warning" not in told.out


@pytest.mark.parametrize("ending", ["dot", "svg"])
def test_draw(ending: str, tmp_path: Path, capsys: Capture) -> None:
    if ending == "svg" and shutil.which("dot") is None:
        pytest.skip("dot is not installed")
    path = tmp_path / f"net.{ending}"
    assert run("draw", NET, "-o", path) == 0
    assert f"wrote {path}" in capsys.readouterr().out
    assert "conv1" in path.read_text()
    assert run("draw", NET, "-o", tmp_path / "none" / f"net.{ending}") == 1
    assert capsys.readouterr().err.count("error[E501]") == 1


def test_compile(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "tiny.py"
    assert run("compile", NET, "-o", path) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert os.listdir(tmp_path) == ["tiny.py"]
    compile(path.read_text(), str(path), "exec")
    assert run("compile", NET, "-o", tmp_path / "none" / "tiny.py") == 1
    assert capsys.readouterr().err.count("error[E501]") == 1


def test_a_module_replaces_only_a_module(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(NET, "mine.net")
    Path("tiny.py").write_text("precious = 1\n")
    for args in ([], ["-o", "tiny.py"]):
        assert run("compile", "mine.net", *args) == 2
        told = capsys.readouterr().err
        assert "error[E413]: tiny.py is there, and netdsl did not compile it" in told
        assert "help: name another file: -o tiny_net.py; or remove this one" in told
    assert Path("tiny.py").read_text() == "precious = 1\n"
    for name, help in (("mine.net", "mine.py"), ("new", "new.py"), ("a/", "a.py"), (".", "net.py")):
        assert run("compile", "mine.net", "-o", name) == 2
        assert f"help: write: -o {help}\n" in capsys.readouterr().err
    assert Path("mine.net").read_text() == NET.read_text()
    assert run("compile", "mine.net", "-o", "tiny_net.py") == 0
    assert run("compile", "mine.net", "-o", "tiny_net.py", "--set", "classes=3") == 0


def test_an_output_that_was_closed(tmp_path: Path) -> None:
    for args in ("--help", f"summary '{NET}'", f"explain '{NET}' conv1", "list lenet5"):
        command = ["bash", "-c", f"{sys.executable} -c {MAIN!r} {args} >&-"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_has_seen_enough() -> None:
    for args in ("--help", f"summary '{SPECS / 'resnet.net'}' ResNet152"):
        shown = f"{sys.executable} -c {MAIN!r} {args} | head -1"
        command = ["bash", "-o", "pipefail", "-c", shown]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert len(ended.stdout.splitlines()) == 1


MAIN = "import netdsl.cli; netdsl.cli.main()"

HEAVY = {"numba", "llvmlite", "sklearn", "torch", "PIL", "matplotlib"}
LOOKS: dict[str, list[str | Path]] = {
    "import": [],
    "help": ["--help"],
    "summary": ["summary", NET],
    "draw": ["draw", NET, "-o", "net.dot"],
    "explain": ["explain", NET, "conv1"],
    "diff": ["diff", NET, NET],
    "list": ["list"],
    "new": ["new", "mine"],
    "check": ["check", NET],
    "fmt": ["fmt", "--check", NET],
}


@pytest.mark.parametrize("args", LOOKS.values(), ids=LOOKS)
def test_looking_imports_no_compiler(args: list[str | Path], tmp_path: Path) -> None:
    program = (
        "import sys, netdsl.cli\n"
        "try:\n    sys.argv[1:] and netdsl.cli.main()\n"
        "finally:\n    print('heavy:', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = python(program, *args, cwd=tmp_path).rpartition("heavy:")[2].split()
    assert "netdsl" in loaded
    assert not HEAVY & set(loaded)
    assert args or not {"lark", "networkx", "numpy"} & set(loaded), "import netdsl is quick"


# ---- a run: trained once -----------------------------------------------------------------------


@dataclass
class Trained:
    """A run, and what its training printed."""

    path: Path
    told: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    runs = tmp_path_factory.mktemp("cli") / "runs"
    told = python(
        MAIN, "train", NET, "--epochs", "2", "--runs", runs,
        "--set", "layers=[1]", "--set", "train.optimizer.lr=0.05",
    )  # fmt: skip
    return Trained(runs / "tiny-1", told)


def test_train_tells(trained: Trained) -> None:
    lines = trained.told.splitlines()
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 2
    assert "val_top(1)" in epochs[-1]
    assert f"saved in {trained.path}; go on with: netdsl evaluate {trained.path}" == lines[-1]
    assert "predicted" in trained.told


def test_a_run_directory_is_complete(trained: Trained) -> None:
    assert sorted(os.listdir(trained.path)) == [
        "best.safetensors", "environment.json", "last.safetensors", "metrics.csv", "metrics.jsonl",
        "network.net",
    ]  # fmt: skip
    with (trained.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (trained.path / "metrics.jsonl").read_text().splitlines()]
    assert [{name: float(row[name]) for name in row} for row in rows] == lines
    assert list(rows[0]) == [
        "epoch", "loss", "top(1)", "top(5)", "val_loss", "val_top(1)", "val_top(5)",
    ]  # fmt: skip
    assert all(line["top(1)"] < line["top(5)"] for line in lines)
    assert "--epochs 2" in json.loads((trained.path / "environment.json").read_text())["command"]


def test_the_resolved_file_is_the_same_network(trained: Trained) -> None:
    resolved = netdsl.load(trained.path / "network.net")
    changed = netdsl.load(NET, layers=[1])
    assert str(resolved.graph) == str(changed.graph)
    assert resolved.recipe is not None and changed.recipe is not None
    assert (resolved.recipe.epochs, resolved.recipe.optimizer.lr) == (2, 0.05)
    assert resolved.recipe.data == changed.recipe.data
    assert resolved.resolved() == (trained.path / "network.net").read_text()
    assert "nesterov=false" in resolved.resolved(), "every argument is filled in"


def test_evaluate_gives_what_train_gave(trained: Trained, capsys: Capture) -> None:
    assert run("evaluate", trained.path) == 0
    told = capsys.readouterr().out
    (line,) = (line for line in told.splitlines() if line.startswith("test_loss"))
    assert line in trained.told.splitlines()
    assert "test_top(5)" in line


def test_predict(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    data = commands.read_data(net := netdsl.load(NET), commands.needs(net))
    np.save(tmp_path / "x.npy", data.test.x[:20])
    assert run("predict", trained.path, tmp_path / "x.npy") == 0
    lines = capsys.readouterr().out.splitlines()
    right = sum(line.split()[1] == str(y) for line, y in zip(lines, data.test.y[:20], strict=True))
    assert right >= 10
    out = tmp_path / "y.out"
    assert run("predict", trained.path, tmp_path / "x.npy", "-o", out) == 0
    made = np.load(out)
    assert made.shape == (20, 10)
    assert [int(row.argmax()) for row in made] == [int(line.split()[1]) for line in lines]
    capsys.readouterr()
    assert run("predict", trained.path, tmp_path / "x.npy", "-o", tmp_path / "no" / "y") == 1
    assert capsys.readouterr().err.count("error[E501]") == 1


def test_predict_a_picture(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    image = pytest.importorskip("PIL.Image")
    data = commands.read_data(net := netdsl.load(NET), commands.needs(net))
    picture = np.round(data.test.x[0, 0] * 255).astype(np.uint8)
    image.fromarray(picture).save(tmp_path / "digit.png")
    np.save(tmp_path / "digit.npy", picture[None, None])
    assert run("predict", trained.path, tmp_path / "digit.png") == 0
    shown = capsys.readouterr().out
    assert run("predict", trained.path, tmp_path / "digit.npy") == 0
    assert shown == capsys.readouterr().out
    image.fromarray(np.zeros((9, 7), np.uint8)).save(tmp_path / "large.png")
    assert run("predict", trained.path, tmp_path / "large.png") == 2
    told = capsys.readouterr().err
    assert "large.png is a picture of 1x9x7, the network takes 1x8x8\n" in told
    assert "help: resize it to a width and height of 8 x 8\n" in told


MISFITS = [
    ((5, 8, 8, 1), "5 x 8 x 8 x 1, the", "channels come first: x.transpose(0, 3, 1, 2)"),
    ((8, 8, 1), "8 x 8 x 1, the", "channels come first: x.transpose(2, 0, 1)"),
    ((5, 1, 9, 8), "5 x 1 x 9 x 8, the", "resize the samples or crop them; channels come first"),
    ((0, 1, 8, 8), "0 x 1 x 8 x 8, the", "it holds no sample"),
    ((), "one number, the", "resize the samples"),
]


@pytest.mark.parametrize(("shape", "found", "help"), MISFITS)
def test_samples_of_another_shape(
    shape: tuple[int, ...], found: str, help: str, trained: Trained, tmp_path: Path, capsys: Capture
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    assert run("predict", trained.path, tmp_path / "x.npy") == 2
    told = capsys.readouterr().err
    assert f"x.npy is {found} network takes samples x 1 x 8 x 8\n  help: {help}" in told


def test_what_is_no_run_and_no_sample(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    for args in (["evaluate", NET], ["predict", NET, "x.npy"]):
        assert run(*args) == 2
        told = capsys.readouterr().err
        assert f"error[E406]: {NET} is a network, not a directory of a run\n" in told
        assert f"help: train it first: netdsl train {NET}\n" in told
    assert run("predict", trained.path, tmp_path) == 2
    assert f"error[E410]: {tmp_path} is a directory" in capsys.readouterr().err


def test_a_run_that_is_none(tmp_path: Path, trained: Trained, capsys: Capture) -> None:
    assert run("evaluate", tmp_path / "none") == 2
    assert capsys.readouterr().err.count("error[E406]") == 1
    copy = tmp_path / "copy"
    shutil.copytree(trained.path, copy)
    (copy / "best.safetensors").write_bytes(b"x" * 100)
    assert run("evaluate", copy) == 2
    assert capsys.readouterr().err.count("error[E405]") == 1
    netdsl.load(trained.path / "network.net").compile().save(copy / "best.safetensors")
    assert run("evaluate", copy) == 2
    assert "does not say its classes" in capsys.readouterr().err


def test_the_best_epoch_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.9, 0.9, 0.7])

    def told(*args: object, watch: object = None, **named: object) -> list[dict[str, float]]:
        for epoch, score in enumerate(scores, 1):
            watch.epoch(epoch, 4, 1)  # type: ignore[attr-defined]
            figures = {"loss": 1.0, "val_loss": 1.0, "val_top(1)": score, "val_top(5)": 1 - score}
            watch.epoch_done(epoch, figures)  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr("netdsl.runtime.model.Model.fit", told)
    assert run("train", NET, "--set", "layers=[1]", "--runs", tmp_path) == 0
    files = {name: tmp_path / "tiny-1" / f"{name}.safetensors" for name in ("best", "last")}
    kept = {name: checkpoint.load(path)[1]["epoch"] for name, path in files.items()}
    assert kept == {"best": "2", "last": "4"}


def test_a_named_recipe(tmp_path: Path, capsys: Capture) -> None:
    args = ["--recipe", "short", "--set", "layers=[1]", "--set", "train.optimizer.lr=0.01"]
    assert run("train", NET, *args, "--runs", tmp_path, "--seed", "3") == 0
    told = capsys.readouterr().out
    assert "epoch 1/1" in told and "test_accuracy" in told
    text = (tmp_path / "tiny-1" / "network.net").read_text()
    assert text.count("sgd(lr=0.01, momentum=0.0") == 1
    assert run("evaluate", tmp_path / "tiny-1") == 0
    assert told.splitlines()[-2] in capsys.readouterr().out


INTERRUPT = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let some programs ignore it
import netdsl.cli, netdsl.commands
class Keeper(netdsl.commands._Keeper):
    def epoch(self, number, *rest):
        self.number = number
        super().epoch(number, *rest)
    def batch(self, images, figures):
        if self.number == EPOCH:
            os.kill(os.getpid(), signal.SIGINT)
netdsl.commands._Keeper = Keeper
netdsl.cli.main()
"""


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_training(epoch: int, tmp_path: Path, capsys: Capture) -> None:
    args = ["train", NET, "--set", "layers=[1]", "--runs", tmp_path]
    command = [sys.executable, "-c", INTERRUPT.replace("EPOCH", str(epoch)), *map(str, args)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 128 + signal.SIGINT
    assert ended.stderr.count("\n") == epoch
    assert "[E507]: interrupted" in ended.stderr
    assert run("evaluate", tmp_path / "tiny-1") == (2 if epoch == 1 else 0)
    assert "Traceback" not in capsys.readouterr().err


# ---- from Python -------------------------------------------------------------------------------


def test_the_importer(tmp_path: Path) -> None:
    shutil.copy(SPECS / "lenet5.net", tmp_path / "lenet5.net")
    (tmp_path / "wrong.net").write_text("net A { relu }")
    nets = "net A { input x(4) -> dense(2) as a }\nnet B { input x(4) -> dense(2) as b }\n"
    recipe = "train {\n  optimizer = sgd(0.1)\n  loss = cross_entropy(@a)\n}\n"
    (tmp_path / "two.net").write_text(nets.replace(") ->", ")\n ") + recipe)
    program = """
import netdsl, netdsl.importer
import lenet5
import two
print(two.A.recipe is None, two.B.recipe is None)
print(type(lenet5.LeNet5).__name__, lenet5.LeNet5.name, lenet5.__all__, lenet5.__file__)
try:
    lenet5.LeNet6
except AttributeError as error:
    print(error)
import wrong
try:
    wrong.A
except netdsl.NetError as error:
    print(error.code)
try:
    import nothing_of_that_name
except ImportError as error:
    print(type(error).__name__)
"""
    told = python(program, cwd=tmp_path).splitlines()
    assert told.pop(0) == "False True", "a recipe of another net is not in the way"
    assert told[0] == f"Net LeNet5 ['LeNet5', 'Model'] {tmp_path / 'lenet5.net'}"
    assert told[1].endswith("has no net 'LeNet6'; it has LeNet5")
    assert told[2:] == ["E127", "ModuleNotFoundError"]


def test_the_importer_gives_a_model(tmp_path: Path) -> None:
    shutil.copy(NET, tmp_path / "tiny.net")
    program = """
import netdsl.importer
import tiny, numpy as np
print(tiny.Model(seed=0).forward(np.zeros((2, 1, 8, 8), np.float32)).shape)
"""
    assert python(program, cwd=tmp_path) == "(2, 10)\n"
