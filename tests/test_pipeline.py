"""Batches that a thread prepares: the same as without it, and nothing of it stays behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.errors import RunError
from netdsl.recipe import Recipe
from netdsl.runtime import batches as module
from netdsl.runtime.ahead import ahead
from netdsl.runtime.batches import Batches, normalization, order
from netdsl.runtime.samples import Samples
from netdsl.runtime.trainer import train

COUNT, SIZE = 83, 8


def samples() -> Samples:
    drawn = np.random.default_rng(0)
    inputs = {
        "picture": drawn.integers(0, 256, (COUNT, 3, 5, 4), np.uint8),
        "table": drawn.normal(size=(COUNT, 6)).astype(np.float32),
        "double": drawn.normal(size=(COUNT, 6)),
        "words": drawn.integers(0, 9, (COUNT, 7), np.int32),
    }
    return Samples(inputs, drawn.integers(0, 10, COUNT))


def alone(found: Samples, picked: np.ndarray) -> list[np.ndarray]:
    """The arrays of a batch, each by the formula of the documents."""
    x = {name: array[picked] for name, array in found.inputs.items()}
    normal = {name: normalization(found.inputs[name]) for name in ("picture", "table")}
    picture = x["picture"] / np.float32(255)
    picture = picture - normal["picture"].mean.reshape(-1, 1, 1)
    picture = picture / normal["picture"].std.reshape(-1, 1, 1)
    table = (x["table"] - normal["table"].mean) / normal["table"].std
    assert found.target is not None
    return [picture, table, x["double"].astype(np.float32), x["words"], found.target[picked]]


@pytest.mark.parametrize("together", [1, 4, 100])
def test_the_same_bits_in_the_same_order(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = 4 * (60 + 6 + 6 + 7)
    monkeypatch.setattr(module, "PREPARED", together * SIZE * sample)
    found, kept = samples(), samples()
    normal = {name: normalization(found.inputs[name]) for name in ("picture", "table")}
    batches = Batches(found, SIZE, normal)
    whole = [order(COUNT, 7, epoch) for epoch in (2, 3)]
    for made, rows in (
        (batches.shuffled(7, 2, epochs=2), whole),
        (batches.in_order(), [np.arange(COUNT)]),
    ):
        wanted = [row[i : i + SIZE] for row in rows for i in range(0, COUNT, SIZE)]
        got = [list(batch) for batch in made]
        assert len(got) == len(wanted) == len(rows) * len(batches)
        for arrays, picked in zip(got, wanted, strict=True):
            for array, right in zip(arrays, alone(found, picked), strict=True):
                assert array.dtype == right.dtype
                np.testing.assert_array_equal(array, right)
    for array, before in zip(found, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_no_more_than_two_pieces_are_made_ahead() -> None:
    made, two_ahead, taken = 0, threading.Event(), 0

    def pieces() -> Iterator[list[int]]:
        nonlocal made
        for number in range(20):
            made += 1
            assert made <= taken + 3  # one is in use, two are ahead
            if made == 3:
                two_ahead.set()
            yield [2 * number, 2 * number + 1]

    with closing(ahead(pieces())) as things:
        got = [next(things)]
        assert two_ahead.wait(60)
        for thing in things:
            got.append(thing)
            taken = len(got) // 2
    assert got == list(range(40))


# ---- threads end -------------------------------------------------------------------------------


def left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "netdsl ahead"]


def recipe() -> Recipe:
    text = "net A {\n  input x(6)\n  dense(10)\n}\ntrain {\n  loss = cross_entropy\n"
    made = netdsl.loads(f"{text}  optimizer = sgd(lr=0.1)\n  batch = {SIZE}\n  epochs = 3\n}}\n")
    assert made.recipe is not None
    return made.recipe


class Steps:
    """An engine that only takes steps, and fails at one of them as it is told."""

    seed = step = 0
    batch = SIZE

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.sums: list[float] = []
        self.threaded = False

    def train_step(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        self.threaded |= bool(left())
        if self.failure is not None and len(self.sums) == 5:
            raise self.failure
        self.sums.append(float(x.sum()))
        return 1.0


def trained(engine: Any, inputs: np.ndarray) -> None:
    held = Samples({"x": inputs}, np.zeros(len(inputs), int))
    train(engine, recipe(), held, None, {})


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt(), RunError("E503", "lost")])
def test_the_thread_ends_with_the_training(
    failure: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PREPARED", 1)
    engine = Steps(failure)
    x = np.random.default_rng(0).normal(size=(COUNT, 6)).astype(np.float32)
    if failure is None:
        trained(engine, x)
        assert len(engine.sums) == 3 * -(-COUNT // SIZE)
    else:
        with pytest.raises(type(failure)) as caught:
            trained(engine, x)
        assert caught.value is failure and len(engine.sums) == 5
    assert engine.threaded and not left()


class Torn(np.ndarray):
    """Samples of which some cannot be read, such as those of a file on a broken disk."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray) and 70 in index:
            raise OSError("the disk is broken")
        return super().__getitem__(index)


def test_what_fails_in_the_thread_is_raised_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREPARED", 1)
    engine = Steps()
    with pytest.raises(OSError, match="the disk is broken") as caught:
        trained(engine, np.ones((COUNT, 6), np.float32).view(Torn))
    place = list(order(COUNT, 0, 0)).index(70)
    assert len(engine.sums) == place // SIZE
    assert caught.traceback[-1].name == "__getitem__"
    assert not left()
