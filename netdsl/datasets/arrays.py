"""What data sets of arrays share: portions, fair splits, padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from netdsl.arguments import Number, Whole, spell
from netdsl.data import Split
from netdsl.errors import DataError, Problem
from netdsl.random import permutation


@dataclass(frozen=True)
class Portion:
    """A part of a set: a whole number of samples, or a fraction below 1."""

    def accept(self, value: object) -> int | float:
        if isinstance(value, float):
            return Number(0.0, 1.0, open_above=True).accept(value)
        return Whole(0).accept(value)


@dataclass(frozen=True)
class Margin:
    """A margin of zeros around pictures, in pixels."""

    most: int = 128

    def accept(self, value: object) -> int:
        pixels = Whole(0).accept(value)
        if pixels > self.most:
            raise Problem(f"must be at most {self.most}, not {pixels}")
        return pixels


Share = Annotated[int | float, Portion()]
Pixels = Annotated[int, Margin()]


def hold_out(
    split: Split, share: int | float, seed: int, purpose: str, of: int = 0
) -> tuple[Split, Split]:
    """What remains and what is held out: every class gives its share, drawn at random.

    A fraction is of ``of`` samples if that is given, else of the split. The counts of the classes
    are rounded so that they add up (the largest remainders go up, of equal ones the first). Both
    parts keep the order of the whole. ``purpose`` is the parameter's name.
    """
    count = share if isinstance(share, int) else round(share * (of or len(split)))
    if not 0 < count < len(split):
        left = "nothing is left to train on" if count else "that is less than one"
        raise DataError("E407", f"{purpose}={spell(share)} of {len(split):,} samples: {left}")
    held = _choose(split.y, count, seed, purpose)
    return Split(split.x[~held], split.y[~held]), Split(split.x[held], split.y[held])


def _choose(classes: np.ndarray, count: int, seed: int, purpose: str) -> np.ndarray:
    sizes = np.bincount(classes)
    quota, remainder = np.divmod(sizes * count, len(classes))
    up = np.argsort(-remainder, kind="stable")[: count - quota.sum()]
    quota[up] += 1
    shuffled = permutation(len(classes), seed, purpose)
    held = np.zeros(len(classes), bool)
    for each, wanted in enumerate(quota):
        held[shuffled[classes[shuffled] == each][:wanted]] = True
    return held


def pad_pictures(x: np.ndarray, pixels: int) -> np.ndarray:
    """Pictures with a margin of zeros on all four sides: 28x28 becomes 32x32 with 2."""
    return np.pad(x, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))) if pixels else x
