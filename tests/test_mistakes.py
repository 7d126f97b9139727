"""What users get wrong, and what they are told: a golden message for each file of tests/mistakes.

A file is given to ``netdsl summary``, or to the command that its first line names (``# $ netdsl
train a.net``). Beside it stands all that goes to standard error.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest

import netdsl
from netdsl.cli import main
from netdsl.errors import NetError
from netdsl.source import Source

HERE = Path(__file__).parent
FILES = sorted((HERE / "mistakes").glob("*.net"))
Golden = Callable[[str, str], None]


def run(*args: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mistake(
    file: Path,
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(file.parent)
    first = file.read_text().split("\n", 1)[0]
    command = first.removeprefix("# $ netdsl ") if first.startswith("# $") else ""
    status = run(*(shlex.split(command) or ["summary", file.name]))
    captured = capsys.readouterr()
    told = captured.err or captured.out  # what check finds is its output
    code = file.stem.split("-")[0]
    assert f"[{code}]" in told.splitlines()[0]
    assert ("error[" in told) == (code[0] == "E")
    assert status == (2 if code[0] == "E" else 0)
    golden(f"../mistakes/{file.stem}.txt", told)


# ---- calls of other systems ----------------------------------------------------------------------

TRANSLATIONS = {
    "Conv2d(3, 64, 3, 2, 1)": "conv(64, 3, 2, 1)",
    "Conv2d(in_channels=3, out_channels=64, kernel_size=(3, 5), bias=False)": (
        "conv(channels=64, window=3x5, bias=false)"
    ),
    'Conv2D(64, 3, padding="same", activation="relu", name="c1")': (
        "conv(64, 3, pad=same) -> relu as c1"
    ),
    'Conv2D(64, 3, strides=2, padding="same")': "conv(64, 3, stride=2, pad=same_upper)",
    'Conv2D(64, 4, padding="same")': "conv(64, 4, pad=same_upper)",
    'MaxPooling2D(2, 2, "same")': "maxpool(2, 2, same_upper)",
    "MaxPooling2D()": "maxpool(2)",
    "BatchNormalization(momentum=0.99)": "bn(momentum=0.01)",
    "Flatten(start_dim=1) -> Linear(3072, 120)": "dense(120)",
    "Softmax(dim=1)": "softmax",
    "Conv2D(64, 3, kernel_regularizer=l2(0.01))": None,
    'Conv2DTranspose(64, 2, padding="same")': None,
    'Conv1D(64, 3, padding="causal")': None,
    "LayerNorm([3, 32, 32])": None,
    'AveragePooling2D(3, padding="same")': "avgpool(3, pad=same_upper, count_pad=false)",
    "AvgPool2d(3, 2, 1, False, False)": "avgpool(3, 2, 1, false, false)",
    "MaxPool2d(3, 2, 1, 1, False, True)": "maxpool(3, 2, 1, ceil=true)",
    "UpSampling2D(size=2)": "upsample(factor=2)",
    'Upsample(scale_factor=2, mode="nearest")': "upsample(factor=2, mode=nearest)",
    "LSTM(10, 20, batch_first=True)": "lstm(20, returns=all)",
    "GRU(10, 20)": "gru(20, returns=all)",
    "LSTM(input_size=10, hidden_size=20)": "lstm(units=20, returns=all)",
    "LSTM(20, return_sequences=True)": "lstm(20, returns=all)",
    "LSTM(20)": "lstm(20)",
    "Flatten() -> Dense(10, trainable=True, input_shape=(3, 4))": "dense(10)",
    'Conv2d(3, 64, 3, padding_mode="zeros")': "conv(64, 3)",
    "ReLU(True)": "relu",
    "AdaptiveAvgPool2d((1, 1))": "global_avgpool",
    "Upsample(size=(32, 32))": None,
    "Upsample(32)": None,
    "UpsamplingBilinear2d(scale_factor=2)": None,
    "LSTM(10, 20, 2)": None,
    "LSTM(20, batch_first=True)": None,
    "RNN(LSTMCell(20))": None,
    "Dense(10, trainable=False)": None,
    'Dense(10, name="in")': None,
    'Dense(10, name="größe")': None,
    'Conv2d(3, 64, 3, padding_mode="reflect")': None,
    'Conv2d(3, 64, 3, 1, 1, 1, 1, True, "reflect")': None,
    "BatchNorm2d(16, affine=False, track_running_stats=False)": None,
    "BatchNorm2d(16, momentum=None)": None,
    "BatchNormalization(-1, 0.99, 0.001)": None,
    "BatchNormalization(axis=3)": None,
    "LayerNormalization(axis=[1, 2, 3])": None,
    "Softmax(dim=2)": None,
    "ReLU(6.0)": None,
    "AdaptiveMaxPool2d(7)": None,
    "AdaptiveAvgPool2d(output_size=7)": None,
    "GlobalAveragePooling2D(keepdims=True)": None,
    "Conv2D(64, 3.5)": None,
    "Conv2D(64, -3)": None,
    'Conv2D(64, 3, activation="leaky_relu")': None,
    "cat([@a, @b], dim=2)": None,
}
"""Calls, and what the help writes for the last of them; None where nothing is surely the same."""


@pytest.mark.parametrize("call", TRANSLATIONS)
def test_calls_of_other_systems_are_written_in_ours(call: str, tmp_path: Path) -> None:
    file = tmp_path / "a.net"
    sizes = "3x32" if any(name in call for name in ("LSTM", "GRU", "RNN")) else "3x32x32"
    head = f"net A {{\n  input image({sizes})\n"
    file.write_text(f"{head}  {call}\n}}\n")
    with pytest.raises(NetError) as caught:
        netdsl.load(file)
    helps = [error.help or "" for error in caught.value.each()]
    ours = [text.removeprefix("write ") for text in helps if text.startswith("write ")]
    assert (ours[-1] if ours else None) == TRANSLATIONS[call]
    if ours:
        file.write_text(f"{head}  {' -> '.join(ours)}\n}}\n")
        assert netdsl.load(file).graph.outputs


# ---- codes -------------------------------------------------------------------------------------

FAMILIES = {"E110", "E112", "E114", "E124", "E131", "E190", "E403", "E406", "E501"}
"""Codes that several modules raise: the same mistake, found in different places."""

ELSEWHERE = {"E147", "E154", "E310"}
"""Mistakes of Python callers and of several outputs: test_cli and test_elaborate make them."""


def raised() -> dict[str, set[str]]:
    """Every code of the sources, with the modules that raise it."""
    places: dict[str, set[str]] = defaultdict(set)
    for folder in ("netdsl", "backends"):
        for path in (HERE.parent / folder).rglob("*.py"):
            for code in re.findall(r'"([EW]\d{3})"', path.read_text()):
                places[code].add(str(path.relative_to(HERE.parent)))
    return places


def test_every_code_has_one_meaning_and_an_example() -> None:
    places = raised()
    several = {
        code: modules
        for code, modules in places.items()
        if len(modules) > 1 and code not in FAMILIES and not code.startswith("E0")
    }
    assert not several, "give one of them another code"
    shown = {file.stem.split("-")[0] for file in FILES} | ELSEWHERE
    assert shown <= places.keys(), "codes that no source raises"
    # E0 are the parser's, tests/mistakes.txt shows them; E4 and E5 happen at run time.
    missing = {code for code in places if code[:2] not in ("E0", "E4", "E5")} - shown
    assert not missing


# ---- hostile input -----------------------------------------------------------------------------

DOUBLING = "".join(f"let l{i + 1} = [l{i}, l{i}]\n" for i in range(60))


def net(body: str, rest: str = "") -> bytes:
    """A file with one net."""
    return f"net A {{\n  input image(3x32x32)\n  {body}\n}}\n{rest}".encode()


HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)),
    "zeros": bytes(1000),
    "10 MB": b"# " + b"x" * 10_000_000,
    "many lines": b"net A { relu }\n" * 60_000,
    "10,000 braces": b"net A {" + b"{" * 10_000,
    "10,000 closed braces": b"net A {" + b"{" * 10_000 + b"}" * 10_001,
    "10,000 brackets": net("conv(" + "(" * 10_000 + "1" + ")" * 10_000 + ", 3)"),
    "10,000 terms": net("conv(" + "1 + " * 10_000 + "1, 3)"),
    "10,000 nots": net("if " + "not " * 10_000 + "true { relu }"),
    "channels": net("conv(1000000000, 3)"),
    "repeat": net("relu * 1000000000"),
    "repeats in repeats": net("{ { { relu * 999 } * 999 } * 999 } * 999"),
    "blocks in blocks": net("f(0)", "block f(n) { if n < 30 { f(n+1) -> f(n+1) } }"),
    "nothing, often": net("{ { { } * 9999 } * 9999 } * 9999"),
    "lets in loops": net("for i in 1..9999 { for j in 1..9999 { let k = [1..9999] } }"),
    "sums of ranges": net("for i in 1..9999 { let k = sum(1..9999) }"),
    "recursion": net("f", "block f { f }"),
    "recursion in braces": net(
        "f(1)", "block f(n) { residual { add [ { if true { for i in 1..1 { f(n + 1) } } }, id ] } }"
    ),
    "powers": net("conv(9 ** 9 ** 9 ** 9, 3)"),
    "roots": net("conv((-8) ** 0.5, 3)"),
    "round": net("conv(round(5, -1000000000), 3)"),
    "lists of lists": net("f(l60)", "block f(a) { conv(a, 3) }\n" + "let l0 = 1\n" + DOUBLING),
    "long name": b"net " + b"A" * 900_000 + b" { relu }",
    "long text": b'net A(t="' + b"x" * 900_000 + b'") { input i(3) -> relu }',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_one_error_at_once(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.net"
    file.write_bytes(HOSTILE[name])
    began = process_time()
    status = run("summary", str(file))
    seconds = process_time() - began
    told = capsys.readouterr()
    assert status == 2
    assert told.out == ""
    assert told.err.count("error[") == 1
    assert len(told.err) < 4_000
    assert seconds < 2  # of this process, whatever else the machine does


@pytest.mark.parametrize("name", ["10 MB", "channels", "repeats in repeats", "lists of lists"])
def test_hostile_files_get_no_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.net"
    file.write_bytes(HOSTILE[name])
    program = (
        "import resource, sys; import netdsl.compiler; netdsl.compiler.vocabulary()\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)\n"
        "from netdsl.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "summary", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("error[") == 1


VALUES = ['"quoted"', "line\nend", "}\nnet B {", float("nan"), 10**400, {"a": 1}, object(), ["\0"]]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_from_python_that_the_language_cannot_write(value: object, tmp_path: Path) -> None:
    file = tmp_path / "a.net"
    file.write_text("net A(text=same) {\n  input image(3x32x32)\n  conv(6, 3, pad=text)\n}\n")
    assert netdsl.load(file, text="same").graph["conv1"].tensor.dims == (6, 32, 32)
    with pytest.raises(NetError) as caught:
        netdsl.load(file, text=value)
    assert caught.value.code == "E147"


def test_a_file_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("summary", str(tmp_path / "none.net")) == 2
    assert capsys.readouterr().err.count("error[E001]") == 1


def test_carets_stand_under_wide_characters_and_nothing_commands_the_terminal() -> None:
    text = 'conv("中文", e\u0301, strides=2) # \x1b[31mred\u202e'
    start = text.index("strides")
    shown, caret = Source("a.net", text).span(start, start + 7).excerpt().splitlines()
    assert shown == '   1 | conv("中文", e\u0301, strides=2) # \ufffd[31mred\ufffd'
    assert caret == "     | " + " " * len('conv("xxxx", e, ') + "^" * 7
