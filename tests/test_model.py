"""Models at work: equal bits from equal seeds, arrays of all kinds, modules that stand alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import HEAD, SGD, batches, text

from netdsl.compiler import Net, load_source
from netdsl.errors import RunError
from netdsl.runtime.batches import order
from netdsl.runtime.memory import modest_batch
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


def trained_hash(engine: Any) -> str:
    """A hash of all that twenty steps have changed."""
    generator = np.random.default_rng(5)
    for _ in range(20):
        engine.train_step(generator.normal(size=(16, 2, 24, 24)), generator.integers(0, 3, 16))
    digest = sha256()
    for array in engine.snapshot().values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def test_the_number_of_threads_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_THREADS", "5")
    net = load_source(Source("wide.net", WIDE))
    engines = [net.compile("cpu", batch=16, seed=3, threads=n).engine for n in (1, 2, 3, None)]
    assert len({trained_hash(engine) for engine in engines}) == 1
    taken = [p for e in engines for t in e._bound.values() for p in t.programs.values()]
    assert [program.threads for program in taken] == [1, 2, 3, 5]
    assert sum(row[2] >= 5 for row in taken[0].rows) > 10  # calls with work for each of them


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
    (IMAGE, np.eye(3)[LABELS], r"target has the shape \(4, 3\).*wanted: y.argmax\(1\)"),
    (IMAGE, np.eye(4, dtype=int), r"target has the shape \(4, 4\), not \(samples, 1\)$"),
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
    # The last bits may differ: which kernels work, and how they sum, goes by the size of a batch.
    np.testing.assert_allclose(engine.forward(image[:count]), each, rtol=1e-5, atol=1e-6)
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


SIAMESE = """
net Siamese {
  input left(1x6x6)
  input right(1x6x6)
  shared tower = conv(3, 3) -> relu -> flatten -> dense(4) -> relu
  @left -> tower as a
  @right -> tower as b
  concat [@a, @b] -> dense(3) as logits
  output logits
}
"""
# What prediction does not read comes first: the order of the file must show.
GIVEN_LABELS = """
net GivenLabels {
  input labels(1, dtype=int)
  input image(1x6x6)
  flatten -> dense(3) as logits
}
"""
LABELS_LOSS = RECIPE.replace("cross_entropy", "cross_entropy(@logits, @labels)")
DENOISING = """
net Denoising {
  input clean(2x6x6)
  input noise(4, dtype=int)
  input noisy(2x6x6)
  @noise -> embedding(9, 2) -> flatten -> dense(2) as gate
  @noisy -> conv(2, 3)
  mul [id, @gate] as made
}
"""


def short(recipe: str, more: str = "") -> str:
    return recipe.replace("train {", f"train {{ batch = 8\n epochs = 2\n {more}\n")


def pairs(count: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of two kinds and labels."""
    generator = np.random.default_rng(0)
    left = generator.integers(0, 256, (count, 1, 6, 6), np.uint8)
    return left, generator.normal(size=(count, 1, 6, 6)), generator.integers(0, 3, count)


def test_several_inputs_by_name_and_in_order() -> None:
    """Each way is the training that one writes by hand: the same samples stay together."""
    left, right, y = pairs()
    written = HEAD + SIAMESE + short(RECIPE, "metrics = [accuracy]")
    by_hand = model(written).engine
    for epoch in range(2):
        places = order(20, by_hand.seed, epoch)
        for at in (places[:8], places[8:16], places[16:]):
            by_hand.train_step(left[at] / np.float32(255), right[at], y[at])
    expected = by_hand.forward(left / np.float32(255), right)
    for x in ({"right": right, "left": left}, [left, right], (left, right.tolist())):
        one = model(written)
        history = one.fit(x, y, validation=(x, y))
        assert equal(one.engine, by_hand)
        figures = one.evaluate(x, y)
        assert {f"val_{name}": figures[name] for name in figures}.items() <= history[1].items()
        assert figures["accuracy"] == np.mean(expected.argmax(1) == y)
        np.testing.assert_array_equal(one.predict(x), expected)


