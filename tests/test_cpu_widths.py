"""The tests of the CPU's kernels once more, in processes with every index checked.

On machines with wide vectors that also shows what those with narrow ones get.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted({path.name for path in HERE.glob("test_cpu_*.py")} - {Path(__file__).name})
NOTHING = 5  # the exit status of pytest where no test was asked for


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "which"), [("8", "not slow"), ("4", "not slow"), ("", "slow")])
@pytest.mark.parametrize("file", FILES)
def test_checked_indices(file: str, lanes: str, which: str) -> None:
    told = {"NETDSL_CHECKED": "1", **({"NETDSL_LANES": lanes} if lanes else {})}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", which, file]
    done = subprocess.run(
        command, cwd=HERE, env=os.environ | told, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, NOTHING if which == "slow" else 0), done.stdout[-4000:]
