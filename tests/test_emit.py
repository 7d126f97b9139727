"""Generated code: it reads well, holds no text of the user's, and is compiled once."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks import HEAD, SGD, text

from netdsl.backends.cpu import CPU
from netdsl.backends.emit import emit_cached
from netdsl.compiler import Net, load_source
from netdsl.source import Source

PARTED = """
net Parted {
  input image(2x32x32)
  crop(16x16) as cut -> tanh -> dropout(0.5) as noise
}
train { loss = mse
  optimizer = sgd(0.1) }
"""
LENET = (Path(__file__).parents[1] / "examples" / "lenet5.net").read_text()


def net(text: str, name: str = "some.net") -> Net:
    return load_source(Source(name, text))


def kernels(text: str) -> set[str]:
    """The files of a network's kernels, named by the hash of what is in them."""
    return set(emit_cached(net(text).schedule(), CPU, "about").kernels)


# ---- Reading -----------------------------------------------------------------------------------


def sections(source: str) -> dict[str, str]:
    """A module's parts by their headings; before the first heading stands the target's prelude."""
    parts = re.split(r"^# ---- (.*?) -+\n", "# ---- prelude -\n" + source, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def kernel_texts(source: str) -> dict[str, str]:
    """The kernels of a module by their names."""
    texts = re.split(r"\n\n\n(?=# )", sections(source)["The kernels"].strip())
    return {re.findall(r"^def (k_\w+)", text, flags=re.M)[-1]: text for text in texts}


def network(source: str, name: str) -> str:
    """The text of a network's class; ``N`` stands for sizes that go by the vectors of a machine."""
    return re.sub(
        r'(:(?:eval_)?(?:packed|parts)\w*", \()\d+', r"\1N", sections(source)[name].lstrip()
    )


def test_lenet(golden: Callable[[str, str], None]) -> None:
    source = net(LENET, "specs/lenet5.net").source("cpu")
    golden("lenet5_cpu.py.txt", network(source, "The network LeNet5"))


def test_kernels_of_each_kind(golden: Callable[[str, str], None]) -> None:
    """Tasks that were written so, loops over rows, pieces of flat arrays, and small ones."""
    texts = kernel_texts(net(PARTED).source("cpu"))
    chosen = [texts[f"k_{name}"] for name in ("tanh_forward", "cut_y", "noise_y", "loss_y")]
    golden("kernels_cpu.py.txt", "\n\n\n".join(chosen) + "\n")


def test_lenet_on_cuda(golden: Callable[[str, str], None]) -> None:
    parts = sections(net(LENET, "specs/lenet5.net").source("cuda"))
    golden("lenet5_cuda.py.txt", parts["The kernels"].lstrip())


def test_residual(golden: Callable[[str, str], None]) -> None:
    source = net(text("residual"), "residual.net").source("cpu")
    golden("residual_cpu.py.txt", network(source, "The network Residual"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_generated_code_is_clean(device: str, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if ruff is None:
        pytest.skip("could not import 'ruff'")
    for name in ("residual", "dropout", "shared"):
        emitted = net(text(name)).source(device)
        cached = emit_cached(net(text(name)).schedule(), CPU, "about")
        for stem, content in {**cached.kernels, name: emitted, "model": cached.text}.items():
            (tmp_path / f"{name}_{stem}.py").write_text(content)
    rules = ["--select", "E,F,W,B,UP", "--ignore", "E501"]
    done = subprocess.run([ruff, "check", "--isolated", *rules, tmp_path], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


# ---- No text of the user's ---------------------------------------------------------------------

HOSTILE = """
block a() { conv(4, 3) as b_c }
block a_b1() { bn as c }
net __class__(self=3) {
  input real(2x6x6)
  a -> a_b1 -> relu
  conv(4, 3) as a_b1_b_c
  conv(4, 3) as np -> conv(4, 3) as None
  bn as class -> flatten
  add [dense(self) as loss, dense(self) as target, dense(self) as k_conv_y]
  dense(self) as __init__ -> dense(self) as import_ -> dense(self) as bind
  output __init__, bind, loss
}
train { optimizer = sgd  loss = cross_entropy(@bind) + cross_entropy(@loss) }
"""
PLAIN = re.sub(r"\b(a|b_c|a_b1|c|self|real|a_b1_b_c|np|None|class|loss|target|k_conv_y|__init__"
               r"|__class__|import_|bind)\b(?! =)", r"n_\1_", HOSTILE)  # fmt: skip
CANARY = "canary"
EVIL = f'evil"""\n\'\\\r\u2028;open("{CANARY}", "w")#{{}}%s.net'


def hostile(text: str) -> str:
    return HEAD + text.replace("sgd  loss", "sgd\n  loss")


def identifiers(source: str) -> set[str]:
    """All names that code uses: what texts and comments say does not count."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            value = getattr(node, field, None)
            found |= {value} if isinstance(value, str) else set()
    return found


def node_types(source: str) -> set[type]:
    return {type(node) for node in ast.walk(ast.parse(source))}


def test_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = net(hostile(HOSTILE), EVIL)
    source, benign = loaded.source(), net(hostile(PLAIN)).source()
    assert node_types(source) == node_types(benign)
    new = identifiers(source) - identifiers(benign)
    assert {"v_None_1d", "v_class_1d", "w_a1_b_c_weight_1d", "w_a_b1_b_c_weight_1d"} <= new
    assert all(re.fullmatch(r"[kvgawds]_[A-Za-z0-9_]+", name) for name in new), new
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    assert any("class (evil" in comment for comment in comments)
    assert CANARY + '"' not in source
    assert source.isascii()

    model = loaded.compile("cpu", batch=4).engine
    image = np.random.default_rng(0).normal(size=(4, 2, 6, 6))
    losses = [model.train_step(image, [0, 1, 2, 0]) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert model.forward(image).keys() == {"__init__", "bind", "loss"}
    assert not (tmp_path / CANARY).exists()


def test_names_never_meet() -> None:
    """Two tensors, or two shapes of one, are never kept under one name."""
    for written in (hostile(HOSTILE), text("dense"), text("shared")):
        (bind,) = [
            node
            for node in ast.walk(ast.parse(net(written).source()))
            if isinstance(node, ast.FunctionDef) and node.name == "bind" and len(node.body) > 2
        ]
        targets = [node.targets[0] for node in bind.body if isinstance(node, ast.Assign)]
        kept = [target.attr for target in targets if isinstance(target, ast.Attribute)]
        assert len(kept) == len(set(kept)) > 20


# ---- Compiled once -----------------------------------------------------------------------------


def test_what_recompiles_nothing() -> None:
    same = text("dropout", SGD)
    assert net(same).source() == net(same).source()
    for old, new in [
        ("lr=0.05", "lr=0.5"),
        ("momentum=0.9", "momentum=0.7"),
        ("weight_decay=0.01", "weight_decay=0.02"),
        ("dropout(0.25)", "dropout(0.75)"),
        ("bn ->", "bn(eps=0.001, momentum=0.5) ->"),
        ("  flatten\n", "\n\n  # another line, and a remark\n  flatten\n"),
        ("conv(4, 3)", "conv(4, 3) as renamed"),
        ("net Dropout", "net Another"),
        ("2x6x6", "3x5x7"),
        ("conv(4, 3)", "conv(5, 1)"),
        ("conv(4, 3)", "conv(3, 3x5, stride=2, pad=1)"),
        ("dense(8)", "dense(9)"),
    ]:
        assert old in same
        changed = same.replace(old, new)
        assert kernels(changed) == kernels(same), f"{old} -> {new}"
    assert kernels(same.replace("relu", "gelu")) != kernels(same)


def test_equal_layers_share_kernels() -> None:
    # Strides 1 and 2, and the 1x1 projection: one kernel, whatever the windows.
    stems = kernels(text("residual"))
    names = [stem.rpartition("_")[0] for stem in stems]
    assert {"conv_forward", "conv_backward", "conv_weight", "norm_statistics"} <= set(names)
    assert len(names) == len(set(names))
    block = "  residual { conv(6, 3) -> bn }\n  relu"
    assert kernels(text("residual").replace(block, block + f"\n{block}" * 3)) == set(stems)


SMALL = """
net Small { input x(4)
  dense(3) }
train { loss = cross_entropy
  optimizer = sgd(lr=0.1) }
"""
COUNT = """
import sys
import numpy as np
from numba.core.event import RecordingListener, register
from netdsl.compiler import load_source
from netdsl.source import Source
passes = RecordingListener()  # of a compiler: what is read from the cache goes through none
register("numba:run_pass", passes)
engine = load_source(Source("small.net", sys.argv[1])).compile("cpu", batch=8).engine
for count, lr in [(8, 0.1), (5, 0.2), (1, 0.3)]:
    engine.train_step(np.ones((count, 4)), np.zeros(count, int), lr=lr)
    engine.loss(np.ones((count, 4)), np.zeros(count, int))
print(len(passes.buffer))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    compiled: set[Path] = set()
    for first, written in [(True, SMALL), (False, SMALL), (False, SMALL.replace("0.1", "0.4"))]:
        done = subprocess.run(
            [sys.executable, "-c", COUNT, written], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        before, compiled = compiled, set(tmp_path.rglob("*.o"))
        assert (compiled != before) == first
        assert first or done.stdout == "0\n"