def test_an_input_that_only_the_loss_reads() -> None:
    _, image, labels = pairs()
    one, listed = (model(HEAD + GIVEN_LABELS + short(LABELS_LOSS)) for _ in range(2))
    assert [name for name, *_ in one.engine.INPUTS] == ["labels", "image"]
    assert one.engine.UNREAD == ("labels",)
    whole = {"image": image, "labels": labels}
    history = one.fit(whole, validation=(whole,))
    assert listed.fit([labels, image], validation=([labels[:, None], image], None)) == history
    assert equal(one.engine, listed.engine)
    assert one.evaluate(whole) == one.evaluate([labels, image]) == {"loss": history[1]["val_loss"]}
    made = one.engine.forward(image)
    for x in (image, [image], {"image": image}, whole):
        np.testing.assert_array_equal(one.predict(x), made)
    likely = np.exp(made) / np.exp(made).sum(1, keepdims=True)
    loss = -np.log(likely[np.arange(20), labels]).mean()
    assert one.engine.loss(labels, image) == pytest.approx(loss, rel=1e-5)
    assert one.engine.loss(labels, image) == pytest.approx(history[1]["val_loss"], rel=1e-6)


def test_an_input_that_only_a_side_head_reads() -> None:
    side = "side @labels -> embedding(3, 3) -> flatten -> dense(3) as aux"
    body = GIVEN_LABELS.replace("flatten", f"{side}\n  @image -> flatten", 1)
    loss = LABELS_LOSS.replace("cross", "0.1 * cross_entropy(@aux, @labels) + cross", 1)
    one = model(HEAD + body + short(loss))
    _, image, labels = pairs()
    one.fit({"image": image, "labels": labels})
    assert one.predict(image).shape == (20, 3)


def test_inputs_are_normalised_each_by_itself(tmp_path: Path) -> None:
    """What only a loss reads, and what counts, stays as it is."""
    generator = np.random.default_rng(0)
    x = {
        "noisy": generator.integers(0, 256, (20, 2, 6, 6), np.uint8),
        "clean": generator.normal(3, 2, (20, 2, 6, 6)),
        "noise": generator.integers(0, 9, (20, 4)),
    }
    loss = RECIPE.replace("cross_entropy", "mse(@made, target=@clean)")
    written = HEAD + DENOISING + short(loss, "normalize = per_channel")
    one, other = model(written), model(written, seed=4)
    one.fit(x)
    noisy = (x["noisy"] / 255).astype(np.float32)
    mean, std = noisy.mean((0, 2, 3), keepdims=True), noisy.std((0, 2, 3), keepdims=True)
    made = one.predict([x["noise"], x["noisy"]])
    expected = one.engine.forward(x["noise"], (noisy - mean) / std)
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)
    assert one.evaluate(x)["loss"] == pytest.approx(np.mean((made - x["clean"]) ** 2), rel=1e-5)
    one.save(tmp_path / "a")
    other.load(tmp_path / "a")
    np.testing.assert_array_equal(other.predict(x), made)
    words = GIVEN_LABELS.replace("image(1x6x6)", "image(6, dtype=int)")
    words = words.replace("flatten", "embedding(9, 2) -> flatten")
    with pytest.raises(ValueError, match="per_channel wants real numbers"):
        both = {"image": x["noise"][:, [0, 1, 2, 3, 0, 1]], "labels": np.zeros(20, int)}
        model(HEAD + words + short(LABELS_LOSS, "normalize = per_channel")).fit(both)


LEFT, RIGHT, Y = pairs(4)
MISFITS = [
    ({"left": LEFT}, Y, "no array for right: this takes left, right"),
    ({"left": LEFT, "Right": RIGHT}, Y, "no input is called Right: this takes left, right"),
    ([LEFT], Y, "the list has the length 1; an array is wanted for each of left, right"),
    ([LEFT, RIGHT, Y], None, "the list has the length 3; an array is wanted for each of left, r"),
    (LEFT, Y, "one array for 2 inputs, left, right: give a dictionary by their names, or a list"),
    ([LEFT, RIGHT[:3]], Y, "different numbers of samples: left 4, right 3, target 4"),
    ([LEFT, RIGHT], Y[:3], "different numbers of samples: left 4, right 4, target 3"),
    ([LEFT, RIGHT[:, :, 1:]], Y, r"right has the shape \(4, 1, 5, 6\), not \(samples, 1, 6, 6\)"),
    ([LEFT, [[1], [2, 3]]], Y, "right is no array, its samples have different lengths"),
    ([LEFT, RIGHT], None, r"y is missing: .* class numbers from 0 to 2 of shape \(samples, 1\)"),
]


@pytest.mark.parametrize(("x", "y", "why"), MISFITS, ids=[why[:30] for *_, why in MISFITS])
def test_inputs_that_do_not_suit(x: Any, y: Any, why: str) -> None:
    one = model(HEAD + SIAMESE + short(RECIPE))
    before = one.engine.snapshot()
    for call in (one.fit, one.evaluate):
        with pytest.raises(ValueError, match=why):
            call(x, y)
    with pytest.raises(ValueError, match=f"validation: {why}"):
        one.fit([LEFT, RIGHT], Y, validation=(x, y))
    assert all(np.array_equal(before[key], a) for key, a in one.engine.snapshot().items())
    if "target" not in why and "missing" not in why:
        with pytest.raises(ValueError, match=why):
            one.predict(x)


