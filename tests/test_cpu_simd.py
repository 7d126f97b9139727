"""The words of the CPU's vectors, and its tiles, against numpy: both precisions, all widths."""

from __future__ import annotations

import inspect
import sys
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from netdsl.backends.cpu import machine, simd
from netdsl.backends.cpu.build import build
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import (
    vall,
    vfma,
    vless,
    vload,
    vload_part,
    vmax,
    vmin,
    vmost,
    vspread,
    vsqrt,
    vstore,
    vstore_part,
    vsum,
)
from netdsl.backends.cpu.tile import (
    ROWS,
    packed_1,
    packed_2,
    packed_3,
    packed_4,
    tile_1,
    tile_2,
    tile_3,
    tile_4,
)
from netdsl.backends.override import task
from netdsl.kernel import real

# `NETDSL_LANES` counts numbers of single precision: of the others half as many are a vector.
KINDS = [pytest.param(r, lanes, id=f"{r}x{lanes}") for r in ("f4", "f8") for lanes in (16, 8, 4)]


@cache
def built(body: Any, real: str, lanes: int, checked: bool = False) -> Any:
    """A kernel as a machine with such vectors would have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETDSL_LANES", str(lanes))
        patch.setattr(machine, "CHECKED", checked)
        return build(body, real)


def width(real: str, lanes: int) -> int:
    return lanes if real == "f4" else lanes // 2


# ---- words ---------------------------------------------------------------------------------------


@task()
def words(first, last, scratch, out, x, y, z, part: int):
    a, b, c = vload(x, 1), vload(y, 2), vload(z, 3)
    vstore(out, 0, a)
    vstore_part(out, LANES, b, part)
    vstore(out, 2 * LANES, vload_part(y, 2, part))
    vstore(out, 3 * LANES, vspread(z, 3))
    vstore(out, 4 * LANES, vall(real(-2.5)))
    vstore(out, 5 * LANES, a + b)
    vstore(out, 6 * LANES, a - b)
    vstore(out, 7 * LANES, a * b)
    vstore(out, 8 * LANES, a / b)
    vstore(out, 9 * LANES, vfma(a, b, c))
    vstore(out, 10 * LANES, vless(a, b, c, a))
    vstore(out, 11 * LANES, vmost(a, b, c, a))
    vstore(out, 12 * LANES, vmax(a, b))
    vstore(out, 13 * LANES, vmin(a, b))
    vstore(out, 14 * LANES, vsqrt(a * a))
    vstore(out, 15 * LANES, ((a + c) - a) - c)  # what rounding loses: nothing is cancelled
    out[16 * LANES] = vsum(b)


def by_numpy(a: np.ndarray, b: np.ndarray, c: np.ndarray, part: int, before: float) -> Any:
    """What `words` writes, line by line."""
    few = np.arange(len(a)) < part
    yield a
    yield np.where(few, b, before)
    yield np.where(few, b, 0)
    yield np.full_like(a, c[0])
    yield np.full_like(a, -2.5)
    with np.errstate(invalid="ignore"):
        yield from (a + b, a - b, a * b, a / b)
        yield a.astype(np.longdouble) * b + c
        yield np.where(a < b, c, a)
        yield np.where(a <= b, c, a)
        yield np.where(a > b, a, b)
        yield np.where(a < b, a, b)
        yield np.abs(a)
        yield ((a + c) - a) - c


@pytest.mark.parametrize(("real", "lanes"), KINDS)
def test_words(real: str, lanes: int) -> None:
    wide, rng = width(real, lanes), np.random.default_rng(0)
    for part in range(1, wide + 1):
        x, y, z = rng.uniform(0.5, 2, (3, wide + 3)).astype(real)
        x[1::2] *= -1
        y[2] = x[1]  # what is equal is not less
        if part % 2:
            x[wide] = np.nan
        out = np.full(16 * wide + 1, 7, real)
        built(words, real, lanes)(out=out, x=x, y=y, z=z, part=part)
        a, b, c = x[1 : 1 + wide], y[2 : 2 + wide], z[3 : 3 + wide]
        wanted = np.concatenate([*by_numpy(a, b, c, part, 7), [b.sum()]])
        np.testing.assert_allclose(out, wanted.astype(real), rtol=4 * np.finfo(real).eps)


@pytest.mark.parametrize(("real", "lanes"), KINDS)
def test_a_product_and_a_sum_are_rounded_once(real: str, lanes: int) -> None:
    wide = width(real, lanes)
    small = 2.0 ** -(np.finfo(real).nmant // 2 + 2)
    x, y, z = (np.full(wide + 3, value, real) for value in (1 + small, 1 - small, -1))
    out = np.zeros(16 * wide + 1, real)
    built(words, real, lanes)(out=out, x=x, y=y, z=z, part=1)
    np.testing.assert_array_equal(out[9 * wide : 10 * wide], -small * small)


def test_all_words_are_tested() -> None:
    known = {name for name, value in vars(simd).items() if name[0] == "v" and callable(value)}
    source = inspect.getsource(words)
    assert {name for name in known if f"{name}(" not in source} == set()


# ---- tiles ---------------------------------------------------------------------------------------


# fmt: off
@task(writes=("c",))
def tiles(
    first, last, scratch, c, d, a, b, which: int, c0: int, ci: int, start: int, d0: int,
    cols: int, rows: int, a0: int, ai: int, ak: int, b0: int, bk: int,
    n1: int, a1: int, b1: int, n2: int, a2: int, b2: int, n: int,
):
    if which == 2:
        tile_1(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
               n1, a1, b1, n2, a2, b2, n)
    if which == 3:
        packed_1(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
                 n1, a1, b1, n2, a2, b2, n)
    if which == 4:
        tile_2(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
               n1, a1, b1, n2, a2, b2, n)
    if which == 5:
        packed_2(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
                 n1, a1, b1, n2, a2, b2, n)
    if which == 6:
        tile_3(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
               n1, a1, b1, n2, a2, b2, n)
    if which == 7:
        packed_3(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
                 n1, a1, b1, n2, a2, b2, n)
    if which == 8:
        tile_4(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
               n1, a1, b1, n2, a2, b2, n)
    if which == 9:
        packed_4(c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
                 n1, a1, b1, n2, a2, b2, n)
# fmt: on


@cache
def memory(
    real: str, shape: tuple[int, ...], pad: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers, so that sums are exact, in a larger array of NaN; both as arrays."""
    whole = np.full(np.add(shape, pad), np.nan, real)
    part = whole[tuple(slice(size) for size in shape)]
    part[...] = np.random.default_rng(1).integers(-4, 5, shape)
    return whole, part


