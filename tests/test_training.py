"""What training must get right at its edges: labels as inputs, batches of one, several outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl import cli
from netdsl.compiler import Net, load_source
from netdsl.errors import NetError
from netdsl.runtime.samples import Samples
from netdsl.runtime.trainer import Tally
from netdsl.source import Source


def net(body: str, recipe: str) -> Net:
    train = f"train {{\n  optimizer = sgd(lr=0.05)\n{recipe}\n}}"
    return load_source(Source("net.net", f"net A {{\n{body}\n}}\n{train}\n"))


def test_a_recipe_comes_back_as_it_was() -> None:
    body = "input x(4)\ndense(3)"
    for recipe in ("loss = cross_entropy", "loss = cross_entropy\nschedule = step(at=[2, 30])"):
        first = net(body, recipe)
        again = load_source(Source("again.net", first.resolved()))
        assert again.recipe == first.recipe
        assert again.resolved() == first.resolved()


def test_labels_that_are_an_input_are_checked() -> None:
    body = "input x(4)\ninput labels(1, dtype=int)\n@x -> dense(3) as logits\noutput logits"
    engine = net(body, "loss = cross_entropy(@logits, @labels)").compile("cpu", batch=4).engine
    x = np.ones((4, 4))
    assert np.isfinite(engine.train_step(x, np.array([[0], [1], [2], [2]])))
    for wrong in (3, -1):
        with pytest.raises(ValueError, match="labels must be whole numbers from 0 to 2"):
            engine.train_step(x, np.array([[0], [1], [2], [wrong]]))


def test_a_batch_of_one_spoils_no_statistics() -> None:
    engine = net("input x(4)\nbn -> dense(3)", "loss = cross_entropy").compile("cpu").engine
    before = engine.statistics()
    engine.train_step(np.ones((1, 4)), np.array([1]))
    assert all(np.array_equal(before[name], now) for name, now in engine.statistics().items())


def test_metrics_read_what_the_loss_reads() -> None:
    body = "input x(4)\ndense(5) as features -> dense(3) as logits\noutput features, logits"
    recipe = "loss = cross_entropy(@logits)\nmetrics = [accuracy]"
    found = net(body, recipe)
    engine = found.compile("cpu", batch=8).engine
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 3
    engine.loss(x, y)
    assert found.recipe is not None
    tally = Tally(found.recipe)
    tally.add(0.0, engine, Samples({"x": x}, y))
    right = float(np.mean(engine.forward(x)["logits"].argmax(1) == y))
    assert tally.figures()["accuracy"] == pytest.approx(right)


def test_weights_bring_their_normalisation(tmp_path: Path) -> None:
    recipe = "loss = cross_entropy\nnormalize = per_channel\nepochs = 1"
    model = net("input x(4)\ndense(3)", recipe).compile("cpu")
    x, y = np.random.default_rng(0).normal(5, 3, (20, 4)), np.arange(20) % 3
    model.save(tmp_path / "first")
    first = model.predict(x)
    model.fit(x, y)
    model.save(tmp_path / "later")
    later = model.predict(x)
    model.load(tmp_path / "first")
    np.testing.assert_array_equal(model.predict(x), first)
    model.load(tmp_path / "later")
    np.testing.assert_array_equal(model.predict(x), later)


def test_two_names_for_one_tensor_are_two_outputs() -> None:
    body = "input x(4)\ndense(3) as a -> id as b\noutput a, b"
    made = net(body, "loss = cross_entropy(@a)").compile("cpu").engine.forward(np.ones((2, 4)))
    assert made.keys() == {"a", "b"}
    np.testing.assert_array_equal(made["a"], made["b"])


@pytest.mark.parametrize(("epochs", "batch"), [(0, None), (-1, None), (1, 0)])
def test_counts_below_one(epochs: int, batch: int | None) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        found = net("input x(4)\ndense(3)", "loss = cross_entropy").compile("cpu", batch=batch)
        found.fit(np.ones((2, 4)), np.zeros(2, int), epochs=epochs)


DIGITS = """
net A {
  input image(1x8x8)
  avgpool(4) -> flatten -> dense(12) as logits -> softmax as shares
}
train {
  data      = digits()
  epochs    = 1
  batch     = 256
  optimizer = sgd(lr=0.1)
  loss      = cross_entropy(@logits)
}
"""


def test_more_outputs_than_classes_and_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.net").write_text(DIGITS)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", "a.net"])
    assert "11" in capsys.readouterr().out.split("predicted")[1].splitlines()[1]
    Path("b.net").write_text(DIGITS.replace("dense(12)", "dense(10)"))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", "b.net"])
    capsys.readouterr()
    np.save("x.npy", np.zeros((1, 1, 8, 8), np.float32))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["predict", "runs/a-2", "x.npy"])
    shown = capsys.readouterr().out.split()[2]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["predict", "runs/a-2", "x.npy", "-o", "y.npy"])
    assert float(shown) == pytest.approx(100 * np.load("y.npy").max(), abs=0.05)


def test_a_network_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.net"
    path.write_text(DIGITS)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compile", str(path), "-o", str(path)])
    assert "E413" in capsys.readouterr().err
    assert path.read_text() == DIGITS


def test_a_picture_of_more_bits_is_refused(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    from netdsl.runtime.pictures import read_samples
    from netdsl.tensor import Tensor

    image.fromarray(np.full((4, 4), 3000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(NetError, match="8 bits"):
        read_samples(tmp_path / "deep.png", Tensor((1, 4, 4)))
