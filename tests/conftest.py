"""Fixtures that all tests share, and what happens to tests whose judge or machine is missing.

A judge is a library that some tests compare with and netdsl does not need. Such a test begins with
``pytest.importorskip``, so it is left out where the judge is not installed, and the end of the run
tells how many were. With ``REQUIRE_JUDGES=1`` a missing judge is an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

# Kernels are compiled once, then found here by every later run, and by processes of their own.
os.environ.setdefault("NETDSL_CACHE", str(Path(__file__).parent.parent / ".netdsl_cache"))

# Several tests run at a time, so each has one thread; those about threads say how many.
os.environ.setdefault("NETDSL_THREADS", "1")

GOLDEN = Path(__file__).parent / "golden"
JUDGES = ("torch", "onnx")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write goldens anew")


def pytest_configure() -> None:
    missing = [name for name in JUDGES if find_spec(name) is None]
    missing += [] if shutil.which("dot") else ["dot (of graphviz)"]
    if missing and os.environ.get("REQUIRE_JUDGES") == "1":
        raise pytest.UsageError(f"REQUIRE_JUDGES=1, and these are missing: {', '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("cuda")]
    if wanting and not _has_gpu():
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason="no GPU"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for name in JUDGES:
        count = sum(f"'{name}'" in reason for reason in reasons)
        if count:
            terminalreporter.write_line(
                f"left out, since the judge {name} is not installed: {count} (make judges)"
            )


def _has_gpu() -> bool:
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden("lenet5.txt", text)``: the text equals the file of that name in tests/golden."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no golden {name}; make it with --update-golden"
        assert text == path.read_text(), f"{name} changed; if rightly so, --update-golden"

    return check
