"""Data sets: what is read is right, what is damaged is refused, what is drawn is drawn alike."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl import idx
from netdsl.arguments import accept
from netdsl.data import Split
from netdsl.datasets import digits
from netdsl.datasets.arrays import Pixels, Share, hold_out
from netdsl.datasets.digits import Digits
from netdsl.datasets.fashion_mnist import FashionMnist
from netdsl.datasets.mnist import STEMS, Mnist
from netdsl.errors import DataError, Problem
from netdsl.op import call_text
from netdsl.random import permutation
from netdsl.runtime.batches import Batches, batch, normalization, order
from netdsl.runtime.samples import Samples

LABELS = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9])


def idx_bytes(*dims: int, content: bytes | None = None, code: int = 8) -> bytes:
    """An IDX file; its elements count up if none are given."""
    head = bytes([0, 0, code, len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
    return head + (
        bytes(i % 256 for i in range(int(np.prod(dims)))) if content is None else content
    )


def write_set(
    place: Path, changes: dict[str, bytes] | None = None, mark: str = "-", zipped: bool = False
) -> None:
    """A whole set of 12 pictures of 3x3, with some of its files changed."""
    place.mkdir(parents=True, exist_ok=True)
    for stem in STEMS:
        images = stem.endswith("images")
        whole = idx_bytes(12, 3, 3) if images else idx_bytes(12, content=LABELS)
        content = (changes or {}).get(stem, whole)
        name = f"{stem}{mark}idx{3 if images else 1}-ubyte"
        if zipped:
            (place / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (place / name).write_bytes(content)


# ---- IDX files ---------------------------------------------------------------------------------

BOMB = idx_bytes(2, 2, content=bytes(50_000_000))

DAMAGED = {
    "empty": (b"", "does not begin as one"),
    "text": (b"<html>404</html>", "does not begin as one"),
    "unknown type": (idx_bytes(2, 2, code=7), "does not begin as one"),
    "floats": (idx_bytes(2, 2, code=0x0D), "32-bit floats, not unsigned bytes"),
    "axes": (idx_bytes(4), "1 axis, not 2"),
    "header cut": (idx_bytes(2, 2)[:9], "header is not complete"),
    "no elements": (idx_bytes(0, 2), "declares no elements"),
    "short": (idx_bytes(2, 2)[:-1], "3 of 4 bytes"),
    "long": (idx_bytes(2, 2) + b"x", "goes on after the 4 bytes"),
    "too large": (
        idx_bytes(2**32 - 1, 2**32 - 1, content=b""),
        "4294967295 x 4294967295 = 18,446,744,065,119,617,025 bytes",
    ),
    "large and not there": (idx_bytes(2**15, 2**16, content=b"abc"), "3 of 2,147,483,648 bytes"),
    "gzip cut": (gzip.compress(idx_bytes(2, 2))[:-9], "gzip data is damaged"),
    "gzip checksum": (gzip.compress(idx_bytes(2, 2))[:-8] + bytes(8), "gzip data is damaged"),
    "gzip bomb": (gzip.compress(BOMB), "goes on after the 4 bytes"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_idx_is_refused(name: str, tmp_path: Path) -> None:
    content, why = DAMAGED[name]
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        idx.read(path, 2)
    assert caught.value.code == "E403"
    assert str(path) in caught.value.message
    assert why in caught.value.message


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_is_read(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(2, 3, 4)))
    read = idx.read(path, 3)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.arange(24).reshape(2, 3, 4))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.sampled_from([b"", b"\0\0\x08\x01", b"\x1f\x8b\x08\0"]))
def test_no_bytes_break_the_reader(tmp_path: Path, tail: bytes, head: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(head + tail)
    try:
        assert idx.read(path, 1).size + 8 == len(head + tail)
    except DataError as error:
        assert error.code == "E403"


# ---- MNIST and its like ------------------------------------------------------------------------


@pytest.mark.parametrize("mark", "-.")
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read_under_all_its_names(mark: str, zipped: bool, tmp_path: Path) -> None:
    write_set(tmp_path, mark=mark, zipped=zipped)
    data = Mnist(str(tmp_path), pad=2, val=3).load(seed=0)
    assert (len(data.train), len(data.val or ()), len(data.test)) == (9, 3, 12)
    assert data.train.x.shape == (9, 1, 7, 7)
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(data.test.x[1, 0, 2:5, 2:5], np.arange(9, 18).reshape(3, 3))
    assert data.test.x.sum() == np.arange(108).sum(), "the margin is zero"
    np.testing.assert_array_equal(data.test.y, list(LABELS))


WRONG = {
    "label": ({"t10k-labels": idx_bytes(12, content=LABELS[:-1] + b"\n")}, "label 10 is not below"),
    "count": ({"train-labels": idx_bytes(11, content=LABELS[:11])}, "11 labels for 12 pictures"),
    "size": ({"t10k-images": idx_bytes(12, 3, 4)}, "pictures are 3x4, those to train on 3x3"),
    "other set": (
        {"train-labels": idx_bytes(12, content=bytes([9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 0]))},
        "the labels of fashion_mnist, not of mnist",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_do_not_fit_together(name: str, tmp_path: Path) -> None:
    changes, why = WRONG[name]
    write_set(tmp_path, changes)
    with pytest.raises(DataError, match=why) as caught:
        Mnist(str(tmp_path)).load(seed=0)
    assert caught.value.code == "E403"


def test_where_mnist_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FashionMnist, "package", ("a-package", str(tmp_path / "package")))

    def height(directory: str | None) -> int:
        return FashionMnist(directory).load(seed=0).train.x.shape[2]

    def fill(place: str, height: int) -> None:
        pictures = idx_bytes(12, height, 3)
        write_set(tmp_path / place, {"train-images": pictures, "t10k-images": pictures})

    monkeypatch.delenv("NETDSL_DATA", raising=False)
    fill("package", 1)
    assert height(None) == 1, "the package serves where nothing is said"
    monkeypatch.setenv("NETDSL_DATA", "all")
    fill("all", 2)
    assert height(None) == 2, "the variable comes before the package"
    fill("all/fashion_mnist", 3)
    assert height(None) == 3, "a directory of the set's name comes first"
    fill("given", 4)
    assert height("given") == 4, "a directory that is given comes before all"
    with pytest.raises(DataError, match="is not to be found"):
        height("other")


def test_a_missing_set_names_all_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NETDSL_DATA", raising=False)
    monkeypatch.setattr(FashionMnist, "package", ("dataset-fashion-mnist", "usr/share/fashion"))
    write_set(tmp_path / "half")
    (tmp_path / "half" / "t10k-labels-idx1-ubyte").unlink()
    (tmp_path / "none").mkdir()
    texts = []
    for directory, variable in ((None, ""), ("half", ""), ("none", ""), (None, "all")):
        monkeypatch.setenv("NETDSL_DATA", variable)
        for kind in (Mnist, FashionMnist):
            with pytest.raises(DataError) as caught:
                kind(directory).load(seed=0)
            texts.append(str(caught.value))
    golden("missing_data.txt", "\n\n".join(texts) + "\n")


@pytest.mark.parametrize("directory", ["\0", "x" * 5000, "/root/" + "y/" * 3000])
def test_an_impossible_directory_is_only_missing(directory: str) -> None:
    with pytest.raises(DataError, match="is not to be found"):
        Mnist(directory).load(seed=0)


@pytest.mark.skipif(
    not os.path.isdir("/usr/share/datasets/fashion-mnist"), reason="dataset-fashion-mnist missing"
)
def test_the_real_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETDSL_DATA", raising=False)
    data = FashionMnist(val=5000).load(seed=1)
    assert (data.train.x.shape, data.test.x.shape) == ((55_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert data.val is not None
    np.testing.assert_array_equal(np.bincount(data.val.y), [500] * 10)
    np.testing.assert_array_equal(np.bincount(data.test.y), [1000] * 10)


# ---- Digits ------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn() -> None:
    bundled = pytest.importorskip("sklearn.datasets").load_digits()
    data = Digits(test=0.2, val=100).load(seed=0)
    assert data.val is not None
    parts = (data.train, data.val, data.test)
    assert [len(part) for part in parts] == [1338, 100, 359]
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in "xy")
    assert (x.dtype, y.dtype) == (np.float32, np.int64)

    def rows(pictures: np.ndarray, classes: np.ndarray) -> list[tuple[float, ...]]:
        return sorted(map(tuple, np.column_stack([pictures.reshape(1797, 64), classes]).tolist()))

    assert rows(x * 16, y) == rows(bundled.images, bundled.target), "nothing lost, nothing twice"
    shares = np.bincount(data.test.y) / np.bincount(y)
    assert np.abs(shares - 0.2).max() < 0.003, "every class gives its share"


def test_digits_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="not installed") as caught:
        Digits().load(seed=0)
    assert (caught.value.code, caught.value.help) == ("E401", "pip install 'netdsl[data]'")
    path = tmp_path / "digits.csv.gz"
    monkeypatch.setattr(digits, "_find", lambda: path)
    row = ",".join(["0"] * 65)
    bad = [b"no gzip", *map(gzip.compress, (b"a,b", b"1,2,3", row.replace("0", "17").encode()))]
    for content, code in [(None, "E401"), *((content, "E403") for content in bad)]:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            Digits().load(seed=0)
        assert caught.value.code == code, content


def test_digits_do_not_import_scikit_learn() -> None:
    program = (
        "import sys; from netdsl.datasets.digits import Digits; Digits().load(0); "
        "print([m for m in ('sklearn', 'scipy', 'numba') if m in sys.modules])"
    )
    pytest.importorskip("sklearn")
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


# ---- Portions and splits -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [(Share, 0, 0), (Share, 5000, 5000), (Share, 0.25, 0.25), (Pixels, 2, 2)],
)
def test_portions_are_accepted(kind: Any, value: object, wanted: object) -> None:
    accepted = accept(kind, value)
    assert (accepted, type(accepted)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Share, value) for value in (1.0, -1, -0.5, True, "all", float("nan"))),
        *((Pixels, value) for value in (129, 10**9, -1, 0.5)),
    ],
)
def test_portions_are_refused(kind: Any, value: object) -> None:
    with pytest.raises(Problem):
        accept(kind, value)


def test_hold_out_is_fair_and_repeatable() -> None:
    y = np.repeat([0, 1, 2], [5, 3, 12])
    split = Split(np.arange(20), y)
    rest, held = hold_out(split, 7, 1, "test")
    # 7 of 20 is 1.75, 1.05 and 4.2: the first is rounded up.
    np.testing.assert_array_equal(np.bincount(held.y), [2, 1, 4])
    assert sorted([*rest.x, *held.x]) == list(range(20))
    np.testing.assert_array_equal(y[held.x], held.y)
    np.testing.assert_array_equal(hold_out(split, 7, 1, "test")[1].x, held.x)
    assert hold_out(split, 7, 2, "test")[1].x.tolist() != held.x.tolist()
    assert hold_out(split, 7, 1, "val")[1].x.tolist() != held.x.tolist()


@pytest.mark.parametrize("share", [20, 21, 0.99, 0.01])
def test_hold_out_leaves_something(share: float) -> None:
    with pytest.raises(DataError) as caught:
        hold_out(Split(np.arange(20), np.arange(20)), share, 0, "val")
    assert caught.value.code == "E407"
    with pytest.raises(Problem, match="above 0"):
        Digits(test=0)


def test_a_directory_is_spelt_as_a_text() -> None:
    assert call_text(Mnist("data/mnist", pad=2)) == 'mnist(directory="data/mnist", pad=2)'


# ---- Batches -----------------------------------------------------------------------------------


def test_the_order_is_the_same_on_every_machine() -> None:
    assert permutation(8, 1, "order", 3).tolist() == [1, 3, 4, 0, 5, 6, 7, 2]
    assert order(8, 1, 3).tolist() == permutation(8, 1, "order", 3).tolist()
    orders = [tuple(order(50, seed, epoch)) for seed in (0, 1, 2**64 - 1) for epoch in range(20)]
    assert len(set(orders)) == len(orders)
    assert all(sorted(each) == list(range(50)) for each in orders)


@pytest.mark.parametrize("stored", [np.uint8, np.float32, np.float64])
def test_batches_cover_the_split(stored: type) -> None:
    x = np.arange(7 * 2 * 3 * 3).reshape(7, 2, 3, 3).astype(stored)[:, :, :, ::-1]
    batches = Batches(Samples({"x": x}, np.arange(7)), 3)
    for parts in (list(batches.in_order()), list(batches.shuffled(seed=0, epoch=1))):
        assert [len(part) for part in parts] == [3, 3, 1]
        assert len(batches) == 3
        assert all(p.dtype == np.float32 and p.flags.c_contiguous for p, _ in parts)
        got = np.concatenate([part for part, _ in parts])
        y = np.concatenate([part for _, part in parts])
        assert sorted(y) == list(range(7))
        divisor = 255 if stored is np.uint8 else 1
        np.testing.assert_array_equal(got, x[y].astype(np.float32) / np.float32(divisor))


def test_normalization_is_that_of_numpy() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 2), np.uint8)
    x[:, 2] = 7
    samples = Samples({"x": x})
    normal = normalization(x)
    real = x / 255
    np.testing.assert_allclose(normal.mean, real.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(normal.std[:2], real.std((0, 2, 3))[:2], rtol=1e-6)
    assert normal.std[2] == 1
    got = np.concatenate([part for (part,) in Batches(samples, 999, {"x": normal}).in_order()])
    np.testing.assert_allclose(got.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(got.std((0, 2, 3)), [1, 1, 0], atol=1e-5)
    (first,) = batch(samples, np.arange(3))
    assert first.max() > 0.9, "the samples themselves stay as they were"
