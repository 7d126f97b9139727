"""Runs: checkpoints survive accidents, directories are complete, progress reads well."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors import numpy as safetensors

from netdsl.errors import DataError, RunError
from netdsl.runtime import checkpoint
from netdsl.runtime.confusion import confusion, text
from netdsl.runtime.progress import LiveScreen, PlainScreen, Progress, figure, progress
from netdsl.runtime.rundir import Run

ARRAYS = {
    "conv1.weight": np.arange(12, dtype=np.float32).reshape(3, 4).T[::2],
    "conv1.bias": np.zeros(0, np.float32),
    "bn.count": np.array(7, np.int64),
    "wide": np.array([[1e300]]),
}
TEXTS = {"step": "12", "name": "Größe"}

# ---- Checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, TEXTS)
    arrays, texts = checkpoint.load(path)
    assert texts == TEXTS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(arrays[name], array)
    (plain := tmp_path / "plain").touch()
    assert path.stat().st_mode == plain.stat().st_mode
    plain.unlink()
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(ValueError, match="sha256"):
        checkpoint.save(path, ARRAYS, {"sha256": ""})


def test_no_damaged_byte_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"a": np.arange(3, dtype=np.float32)}, {"step": "1"})
    content = path.read_bytes()
    damaged = [
        content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(len(content))
    ]
    damaged += [content[:length] for length in range(len(content))]
    for wrong in [*damaged, content + b"\0", b"text", safetensors.save({"a": np.zeros(2)})]:
        path.write_bytes(wrong)
        try:
            arrays, texts = checkpoint.load(path)
        except DataError as error:
            assert error.code == "E405"
        else:
            # A blank in the header's filling may change without changing what it says.
            assert (arrays["a"].tolist(), texts) == ([0, 1, 2], {"step": "1"})


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_checkpoint_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        checkpoint.load(tmp_path / name)
    assert caught.value.code == "E404"


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(
    ("accident", "seen"),
    [(OSError(errno.ENOSPC, "No space left on device"), RunError), (KeyboardInterrupt(), None)],
    ids=["disk full", "interrupt"],
)
def test_an_accident_leaves_the_earlier_file(
    call: str,
    accident: BaseException,
    seen: type[BaseException] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, {"step": "1"})

    def fail(*_: object) -> None:
        raise accident

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(seen or type(accident)) as caught:
            checkpoint.save(path, ARRAYS, {"step": "2"})
    if isinstance(caught.value, RunError):
        assert caught.value.code == "E501"
        assert str(path) in caught.value.message
        assert "No space left" in caught.value.message
    assert checkpoint.load(path)[1] == {"step": "1"}
    assert os.listdir(tmp_path) == [path.name]


def test_a_run_keeps_what_its_network_imports(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "net", "netdsl 1\n", 1, {"parts/a.net": "block a { relu }\n"})
    assert (run.path / "parts" / "a.net").read_text() == "block a { relu }\n"
    with pytest.raises(DataError) as caught:
        Run.create(tmp_path, "net", "", 1, {"network.net": ""})
    assert caught.value.code == "E415"
    assert len(os.listdir(tmp_path)) == 1


def test_no_directory_to_write_into(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file or directory"):
        checkpoint.save(tmp_path / "none" / "a", ARRAYS, TEXTS)


# ---- Run directories ---------------------------------------------------------------------------


def test_a_run_directory(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs", "lenet5/x", "netdsl 1\n", threads=2)
    assert run.path == tmp_path / "runs" / "lenet5_x-1"
    assert run.network.read_text() == "netdsl 1\n"
    facts = json.loads((run.path / "environment.json").read_text())
    assert facts["threads"] == 2
    assert all(facts[key] for key in ("started", "command", "numba", "llvmlite", "cpu", "cores"))
    run.record({"epoch": 1, "loss": 0.1 + 0.2})
    Run(run.path).record({"epoch": 2, "loss": float("nan")})
    with (run.path / "metrics.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [["epoch", "loss"], ["1", "0.30000000000000004"], ["2", "nan"]]
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [0.1 + 0.2, None]
    with pytest.raises(ValueError, match="epoch, accuracy"):
        run.record({"epoch": 3, "accuracy": 1.0})


def test_no_two_runs_share_a_directory(tmp_path: Path) -> None:
    (tmp_path / "net-2").mkdir()
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: Run.create(tmp_path, "net", "", 1), range(24)))
    names = {run.path.name for run in runs}
    assert names == {f"net-{n}" for n in range(1, 26)} - {"net-2"}


def test_opening_says_what_is_missing(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "net", "", 1)
    (tmp_path / "empty").mkdir()
    for path, why in (
        (tmp_path / "none", "no such directory"),
        (tmp_path / "empty", "no network.net"),
        (run.path, "no last.safetensors"),
    ):
        with pytest.raises(DataError, match=why) as caught:
            Run.open(path)
        assert caught.value.code == "E406"
    run.last.write_bytes(b"")
    assert Run.open(run.path).weights == run.last
    run.best.write_bytes(b"")
    assert Run.open(run.path).weights == run.best
    with pytest.raises(RunError) as failed:
        Run.create(run.network, "net", "", 1)
    assert failed.value.code == "E502"


# ---- Progress ----------------------------------------------------------------------------------


class Clock:
    """Time that goes on by what it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def train_twelve_epochs(shown: Progress, clock: Clock) -> None:
    """A training as the trainer tells it: kernels, then epochs of two batches and an evaluation."""
    with shown:
        for done in range(31):
            shown.compiling(done, 31, f"conv{done}_y")
            clock.now += 0.4
        shown.compiling(31, 31)
        for epoch in range(1, 13):
            shown.epoch(epoch, 12, 36_408)
            loss, accuracy = 0.5 / epoch**4, 1 - 0.1 / epoch
            for images in (32_000, 4_408):
                clock.now += images / 18_204
                shown.batch(images, {"loss": loss, "accuracy": accuracy})
            clock.now += 0.4
            shown.epoch_done({"loss": loss, "accuracy": accuracy, "val_accuracy": accuracy / 2})


