"""A row as netdsl does it; ``python side_netdsl.py ROW PATH`` writes the weights it begins with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba  # noqa: F401
import numpy as np
from rows import ROWS, Row
from weights import Weights, write

import netdsl
from netdsl.compiler import vocabulary
from netdsl.runtime import model as _model  # noqa: F401

vocabulary()  # all is imported now, as after import torch: memory is counted from here


def prepare(row: Row, weights: Weights | None, threads: int, variant: str) -> Callable[[], object]:
    """The step of a row. The number of threads is told by NETDSL_THREADS."""
    del threads, variant
    engine = engine_of(row)
    if weights is not None:
        engine.restore(dict(zip(names(engine), [*weights.learnt, *weights.kept], strict=True)))
    x, y = row.data()
    if not row.train:
        return lambda: engine.forward(x)
    return lambda: engine.train_step(x, y, lr=row.rate)


def engine_of(row: Row) -> Any:
    """The compiled network."""
    return netdsl.load(row.file, row.name, **row.params).compile("cpu", batch=row.batch).engine


def names(engine: Any) -> list[str]:
    """Of the weights, then of the running statistics, in their order."""
    return [name for name, *_ in (*engine.WEIGHTS, *engine.STATE)]


def first_weights(row: Row) -> Weights:
    """The weights that netdsl draws; for evaluation, statistics unlike those of the beginning."""
    engine = engine_of(row)
    kept = engine.statistics()
    if not row.train:
        rng = np.random.default_rng(1)
        for name, array in kept.items():
            around = 1.0 if name.endswith("running_var") else 0.0
            kept[name] = (around + rng.uniform(-0.5, 0.5, array.shape)).astype(array.dtype)
    return Weights(list(engine.parameters().values()), list(kept.values()))


if __name__ == "__main__":
    write(sys.argv[2], first_weights(ROWS[sys.argv[1]]))
