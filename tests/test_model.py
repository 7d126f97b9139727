"""Models at work: equal bits from equal seeds, arrays of all kinds, modules that stand alone."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import HEAD, SGD, batches, text

from netdsl.compiler import load_source
from netdsl.errors import RunError
from netdsl.runtime.model import Model
from netdsl.source import Source


def model(written: str, batch: int | None = 8, seed: int = 3) -> Model:
    return load_source(Source("some.net", written)).compile("cpu", batch=batch, seed=seed)


def dropout(seed: int = 3) -> Any:
    return model(text("dropout"), seed=seed).engine


def equal(one: Any, other: Any) -> bool:
    a, b = one.snapshot(), other.snapshot()
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


# ---- The same bits -----------------------------------------------------------------------------

WIDE = text("dropout").replace("2x6x6", "2x24x24").replace("conv(4,", "conv(40,")
HASH = """
import sys
sys.path.insert(0, sys.argv[1])
import test_model
print(test_model.trained_hash())
"""


def trained_hash() -> str:
    """A hash of all that twenty steps have changed, in a network wide enough for many threads."""
    engine = model(WIDE, batch=16).engine
    generator = np.random.default_rng(5)
    for _ in range(20):
        engine.train_step(generator.normal(size=(16, 2, 24, 24)), generator.integers(0, 3, 16))
    digest = sha256()
    for array in engine.snapshot().values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def test_the_number_of_threads_never_shows() -> None:
    source = load_source(Source("wide.net", WIDE)).source("cpu")
    assert source.count("prange(") > 10
    found = set()
    for threads in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", HASH, str(Path(__file__).parent)],
            env={**os.environ, "NUMBA_NUM_THREADS": threads}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert found == {trained_hash() + "\n"}


def test_a_seed_is_a_training() -> None:
    one, same, other = dropout(), dropout(), dropout(seed=4)
    for arrays in batches("dropout"):
        assert one.train_step(*arrays) == same.train_step(*arrays) != other.train_step(*arrays)
    assert equal(one, same) and not equal(one, other)
    one.reset(4)
    assert equal(one, dropout(seed=4))
    for seed in (-1, 2**63, "1"):
        with pytest.raises((ValueError, TypeError)):
            one.reset(seed)


@pytest.mark.parametrize("optimizer", [SGD, "adam(lr=0.01)"])
def test_a_resumed_training_is_the_uninterrupted_one(optimizer: str, tmp_path: Path) -> None:
    written = text("dropout", optimizer)
    straight, resumed, elsewhere = (model(written), model(written, seed=9), model(written, seed=8))
    steps = batches("dropout")
    for arrays in steps[:9]:
        straight.engine.train_step(*arrays)
    straight.save(tmp_path / "a.safetensors", {"epoch": "1"})
    straight.engine.save(tmp_path / "a.npz")
    assert resumed.load(tmp_path / "a.safetensors") == {"epoch": "1"}
    elsewhere.engine.load(tmp_path / "a.npz")
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "a.safetensors"]
    for arrays in steps[9:]:
        loss = straight.engine.train_step(*arrays)
        assert resumed.engine.train_step(*arrays) == elsewhere.engine.train_step(*arrays) == loss
    assert equal(straight.engine, resumed.engine) and equal(straight.engine, elsewhere.engine)


def test_restoring() -> None:
    engine = dropout()
    for arrays in batches("dropout", 3):
        engine.train_step(*arrays)
    whole = engine.snapshot()
    wrong = whole["logits.weight"][:2]
    for arrays, why in [
        ({k: v for k, v in whole.items() if k != "bn1.running_var"}, "no bn1.running_var"),
        ({**whole, "logits.weight": wrong}, r"logits.weight has the sizes \(2, 8\), not \(3, 8\)"),
        ({**whole, "optimizer/velocity/logits.weight": wrong}, "velocity/logits.weight has"),
        ({**whole, "conv9.weight": wrong}, "conv9.weight is not of this network"),
    ]:
        changed = {key: array + 1 for key, array in arrays.items()}
        with pytest.raises(ValueError, match=why):
            engine.restore(changed)
        assert all(np.array_equal(array, whole[key]) for key, array in engine.snapshot().items())
    # Weights and statistics alone: the optimizer begins anew.
    engine.restore({key: array for key, array in whole.items() if "/" not in key})
    fresh = engine.snapshot()
    assert fresh["training/step"] == 0 and not fresh["optimizer/velocity/logits.weight"].any()
    engine.restore(whole)
    assert all(np.array_equal(array, whole[key]) for key, array in engine.snapshot().items())


def test_a_file_of_another_network(tmp_path: Path) -> None:
    model(text("residual")).save(tmp_path / "a")
    with pytest.raises(RunError, match="does not fit this network"):
        model(text("dropout")).load(tmp_path / "a")


# ---- Arrays ------------------------------------------------------------------------------------

IMAGE = np.zeros((4, 2, 6, 6), np.float32)
LABELS = np.array([0, 1, 2, 0])
REFUSED = [
    (IMAGE[:, :1], LABELS, r"image has the shape \(4, 1, 6, 6\), not \(samples, 2, 6, 6\)"),
    (IMAGE.transpose(0, 2, 3, 1), LABELS, "image has the shape"),
    (IMAGE.reshape(4, -1), LABELS, "image has the shape"),
    (IMAGE[0], LABELS, "image has the shape"),
    (np.float32(1), LABELS, "image has the shape"),
    (IMAGE[:0], LABELS[:0], "image has no samples"),
    (IMAGE.astype(str), LABELS, "image must be numbers"),
    (IMAGE.astype(complex), LABELS, "image must be numbers"),
    (IMAGE, LABELS[:3], "different numbers of samples: image 4, target 3"),
    (IMAGE, LABELS + 1, "target must be whole numbers from 0 to 2"),
    (IMAGE, LABELS - 1, "target must be whole numbers from 0 to 2"),
    (IMAGE, LABELS.astype(np.uint64) + np.uint64(2**63), "target must be whole numbers"),
    (IMAGE, LABELS.astype(float), "target must be whole numbers, not float64"),
    (IMAGE, np.eye(4, 3, dtype=int), "target has the shape"),
]


@pytest.mark.parametrize(("x", "y", "why"), REFUSED, ids=lambda value: str(value)[:20])
def test_arrays_that_do_not_suit(x: np.ndarray, y: np.ndarray, why: str) -> None:
    one = model(text("dropout", more="batch = 8\n  epochs = 1"))
    before = one.engine.snapshot()
    for call in (one.engine.train_step, one.engine.loss, one.fit, one.evaluate):
        with pytest.raises(ValueError, match=why):
            call(x, y)
    after = one.engine.snapshot()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    if "image" in why and "target" not in why:
        for predict in (one.engine.forward, one.predict):
            with pytest.raises(ValueError, match=why):
                predict(x)


def test_arrays_that_suit() -> None:
    one = model(text("dropout", more="batch = 8\n  epochs = 2\n  metrics = [accuracy]"))
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (20, 2, 6, 6), np.uint8)
    labels = generator.integers(0, 3, (20, 1), np.int8)
    history = one.fit(pictures, labels, validation=(pictures, labels[:, 0]))
    assert [list(figures) for figures in history] == [
        ["loss", "accuracy", "val_loss", "val_accuracy"]
    ] * 2
    made = one.predict(pictures)
    assert made.shape == (20, 3) and made.dtype == np.float32
    wide = (pictures / np.float32(255)).astype(np.float64)
    for same in (wide, np.asfortranarray(wide), wide.tolist(), wide[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(one.engine.forward(same), made)
    figures = one.evaluate(pictures, labels)
    assert figures["accuracy"] == np.mean(made.argmax(1) == labels[:, 0])
    assert figures == one.evaluate(list(pictures), labels.tolist())
    with pytest.raises(ValueError, match="recipe's batch is 8; this model takes 4"):
        model(text("dropout", more="batch = 8"), batch=4).fit(pictures, labels)


@pytest.mark.parametrize("count", [1, 5, 8, 9, 30])
def test_any_number_of_samples(count: int) -> None:
    engine = dropout()
    image = np.random.default_rng(1).normal(size=(30, 2, 6, 6))
    labels = np.arange(30) % 3
    each = np.concatenate([engine.forward(image[i : i + 1]) for i in range(count)])
    np.testing.assert_array_equal(engine.forward(image[:count]), each)
    losses = [engine.loss(image[i : i + 1], labels[i : i + 1]) for i in range(count)]
    assert engine.loss(image[:count], labels[:count]) == pytest.approx(np.mean(losses), rel=1e-6)
    if count > 8:
        with pytest.raises(ValueError, match=f"{count} samples.*batch=8"):
            engine.train_step(image[:count], labels[:count])
    else:
        assert np.isfinite(engine.train_step(image[:count], labels[:count]))
    for batch, error in [(0, ValueError), (2.5, TypeError)]:
        with pytest.raises(error):
            type(engine)(batch=batch)


TWO = """
net Two {
  input a(8)
  input b(8)
  concat [@a, @b] -> dense(3) as made
}
"""
RECIPE = f"train {{ loss = cross_entropy\n optimizer = {SGD} }}"


def test_two_inputs() -> None:
    one = model(HEAD + TWO + RECIPE)
    a, b = np.random.default_rng(0).normal(size=(2, 6, 8))
    weights = one.parameters
    expected = np.concatenate([a, b], 1) @ weights["made.weight"].T + weights["made.bias"]
    np.testing.assert_allclose(one.engine.forward(a, b), expected, rtol=1e-4, atol=1e-5)
    losses = [one.engine.train_step(a, b, [0, 1, 2, 0, 1, 2]) for _ in range(20)]
    assert losses[-1] < losses[0] / 2
    with pytest.raises(ValueError, match="1 arrays; this network wants 2: a, b"):
        one.engine.forward(a)
    with pytest.raises(ValueError, match="take one input, this network has a, b"):
        one.predict(a)


def test_without_targets() -> None:
    one = model(text("autoencoder", more="batch = 8\n  epochs = 3"))
    image = np.random.default_rng(0).random((20, 2, 6, 6))
    losses = [figures["loss"] for figures in one.fit(image)]
    assert losses[2] < losses[0]
    made = one.predict(image)
    assert one.evaluate(image)["loss"] == pytest.approx(np.mean((made - image) ** 2), rel=1e-5)


def test_an_output_in_another_shape() -> None:
    """A flattened output is flat, and has the name that the file gives it."""
    end = "conv(3, 3) as picture -> flatten as vector\n  output picture, vector"
    made = model(HEAD + f"net A {{\n  input image(2x6x6)\n  {end}\n}}").engine.forward(IMAGE)
    assert {name: array.shape for name, array in made.items()} == {
        "picture": (4, 3, 6, 6),
        "vector": (4, 108),
    }


def test_without_a_recipe() -> None:
    one = model(HEAD + TWO)
    for call in (one.engine.train_step, one.engine.loss):
        with pytest.raises(RuntimeError, match="no train section"):
            call(np.zeros((1, 8)), np.zeros((1, 8)), [0])
    with pytest.raises(RunError):
        one.fit(np.zeros((1, 8)), [0])


# ---- Modules that stand alone ------------------------------------------------------------------

TINY = """
net Tiny {
  input x(8)
  dense(8) -> relu -> dropout(0.2) -> dense(3)
}
"""
ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("netdsl", "lark", "networkx", "click", "rich", "safetensors"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
import numpy as np
from alone import Model

model, other = Model(seed=0, batch=32), Model(seed=1, batch=64)
generator = np.random.default_rng(0)
x = generator.normal(size=(24, *model.INPUTS[0][1]))
y = generator.integers(0, 3, 24)
assert model.forward(x[:1]).shape == (1, *model.OUTPUTS[0][2])
before = model.loss(x, y)
for _ in range(30):
    model.train_step(x, y, lr=0.05)
assert model.loss(x, y) < before / 2, (before, model.loss(x, y))
model.save("weights.npz")
other.load("weights.npz")
for one in (model, other):
    for _ in range(3):
        one.train_step(x[:7], y[:7])
a, b = model.snapshot(), other.snapshot()
assert a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)
assert not [name for name in sys.modules if name.startswith("netdsl")]
print("well")
"""
LENET = (Path(__file__).parents[1] / "examples" / "lenet5.net").read_text()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(HEAD + TINY + RECIPE, id="tiny"),
        pytest.param(LENET, id="lenet5", marks=pytest.mark.slow),
    ],
)
def test_a_module_alone(written: str, tmp_path: Path) -> None:
    """It runs where netdsl and its libraries are not to be found."""
    (tmp_path / "alone.py").write_text(load_source(Source("alone.net", written)).source("cpu"))
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
    assert set(os.listdir(tmp_path)) == {"alone.py", "__pycache__", "weights.npz"}


def test_what_does_not_fit_is_not_begun() -> None:
    text = "net Big {\n  input image(3x1024x1024)\n  conv(64, 3, pad=same) * 9\n}\n"
    net = load_source(Source("big.net", text))
    with pytest.raises(RunError, match=r"E511.*a batch of 100000 needs [\d,.]+ GiB"):
        net.compile("cpu", batch=100_000)


def test_memory_is_what_the_engine_takes() -> None:
    net = load_source(Source("net.net", text("dropout")))
    engine = net.compile("cpu", batch=8).engine
    arrays = [*engine._values.values(), *engine._flat.values(), *engine._state.values()]
    taken = sum(array.nbytes for array in arrays)
    assert net.schedule().memory(8) == pytest.approx(taken, rel=0.001)
