"""Commands in this process, as many tests run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl import cli

Capture = pytest.CaptureFixture[str]


def run(*args: str | Path) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(arg) for arg in args])
    assert isinstance(ended.value.code, int)
    return ended.value.code
