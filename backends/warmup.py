"""Compile the kernels that no cache holds yet, on all cores: compilation takes one core each.

Run as a program, it compiles the kernels that it is told: ``warmup DIRECTORY STEM …``.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

from netdsl.backends.loader import import_from

FEW = 4
"""So few kernels are sooner compiled than another process is started."""

Report = Callable[[int, int, str], None]


def warm_up(directory: Path, stems: list[str], report: Report | None) -> list[str]:
    """Compile what is missing, in as many processes as there are cores; returns what still is.

    A process that fails leaves its kernels to be compiled later, where the error can be seen.
    """
    missing = uncompiled(directory, stems)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(cores or 1, len(missing) // FEW)
    if workers < 2:
        return missing
    command = [sys.executable, "-P", "-m", "netdsl.backends.warmup", str(directory)]
    running = [
        subprocess.Popen([*command, *share], stderr=subprocess.DEVNULL)
        for share in shares(directory, missing, workers)
    ]
    try:
        while any(process.poll() is None for process in running):
            left = uncompiled(directory, missing)
            if report and left:
                report(len(missing) - len(left), len(missing), left[0].rpartition("_")[0])
            sleep(0.05)
    finally:
        for process in running:
            process.kill()
            process.wait()
    left = uncompiled(directory, missing)
    if report and not left:
        report(len(missing), len(missing), "")
    return left


def uncompiled(directory: Path, stems: list[str]) -> list[str]:
    """The kernels without machine code beside them, by one look at the directory."""
    known = {path.name.partition(".")[0] for path in (directory / "__pycache__").glob("*.o")}
    return [stem for stem in stems if stem not in known]


def shares(directory: Path, stems: list[str], workers: int) -> list[list[str]]:
    """What each process compiles: the longest texts first, each for who has the least so far."""
    size = {stem: size_of(directory / f"{stem}.py") for stem in stems}
    found: list[list[str]] = [[] for _ in range(workers)]
    for stem in sorted(stems, key=lambda stem: -size[stem]):
        min(found, key=lambda share: sum(map(size.__getitem__, share))).append(stem)
    return found


def size_of(path: Path) -> int:
    """The bytes of a file; none if another process has removed it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def main(directory: str, *stems: str) -> None:
    """Compile kernels, each from its file, and what kernels share, so that they are in the cache.

    Nothing is run, so that kernels do not wait for the tiles that they call.
    """
    gc.disable()  # what Numba makes stays in use
    for stem in stems:
        module = vars(import_from(Path(directory), stem))
        if kernel := module.get(f"k_{stem.rpartition('_')[0]}"):
            sys.modules[type(kernel).__module__].promise_tiles()
            kernel.compile()
        else:
            module["compile_shared"]()


if __name__ == "__main__":
    main(*sys.argv[1:])
