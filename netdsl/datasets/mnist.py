"""MNIST, and what other sets in its files share with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from netdsl import idx
from netdsl.data import Data, Dataset, Split
from netdsl.datasets.arrays import Pixels, Share, hold_out, pad_pictures
from netdsl.errors import DataError

VARIABLE = "NETDSL_DATA"
STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")

BEGINNINGS = {
    "mnist": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    "fashion_mnist": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
}
"""The first labels to train on. The files of these sets have equal names: this tells them apart."""


class Mnist(Dataset, name="mnist"):
    """70,000 handwritten digits of 28x28 pixels, 10,000 of them for the test (LeCun et al. 1998).

    Reads the four IDX files, gzipped or not, from ``directory``; if none is given, from the
    directory that ``$NETDSL_DATA`` names; in either, a directory with the name of the set comes
    first. ``val`` is held out of the training pictures, every class alike: a count, or a fraction;
    the seed decides which. ``pad`` adds a margin of zeros: 2 makes them 32x32.
    """

    directory: str | None = None
    pad: Pixels = 0
    val: Share = 0

    package: ClassVar[tuple[str, str] | None] = None
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    origin: ClassVar[str] = "the four .gz files of https://ossci-datasets.s3.amazonaws.com/mnist"
    synonyms = {
        "validation": "val", "validation_split": "val", "val_split": "val",
        "root": "directory", "path": "directory", "padding": "pad",
    }  # fmt: skip
    examples = (("mnist",), ('mnist("data/mnist", pad=2, val=5000)',))

    def load(self, seed: int) -> Data:
        files = self._find()
        train = self._split(files["train-images"], files["train-labels"])
        test = self._split(files["t10k-images"], files["t10k-labels"])
        if train.x.shape[1:] != test.x.shape[1:]:
            sizes = ["x".join(map(str, split.x.shape[2:])) for split in (test, train)]
            raise idx.damaged(
                files["t10k-images"], f"its pictures are {sizes[0]}, those to train on {sizes[1]}"
            )
        self._check_identity(files["train-labels"], train.y)
        train, val = hold_out(train, self.val, seed, "val") if self.val else (train, None)
        return Data(train, val, test, self.classes)

    def _split(self, images: Path, labels: Path) -> Split:
        x, y = idx.read(images, 3), idx.read(labels, 1)
        if len(x) != len(y):
            raise idx.damaged(labels, f"it has {len(y):,} labels for {len(x):,} pictures")
        if y.max() >= len(self.classes):
            raise idx.damaged(labels, f"label {y.max()} is not below {len(self.classes)}")
        return Split(pad_pictures(x[:, None], self.pad), y.astype(np.int64))

    def _check_identity(self, path: Path, y: np.ndarray) -> None:
        first = tuple(y[:10].tolist())
        for name, beginning in BEGINNINGS.items():
            if name != self.name and first == beginning:
                raise DataError(
                    "E403",
                    f"{path}: these are the labels of {name}, not of {self.name}",
                    help=f"write {name}, or name the directory that has {self.name}",
                )

    def _find(self) -> dict[str, Path]:
        looked: list[str] = []
        for place in self._places():
            found = {stem: path for stem in STEMS if (path := _file(place, stem))}
            if len(found) == len(STEMS):
                return found
            looked.append(f"  {place}: {_reason(place, found)}")
        if not self.directory and not os.environ.get(VARIABLE):
            looked.append(f"  ${VARIABLE}: not set")
        raise DataError(
            "E402",
            "\n".join([f"{self.name} is not to be found; looked in", *looked]),
            help=self._help(),
        )

    def _places(self) -> tuple[Path, ...]:
        given = self.directory or os.environ.get(VARIABLE)
        roots = [Path(os.path.expanduser(given))] if given else []
        own = [place for root in roots for place in (root / self.name, root)]
        # A directory that was asked for is the only place: no other set may take its part.
        shared = [Path(self.package[1])] if self.package and not self.directory else []
        return (*own, *shared)

    def _help(self) -> str:
        package = f"apt-get install {self.package[0]}, or " if self.package else ""
        return (
            f"{package}put {self.origin} into a directory and name it: "
            f'{self.name}("directory"), or in ${VARIABLE}'
        )


def _file(place: Path, stem: str) -> Path | None:
    axes = 3 if stem.endswith("images") else 1
    names = (f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz"))
    return next((place / name for name in names if os.path.isfile(place / name)), None)


def _reason(place: Path, found: dict[str, Path]) -> str:
    if found:
        return f"no {', '.join(stem for stem in STEMS if stem not in found)}"
    return "none of its files" if os.path.isdir(place) else "no such directory"