def test_what_is_asked_for_where_a_loss_reads_an_input() -> None:
    one = model(HEAD + GIVEN_LABELS + short(LABELS_LOSS))
    for call in (one.fit, one.evaluate):
        with pytest.raises(ValueError, match="no array for labels: this takes labels, image"):
            call({"image": RIGHT})
    with pytest.raises(ValueError, match=r"the list has the length 2; an array .* each of image$"):
        one.predict([Y, RIGHT])
    with pytest.raises(ValueError, match="2 arrays; this network wants 1: image"):
        one.engine.forward(Y, RIGHT)
    with pytest.raises(ValueError, match=r"labels has the shape \(4, 3\).* class numbers are"):
        one.fit({"image": RIGHT, "labels": np.eye(3)[Y]})
    with pytest.raises(ValueError, match="validation is a pair"):
        one.fit([Y, RIGHT], validation=(RIGHT, Y, Y))


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
xs = {
    name: generator.integers(0, 3, 24) if kind == "int" else generator.normal(size=(24, *sizes))
    for name, sizes, kind, _ in model.INPUTS
}
arrays = [*xs.values(), generator.integers(0, 3, 24)][: len(xs) + bool(model.TARGET)]
read = [x[:1] for name, x in xs.items() if name not in model.UNREAD]
assert model.forward(*read).shape == (1, *model.OUTPUTS[0][2])
before = model.loss(*arrays)
for _ in range(30):
    model.train_step(*arrays, lr=0.05)
assert model.loss(*arrays) < before / 2, (before, model.loss(*arrays))
model.save("weights.npz")
other.load("weights.npz")
for one in (model, other):
    for _ in range(3):
        one.train_step(*(array[:7] for array in arrays))
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
        pytest.param(HEAD + SIAMESE + RECIPE, id="two inputs", marks=pytest.mark.slow),
        pytest.param(
            HEAD + GIVEN_LABELS + LABELS_LOSS, id="labels as an input", marks=pytest.mark.slow
        ),
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


def test_what_does_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "net Big {\n  input image(3x1024x1024)\n  conv(64, 3, pad=same) * 9\n}\n"
    net = load_source(Source("big.net", text))
    with pytest.raises(RunError, match=r"E511.*a batch of 100000 needs [\d,.]+ GiB"):
        net.compile("cpu", batch=100_000)
    free = room(net, 5)
    monkeypatch.setattr("netdsl.runtime.memory.available", lambda: free)
    with pytest.raises(RunError, match="E511") as caught:
        net.compile("cpu", batch=100_000)
    help = "a smaller batch: --set train.batch=4, in Python compile(batch=4)"
    assert caught.value.help == help
    monkeypatch.setattr("netdsl.runtime.memory.available", lambda: 1)
    with pytest.raises(RunError, match="a batch of 1 needs") as caught:
        net.compile("cpu")
    assert "batch" not in (caught.value.help or "")


@pytest.mark.parametrize(
    ("free", "batch"), [(None, 64), (10_000, 64), (4 * 40, 32), (4 * 39, 16), (4 * 8, 1), (0, 1)]
)
def test_a_batch_that_nobody_chose(free: int | None, batch: int, monkeypatch) -> None:
    monkeypatch.setattr("netdsl.runtime.memory.available", lambda: free)
    assert modest_batch(lambda size: 8 + size) == batch


def room(net: Net, batch: int) -> int:
    """What is asked before training: the bytes that a batch of so many samples needs."""
    return net.module("cpu").Model.room(batch)


@pytest.mark.parametrize(
    ("written", "batch"),
    [(text("dropout"), 8), (text("residual"), 8), (text("dense"), 64), (WIDE, 64)],
    ids=["dropout", "residual", "dense", "wide"],
)
def test_memory_is_what_the_engine_takes(written: str, batch: int) -> None:
    net = load_source(Source("net.net", written))
    engine = type(net.compile("cpu", batch=1).engine)
    tracemalloc.start()
    try:
        kept = engine(batch=batch)
        taken = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    size = sum(each.size for each in taken.filter_traces([arrays]).statistics("filename"))
    assert size > 0 and kept.batch == batch
    assert room(net, batch) == pytest.approx(size, rel=0.05)
