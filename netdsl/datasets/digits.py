"""The handwritten digits that scikit-learn bundles."""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from netdsl.data import Data, Dataset, Split
from netdsl.datasets.arrays import Pixels, Share, hold_out, pad_pictures
from netdsl.errors import DataError, Problem

SIZE = 8
BRIGHTEST = 16
CLASSES = tuple("0123456789")


class Digits(Dataset, name="digits"):
    """1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn (Alpaydin, Kaynak 1998).

    ``test`` and ``val`` are held out, every class alike: a count, or a fraction of the whole set;
    the seed decides which pictures. Brightness 0 to 16 becomes ``float32`` from 0 to 1: sixteenths
    are exact there, which they would not be in 255 steps. ``pad`` adds a margin of zeros.
    """

    test: Share = 0.2
    val: Share = 0
    pad: Pixels = 0

    synonyms = {
        "validation": "val", "validation_split": "val", "val_split": "val",
        "test_size": "test", "test_split": "test", "padding": "pad",
    }  # fmt: skip
    examples = (("digits",), ("digits(test=0.25, val=100)",), ("digits(pad=4)",))

    def __post_init__(self) -> None:
        if not self.test:
            raise Problem("must be above 0: the final accuracy is measured on it", argument="test")

    def load(self, seed: int) -> Data:
        x, y = _read(_find())
        whole = Split(pad_pictures(x, self.pad), y)
        rest, test = hold_out(whole, self.test, seed, "test")
        if not self.val:
            return Data(rest, None, test, CLASSES)
        train, val = hold_out(rest, self.val, seed, "val", of=len(whole))
        return Data(train, val, test, CLASSES)


def _find() -> Path:
    # Importing scikit-learn would take a second and 90 MB; its file is all that is wanted.
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "E401",
            "digits are part of scikit-learn, which is not installed",
            help="pip install 'netdsl[data]'",
        )
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Each line of the file: 64 brightnesses, and the digit."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            rows = np.loadtxt(lines, delimiter=",", ndmin=2)
    except FileNotFoundError as error:
        raise DataError(
            "E401",
            f"this scikit-learn has no digits: {path} is missing",
            help="pip install --force-reinstall scikit-learn",
        ) from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError("E403", f"{path} cannot be read: {error}") from error
    x, y = rows[:, :-1], rows[:, -1]
    fits = rows.shape[1] == SIZE * SIZE + 1 and np.isin(y, range(10)).all()
    if not fits or x.min() < 0 or x.max() > BRIGHTEST:
        raise DataError("E403", f"{path} does not hold digits of 8x8 pixels from 0 to 16")
    pictures = (x / BRIGHTEST).astype(np.float32).reshape(-1, 1, SIZE, SIZE)
    return pictures, y.astype(np.int64)
