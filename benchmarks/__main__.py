"""``python benchmarks speed``: netdsl beside its peers, on the same cores, weights and data.

speed    a training step, or inference, of every row; writes "Speed" in RESULTS.md
compile  ResNet-50's training step compiled from nothing, and started from the cache
memory   the peak memory of training
growth   time and memory of training for three batches and three depths
threads  training on one core and on two
"""

from __future__ import annotations

import argparse

import compile_time
import growth
import memory
import speed
import threads
from rows import SPEED

COMMANDS = {
    "speed": speed.main,
    "compile": compile_time.main,
    "memory": memory.main,
    "growth": growth.main,
    "threads": threads.main,
}


def main() -> None:
    """Read what is wanted, and measure it."""
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--rows", default=",".join(SPEED), help="of speed (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="processes of each side (5)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a process (20)")
    parser.add_argument("--seconds", type=float, default=60, help="or fewer, after so long (60)")
    parser.add_argument("--cores", default="0,1", help="the cores to run on (0,1)")
    options = parser.parse_args()
    options.cores = [int(core) for core in options.cores.split(",")]
    options.rows = options.rows.split(",")
    if unknown := set(options.rows) - set(SPEED):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
