"""The weights that all sides begin with: a file of arrays in the order of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weights:
    """What training learns, and the running statistics, both laid out as PyTorch does."""

    learnt: list[np.ndarray]
    kept: list[np.ndarray]


def write(path: str, weights: Weights) -> None:
    """Write them as ``.npz``."""
    named = {f"learnt{number}": array for number, array in enumerate(weights.learnt)}
    named |= {f"kept{number}": array for number, array in enumerate(weights.kept)}
    np.savez(path, **named)


def read(path: str) -> Weights:
    """Read them; a zip file keeps the order."""
    with np.load(path) as arrays:
        learnt = [arrays[name] for name in arrays if name.startswith("learnt")]
        return Weights(learnt, [arrays[name] for name in arrays if name.startswith("kept")])
