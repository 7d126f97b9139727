"""LeNet-5: the time of a training step, netdsl beside PyTorch (eager), on the same batch.

``python benchmarks/lenet5.py`` prints the table and writes it into RESULTS.md. PyTorch is measured
with its layout as it is and channels_last; the better of the two counts.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from alternate import alternate

HERE = Path(__file__).parent
NET = HERE.parent / "examples" / "lenet5.net"
BATCHES = (64, 128)
WARM, TIMED = 5, 20


def data(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """One batch of noise with random classes, the same for all."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 1, 32, 32), dtype=np.float32)
    return x, rng.integers(0, 10, batch)


def clock(step: Callable[[], object]) -> float:
    """The median milliseconds of a step, after some that are not counted."""
    for _ in range(WARM):
        step()
    times: list[float] = []
    for _ in range(TIMED):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def ours(batch: int) -> float:
    """A step of netdsl: the batch is copied in, the loss comes back."""
    import netdsl

    engine = netdsl.load(NET).compile("cpu", batch=batch).engine
    x, y = data(batch)
    return clock(lambda: engine.train_step(x, y, lr=0.05))


def theirs(batch: int, layout: str) -> float:
    """The same step in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip
    format_ = torch.channels_last if layout == "last" else torch.contiguous_format
    net = net.to(memory_format=format_)
    x, y = data(batch)
    inputs = torch.from_numpy(x).to(memory_format=format_)
    targets = torch.from_numpy(y)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(net(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return clock(step)


def table() -> str:
    """The table of all batches."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        sys.exit("the peer is missing: pip install torch==2.13.0 (make judges)")
    rows = [
        f"netdsl {version('netdsl')}, PyTorch {torch} eager, {len(os.sched_getaffinity(0))} cores, "
        f"{platform.machine()}, float32. Milliseconds a step; a ratio above 1: netdsl is faster.",
        "",
        "| LeNet-5, training step | netdsl | PyTorch | ratio | spread |",
        "|---|---|---|---|---|",
    ]
    for batch in BATCHES:
        pairs = [
            alternate(__file__, ["ours", str(batch)], ["theirs", str(batch), layout])
            for layout in ("first", "last")
        ]
        better = min(pairs, key=lambda pair: statistics.median(pair.ratios))
        rows.append(better.row(f"batch {batch}"))
    return "\n".join(rows)


def main() -> None:
    """Measure one side if told to, else all."""
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(ours(int(sys.argv[2]))))
    elif sys.argv[1:2] == ["theirs"]:
        print(json.dumps(theirs(int(sys.argv[2]), sys.argv[3])))
    else:
        text = table()
        print(text)
        (HERE / "RESULTS.md").write_text(f"# Results\n\nMade by `make bench`.\n\n{text}\n")


if __name__ == "__main__":
    main()