def operands(real: str, wide: int, packed: bool, rows: int, cols: int, start: int) -> Any:
    """A product, with numbers between all that is read and written, and what it gives."""
    n1, n2, n = 2, 3, 5
    a_whole, a = memory(real, (rows, n1, n2, n), (1, 1, 1, 2))
    room = -(-cols // wide) * wide - cols if packed else 1
    b_whole, b = memory(real, (n1, n2, n, cols), (1, 1, 1, room))
    d_whole, d = memory(real, (cols,), (1,))
    c_whole, c = memory(real, (rows, cols), (1, 3))
    c_whole = c_whole.copy()
    begin = {0: 0, 1: c, 2: d}[start]
    wanted = c_whole.copy()
    wanted[:rows, :cols] = np.einsum("istk,stkj->ij", a, b) + begin
    size = a_whole.itemsize
    (ai, a1, a2, ak), (b1, b2, bk, _) = (
        [stride // size for stride in array.strides] for array in (a_whole, b_whole)
    )
    numbers = {
        "c0": 0, "ci": cols + 3, "start": start, "d0": 0, "cols": cols, "rows": rows, "a0": 0,
        "ai": ai, "ak": ak, "b0": 0, "bk": bk, "n1": n1, "a1": a1, "b1": b1, "n2": n2, "a2": a2,
        "b2": b2, "n": n,
    }  # fmt: skip
    arrays = {"a": a_whole, "b": b_whole, "c": c_whole, "d": d_whole}
    return {name: array.reshape(-1) for name, array in arrays.items()} | numbers, wanted


@pytest.mark.parametrize(("real", "lanes"), KINDS)
def test_tiles(real: str, lanes: int) -> None:
    wide = width(real, lanes)
    run = built(tiles, real, lanes)
    for vectors, packed, start in product((1, 2, 3, 4), (False, True), (0, 1, 2)):
        for rows in range(1, ROWS[vectors - 1] + 1):
            last = 1 + rows % wide  # every width of the last vector comes, in turn
            cols = (vectors - 1) * wide + last
            given, wanted = operands(real, wide, packed, rows, cols, start)
            run(which=2 * vectors + packed, **given)
            np.testing.assert_array_equal(given["c"].reshape(wanted.shape), wanted)


# ---- indices that are checked --------------------------------------------------------------------


@task()
def touch(first, last, scratch, out, x, word: int, at: int, count: int):
    if word == 0:
        vstore(out, 0, vload(x, at))
    if word == 1:
        vstore(out, at, vall(real(1)))
    if word == 2:
        vstore(out, 0, vload_part(x, at, count))
    if word == 3:
        vstore_part(out, at, vall(real(1)), count)
    if word == 4:
        vstore(out, 0, vspread(x, at))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What kernels raise: nobody can catch it, so Python is told of it as unraisable."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: found.append(what.exc_value))
    return found


@pytest.mark.parametrize(("word", "count"), [(0, 16), (1, 16), (2, 3), (3, 3), (4, 1)])
def test_an_index_outside_of_an_array_is_told(word: int, count: int, told: list[Any]) -> None:
    run, size = built(touch, "f4", 16, checked=True), 20
    out, x = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for at in (0, size - count):
        run(out=out, x=x, word=word, at=at, count=count)
    assert told == []
    out[...] = 0
    for at in (-1, size - count + 1):
        run(out=out, x=x, word=word, at=at, count=count)
        assert [(type(error), str(error)) for error in told] == [
            (IndexError, "outside of an array")
        ]
        told.clear()
    assert not out.any()


# How far apart the last numbers of an array are from the first, in strides of these operands.
REACH = {
    "a": {"ai": 3, "a1": 1, "a2": 2, "ak": 4},
    "b": {"b1": 1, "b2": 2, "bk": 4},
    "c": {"ci": 3},
}


@pytest.mark.parametrize("short", REACH)
def test_a_tile_outside_of_an_array_is_told(short: str, told: list[Any]) -> None:
    run, cols = built(tiles, "f4", 16, checked=True), 21
    given, _ = operands("f4", 16, False, 4, cols, 0)
    last = sum(times * given[stride] for stride, times in REACH[short].items())
    last += 0 if short == "a" else cols - 1
    for missing in (0, 1):
        c = np.full(given["c"].size, 7, np.float32)
        run(which=4, **given | {"c": c} | {short: (given | {"c": c})[short][: last + 1 - missing]})
        assert [type(error) for error in told] == [IndexError] * missing
        assert (c == 7).all() == bool(missing)
