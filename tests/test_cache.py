"""The cache of compiled kernels: its limit, its command, and other processes that use it too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep, time

import pytest
from shell import Capture, run

from netdsl.backends import cache
from netdsl.errors import DataError, RunError

HASH = "0123456789abcdef0123"
OLD = "netdsl0.0.9-numba0.61.0-numpy1.26.4-cpython-311"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and its folder of these versions."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "kept"))
    monkeypatch.delenv("NETDSL_CACHE_LIMIT", raising=False)
    monkeypatch.setattr(cache, "_at_work", set())
    (tmp_path / "kept" / cache.folder() / "__pycache__").mkdir(parents=True)
    return tmp_path / "kept" / cache.folder()


def put(folder: Path, name: str, used: float = 0, size: int = 100) -> str:
    """The files of a kernel as Python and Numba leave them; its stem. ``used`` hours ago."""
    stem = f"{name}_{HASH}"
    made = folder / "__pycache__"
    made.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.py", made / f"{stem}.cpython-311.pyc"]
    paths += [made / f"{stem}.k_{name}.{HASH}.o", made / f"{stem}.k_{name}-13.py311.nbi"]
    for path in paths:
        path.write_bytes(bytes(size // len(paths)))
        os.utime(path, (time() - 3600 * used,) * 2)
    return stem


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_the_least_recently_used_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = home.parent / OLD
    put(old, "other_versions", used=50)
    for hours, name in enumerate(("newest", "newer", "read", "used", "oldest")):
        put(home, name, used=10 * hours)
    # To read a text is a use, and so is what this process does with it.
    text = home / f"read_{HASH}.py"
    written = text.stat().st_mtime_ns
    cache.use(home, [f"used_{HASH}", f"not_written_yet_{HASH}"])
    os.utime(text, ns=(int(time() * 1e9), written))
    left = {each.stem.removesuffix(f"_{HASH}") for each in cache.kept()}
    for limit, gone in (
        ("600", set()),
        ("0.55 kB", {"other_versions"}),
        ("350", {"oldest", "newer"}),
        ("0", {"newest", "read"}),
    ):
        monkeypatch.setenv("NETDSL_CACHE_LIMIT", limit)
        cache.trim()
        left -= gone
        assert {each.stem.removesuffix(f"_{HASH}") for each in cache.kept()} == left, limit
    assert left == {"used"}
    assert not old.exists() and len(files(home)) == 4


def test_a_use_is_written_down_and_the_text_stays_as_old(home: Path) -> None:
    stem = put(home, "a", used=5)
    before = (home / f"{stem}.py").stat().st_mtime_ns
    cache.use(home, [stem])
    (found,) = cache.kept()
    assert time() - found.used < 60
    assert (home / f"{stem}.py").stat().st_mtime_ns == before


def test_only_what_netdsl_wrote_is_removed(home: Path, capsys: Capture) -> None:
    root, made = home.parent, home / "__pycache__"
    outside = root.parent / "outside"
    put(outside, "linked")
    put(outside / OLD, "linked")
    (root / OLD.replace("0.0.9", "0.0.8")).symlink_to(outside / OLD)
    (home / f"link_{HASH}.py").symlink_to(outside / f"linked_{HASH}.py")
    strange = [home / "notes.txt", home / "mine.py", made / "mine.cpython-311.pyc"]
    strange += [home / f"a_{HASH}.py.save", root / f"b_{HASH}.py", root / "mine" / f"c_{HASH}.py"]
    strange += [made / f"d_{HASH}.k_d-13.py311.1.nbc.tmp.0123456789abcdef"]  # being written
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    before = files(root.parent)
    put(home, "kernel")
    put(root / OLD, "kernel")
    for path in (
        home / f".kernel_{HASH}.py.a1b2_3d4",
        made / f"kernel_{HASH}.k.1.nbc.tmp.0123",
        made / f"kernel_{HASH}.k_kernel.{HASH}.o.a1b2_3d4",
    ):
        path.write_bytes(bytes(12))
        os.utime(path, (time() - 7200,) * 2)  # left by an accident
    assert run("cache", "--clear") == 0
    assert capsys.readouterr().out == f"removed 11 files, 236 B, from {root}\n"
    assert files(root.parent) == before
    assert not (root / OLD).exists()
    assert run("cache", "--clear") == 0
    assert capsys.readouterr().out == f"nothing is in {root}\n"


# ---- what is told ------------------------------------------------------------------------------


def test_what_the_cache_holds(
    home: Path,
    capsys: Capture,
    golden: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run("cache") == 0
    monkeypatch.setenv("NETDSL_CACHE_LIMIT", "500 MB")
    for name, size in (("a", 5_000_000), ("b", 300_000)):
        put(home, name, size=size)
    put(home.parent / OLD, "a", used=48, size=1000)
    for path in home.parent.rglob("*"):
        os.utime(path, (1_700_000_000 if OLD in str(path) else 1_780_000_000,) * 2)
    monkeypatch.setenv("TZ", "UTC")
    assert run("cache") == 0
    told = capsys.readouterr().out.replace(str(home.parent), "/home/me/.cache/netdsl")
    golden("cache.txt", told.replace(home.name, "netdsl1.2.3-numba0.68.1-numpy2.4.6-cpython-311"))


SIZES = {
    "0": 0, "12": 12, "500 MB": 500_000_000, "1GiB": 2**30, "1.5 gib": 3 * 2**29, "2k": 2000,
    " 3 KB ": 3000, "4 T": 4 * 10**12, "7 B": 7, "": 2**30,
}  # fmt: skip


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CACHE_LIMIT", text)
    assert cache.limit() == SIZES[text]


@pytest.mark.parametrize("text", ["five", "-1", "1 XB", "1e9", "nan", "MB", "1,5 GB", "9" * 400])
def test_what_is_no_size(text: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CACHE_LIMIT", text)
    with pytest.raises(DataError) as caught:
        cache.use(home, [])
    assert caught.value.code == "E421" and len(str(caught.value)) < 250


def test_a_wrong_limit_is_told(
    home: Path,
    capsys: Capture,
    golden: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETDSL_CACHE_LIMIT", "500 megs")
    assert run("cache") == 2
    golden("cache_limit.txt", capsys.readouterr().err)


def test_a_cache_that_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CACHE", __file__)
    with pytest.raises(RunError) as caught:
        cache.kept()
    assert caught.value.code == "E512"


def test_the_command_imports_no_numba() -> None:
    program = (
        "import sys; from netdsl.cli import cli; cli.main(['cache'], standalone_mode=False); "
        "print('numba' in sys.modules)"
    )
    told = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert told.endswith("\nFalse\n")


# ---- processes ---------------------------------------------------------------------------------

NET = "net A {{\n  input x(4)\n  dense(3) -> {}\n}}\ntrain {{ loss = mse\n optimizer = sgd(0.1) }}"
SMALL = [NET.format("tanh"), NET.format("sigmoid")]
TRAIN = """
import sys
import numpy as np
import netdsl
from netdsl.backends.cache import clear, kept, root
for text in sys.argv[2:]:
    net = netdsl.loads(text)
    module = net.module("cpu")
    if sys.argv[1] == "clear":
        clear()
    engine = net.compile("cpu", batch=4, seed=1).engine
    x = np.linspace(-1, 1, 16).reshape(4, 4)
    y = np.zeros((4, engine.TARGET[1][0]))
    print([engine.train_step(x, y) for _ in range(3)])
print({each.stem.split("_")[0] for each in kept()})
"""


def start(mode: str, *texts: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAIN, mode, *texts]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    )


def ended(process: subprocess.Popen[str]) -> list[str]:
    told, mistakes = process.communicate(timeout=300)
    assert process.returncode == 0, mistakes
    return told.splitlines()


@pytest.mark.slow
def test_processes_that_share_a_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *losses, stems = ended(start("plain", *SMALL))
    assert all(f"'{name}'" in stems for name in ("tanh", "sigmoid", "sgd"))
    monkeypatch.setenv("NETDSL_CACHE_LIMIT", "0")
    stems = ended(start("plain", NET.format("gelu")))[-1]
    assert "'gelu'" in stems and "'sgd'" in stems
    assert not any(f"'{name}'" in stems for name in ("tanh", "sigmoid"))
    # Between import and compilation, and at any time.
    assert ended(start("clear", SMALL[0]))[:-1] == losses[:1]
    cache.clear()
    both = [start("plain", *SMALL), start("plain", *reversed(SMALL))]
    while any(process.poll() is None for process in both):
        cache.clear()
        sleep(0.2)
    assert ended(both[0])[:-1] == losses and ended(both[1])[:-1] == losses[::-1]