def test_plain_progress(golden: Callable[[str, str], None]) -> None:
    stream, clock = io.StringIO(), Clock()
    train_twelve_epochs(Progress(PlainScreen(stream), clock), clock)
    golden("progress.txt", stream.getvalue())


def test_kernels_from_the_cache_are_not_mentioned() -> None:
    stream = io.StringIO()
    with Progress(PlainScreen(stream)) as shown:
        shown.compiling(0, 0)
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("colour", [True, False])
def test_live_progress(colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    stream, clock = Terminal(), Clock()
    shown = progress(stream, clock)
    assert isinstance(shown.screen, LiveScreen)
    train_twelve_epochs(shown, clock)
    drawn = stream.getvalue()
    assert "compiling kernel 1 of 31: conv0_y" in drawn
    assert drawn.count("val_accuracy") == 12
    assert ("\x1b[9" in drawn or "\x1b[3" in drawn) == colour
    assert drawn.endswith("\x1b[2K"), "the live line is gone at the end"
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress(stream).screen, PlainScreen)


def test_rich_stays_away_from_pipes() -> None:
    program = (
        "import sys; from netdsl.runtime.progress import progress; "
        "progress().compiling(0, 1, 'a'); print('rich' in sys.modules)"
    )
    shown = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert shown == "compiling 1 kernel\nFalse\n"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("loss", 0.21341, "loss 0.2134"),
        ("val_loss", 3.1e-5, "val_loss 3.1e-05"),
        ("loss", float("nan"), "loss nan"),
        ("loss", 0.0, "loss 0.0000"),
        ("test_accuracy", 0.93414, "test_accuracy 93.41 %"),
        ("top5", 1.0, "top5 100.00 %"),
    ],
)
def test_figures(name: str, value: float, wanted: str) -> None:
    assert figure(name, value) == wanted


# ---- The confusion matrix ----------------------------------------------------------------------


def test_confusion_matrix(golden: Callable[[str, str], None]) -> None:
    target = np.array([0, 0, 0, 1, 1, 2, 0])
    predicted = np.array([0, 0, 2, 1, 1, 0, 2])
    matrix = confusion(predicted, target, 4)
    np.testing.assert_array_equal(matrix, [[2, 0, 2, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    named = text(matrix, ("cat", "dog", "blue whale", "none"))
    digits = text(
        np.diag(np.arange(0, 2000, 100)) + np.eye(20, k=1, dtype=int), [*map(str, range(20))]
    )
    golden("confusion.txt", f"{named}\n\n{digits}\n")
