"""A network that was compiled is found again, and only if nothing that decides it differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.backends import emit, known, loader
from netdsl.compiler import Net, load, loads

TEXT = """
net Small(width=3) { input x(4)
  dense(width) -> relu -> dense(2) }
train { loss = cross_entropy
  optimizer = sgd(lr=0.1) }
"""


@pytest.fixture
def emitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were emitted, with a cache of its own."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    names: list[str] = []
    real = emit.emit_cached

    def told(*given: object) -> emit.Emitted:
        names.append(str(given[2]))
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(emit, "emit_cached", told)
    return names


def stem(net: Net) -> str:
    return net.module("cpu").__name__


def test_what_was_compiled_is_not_emitted_again(emitted: list[str]) -> None:
    first = stem(loads(TEXT))
    assert stem(loads(TEXT)) == first
    assert emitted == ["Small"]
    assert stem(loads(TEXT, width=5)) != first
    assert stem(loads(TEXT.replace("relu", "tanh"))) != first
    assert len(emitted) == 3


CHILD = """
import sys
from netdsl.compiler import loads
print(loads(sys.argv[1]).module("cpu").__name__)
"""


def test_it_is_emitted_anew_if_a_file_of_it_is_gone(emitted: list[str]) -> None:
    module = loads(TEXT).module("cpu")
    for lost in known.stems(module)[::4]:
        file = loader.cache_directory() / f"{lost}.py"
        file.unlink()
        # Another process, for what this one has imported stays as it is.
        command = [sys.executable, "-c", CHILD, TEXT]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.strip() == module.__name__, done.stderr
        assert file.exists()


def test_an_imported_file_decides_too(emitted: list[str], tmp_path: Path) -> None:
    part, main = tmp_path / "part.net", tmp_path / "main.net"
    main.write_text('import head from "part.net"\nnet A { input x(4)\n  head }\n')
    found = set[str]()
    for width in (3, 4):
        part.write_text(f"block head {{ dense({width}) }}\n")
        found.add(stem(load(main)))
    assert len(found) == len(emitted) == 2


def test_the_processor_and_what_was_asked_decide(
    emitted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stem(loads(TEXT))
    monkeypatch.setattr(known.binding, "get_host_cpu_name", lambda: "another")
    stem(loads(TEXT))
    monkeypatch.setenv("NETDSL_CHECKED", "1")
    stem(loads(TEXT))
    assert len(emitted) == 3
