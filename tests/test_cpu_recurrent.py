"""Recurrent layers and embeddings on the CPU against PyTorch and against their generic kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cpu_kernels import run
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cpu import CPU, recurrent_plan
from netdsl.backends.cpu.embedding import embedding_chain, embedding_forward, embedding_weight
from netdsl.backends.cpu.recurrent_parts import recurrent_pack
from netdsl.backends.cpu.recurrent_plan import packed_size
from netdsl.backends.cpu.recurrent_rnn import rnn_backward
from netdsl.backends.emit import emit_cached
from netdsl.backends.loader import load
from netdsl.compiler import load_source
from netdsl.schedule import Schedule
from netdsl.source import Source
from netdsl.target import Target

GENERIC = replace(CPU, lower=lambda schedule, real: schedule)
TRAIN = "train {\n  optimizer = sgd(lr=0.1)\n  loss = cross_entropy\n}\n"
SIZES = st.integers(1, 20) | st.sampled_from([31, 32, 33, 48, 50])
# What stands around recurrent layers: gradients that add up, parts of a larger tensor, weights
# that several layers share, words, pictures in both orders of their axes.
NETWORKS = {
    "joins": """
  input x(20x9)
  shared cell = lstm(6, returns=all)
  concat [ lstm(17, returns=all), lstm(10, returns=all, reverse=true), id ] -> rnn(6, returns=all)
  cell -> add [ cell, id ] -> add [ rnn(6, returns=all), id ]
  concat [ gru(8, reverse=true), rnn(5, activation=relu) ] -> dense(3)
""",
    "words": """
  input x(11, dtype=int)
  embedding(7, 12, pad=0) -> gru(5, returns=all, reverse=true)
  concat [ lstm(5, reverse=true), lstm(4) ] -> dense(3)
""",
    "picture": """
  input x(3x8x6)
  conv(17, 3, pad=1) -> relu -> sequence -> gru(9, returns=all) -> lstm(4) -> dense(3)
""",
    "across": """
  input x(1x8x6)
  conv(4, 3, pad=1) -> relu -> maxpool(2) -> sequence -> gru(9, returns=all) -> rnn(4) -> dense(3)
""",
}


def schedule_of(body: str) -> Schedule:
    return load_source(Source("a.net", f"net A {{{body}}}\n{TRAIN}")).schedule()


def engine_of(schedule: Schedule, target: Target, real: str, batch: int, threads: int = 1) -> Any:
    model = load(emit_cached(schedule, target, "for a test", real)).Model
    return model(seed=0, batch=batch, threads=threads)


def samples(engine: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    _, sizes, _, words = engine.INPUTS[0]
    shape = (count, *sizes)
    x = rng.integers(0, words, shape) if words else rng.standard_normal(shape).astype(np.float32)
    return x, rng.integers(0, 3, count)


def agree(body: str, counts: tuple[int, ...]) -> None:
    """Steps of training, predictions and losses are those of the generic kernels."""
    schedule, close = schedule_of(body), 2e-5
    ours = engine_of(schedule, CPU, "f4", max(counts))
    theirs = engine_of(schedule, GENERIC, "f8", max(counts))
    for count in counts:
        x, target = samples(ours, count)
        for name in ("forward", "loss", "train_step"):
            given = (x,) if name == "forward" else (x, target)
            made, wanted = (getattr(engine, name)(*given) for engine in (ours, theirs))
            np.testing.assert_allclose(made, wanted, rtol=close, atol=close)
        wanted = theirs.gradients()
        top = max(np.abs(gradient).max() for gradient in wanted.values())
        for name, gradient in ours.gradients().items():
            np.testing.assert_allclose(
                gradient, wanted[name], rtol=0, atol=5 * close * top, err_msg=name
            )


@dataclass(frozen=True)
class Drawn:
    """A recurrent layer with drawn parameters."""

    op: str
    units: int
    every: bool
    reverse: bool
    bias: bool
    relu: bool

    def __str__(self) -> str:
        words = [str(self.units), f"returns={'all' if self.every else 'last'}"]
        words += ["reverse=true"] * self.reverse + ["bias=false"] * (not self.bias)
        words += ["activation=relu"] * (self.relu and self.op == "rnn")
        return f"{self.op}({', '.join(words)})"

    def of(self, torch: Any, x: Any, weights: dict[str, Any]) -> Any:
        """What PyTorch makes of positions, samples and channels."""
        kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[self.op]
        more = {"nonlinearity": "relu" if self.relu else "tanh"} if self.op == "rnn" else {}
        module = kind(x.shape[2], self.units, bias=self.bias, **more).double()
        theirs = {f"{'bias_ih' if n == 'bias' else n}_l0": w for n, w in weights.items()}
        if "bias" in weights:
            theirs["bias_hh_l0"] = torch.zeros_like(weights["bias"])
        x = x.flip(0) if self.reverse else x
        made = torch.func.functional_call(module, theirs, (x,))[0]
        if not self.every:
            return made[-1:]
        return made.flip(0) if self.reverse else made


def judged(torch: Any, engine: Any, layers: tuple[Drawn, ...], x: Any, target: Any) -> Any:
    """The loss and the gradients of recurrent layers with a dense one behind them."""
    weights = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in engine.parameters().items()
    }
    made, seen = torch.tensor(x, dtype=torch.float64).permute(2, 0, 1), list[str]()
    for layer in layers:
        seen.append(layer.op)
        name = f"{layer.op}{seen.count(layer.op)}."
        own = {n.removeprefix(name): w for n, w in weights.items() if n.startswith(name)}
        made = layer.of(torch, made, own)
    flat = made.permute(1, 2, 0).flatten(1)
    logits = torch.nn.functional.linear(flat, weights["dense1.weight"], weights["dense1.bias"])
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target))
    loss.backward()
    return logits.detach(), loss.item(), {name: w.grad for name, w in weights.items()}


def agree_with_pytorch(
    layers: tuple[Drawn, ...], ci: int, steps: int, counts: tuple[int, ...], real: str = "f4"
) -> None:
    torch = pytest.importorskip("torch")
    pipe = " -> ".join(map(str, layers))
    schedule = schedule_of(f"\n  input x({ci}x{steps})\n  {pipe} -> flatten -> dense(3)\n")
    engine = engine_of(schedule, CPU, real, max(counts))
    close = 2e-5 if real == "f4" else 1e-12
    # Orthogonal weights bring states back to zero but for roundings: which side a ReLU is on then?
    rng, first = np.random.default_rng(1), engine.parameters()
    engine.restore({n: a + 0.05 * rng.standard_normal(a.shape) for n, a in first.items()})
    for count in counts:
        x, target = samples(engine, count)
        logits, loss, wanted = judged(torch, engine, layers, x, target)
        np.testing.assert_allclose(engine.forward(x), logits, rtol=close, atol=close)
        np.testing.assert_allclose(engine.train_step(x, target), loss, rtol=close, atol=close)
        # Where a sample is known, its gradient is what rounding leaves of a probability less one.
        top = max(0.01, *(gradient.abs().max().item() for gradient in wanted.values()))
        for name, gradient in engine.gradients().items():
            np.testing.assert_allclose(
                gradient, wanted[name], rtol=0, atol=5 * close * top, err_msg=name
            )


def drawn(data: st.DataObject) -> None:
    """Two layers: what the first one learns tells of the gradient by the input of the second."""

    def layer(every: bool) -> Drawn:
        op = data.draw(st.sampled_from(["lstm", "gru", "rnn"]))
        flags = (data.draw(st.booleans()) for _ in range(3))
        return Drawn(op, data.draw(SIZES), every, *flags)

    layers = (layer(True), layer(data.draw(st.booleans())))
    count = data.draw(st.integers(1, 40))
    counts = (count, data.draw(st.integers(1, count)))
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):  # as where there are many weights
            patch.setattr(recurrent_plan, "NEAR", 0)
        agree_with_pytorch(layers, data.draw(SIZES), data.draw(st.integers(1, 12)), counts)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_layers(data: st.DataObject) -> None:
    drawn(data)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_layers_long(data: st.DataObject) -> None:
    drawn(data)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    agree(NETWORKS[name], (6, 37, 1))


def test_a_network_of_many_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent_plan, "NEAR", 0)
    agree(NETWORKS["joins"], (6, 37, 1))


def test_double_precision() -> None:
    layers = (
        Drawn("lstm", 17, True, False, True, False),
        Drawn("gru", 9, True, True, True, False),
        Drawn("rnn", 10, False, False, True, False),
    )
    agree_with_pytorch(layers, 3, 7, (9, 4), "f8")


def test_threads_do_not_change_a_bit() -> None:
    schedule, found = schedule_of(NETWORKS["words"]), []
    for threads in (1, 2):
        engine = engine_of(schedule, CPU, "f4", 37, threads)
        for _ in range(3):
            engine.train_step(*samples(engine, 37))
        found.append(engine.parameters())
    assert all((found[0][name] == found[1][name]).all() for name in found[0])


@pytest.mark.parametrize("call", ["lstm(3)", "gru(3)", "rnn(3)", "rnn(3, activation=relu)"])
def test_nan_stays_and_large_values_do_not_overflow(call: str) -> None:
    engine = engine_of(schedule_of(f"\n  input x(1x4)\n  {call} -> dense(3)\n"), CPU, "f4", 2)
    x = np.full((2, 1, 4), 1e4, np.float32)
    x[1, 0, 1] = np.nan
    made = engine.forward(x)
    assert np.isfinite(made[0]).all() and np.isnan(made[1]).all()


def test_what_fades_becomes_zero_and_never_subnormal() -> None:
    packed = np.zeros(packed_size(1, 1, 1), np.float32)
    weight = np.full(1, 1e-7, np.float32)
    run(recurrent_pack, out=packed, weight=weight, gates=1, units=1, width=1, shift=0, turned=0)
    out, dx, hidden = (np.zeros((1, 12), np.float32) for _ in range(3))
    run(
        rnn_backward, out=out, dx=dx[:, :0], dy=np.ones(1, np.float32), x=hidden, hidden=hidden,
        ih=packed, hh=packed, n=1, steps=12, ci=1, units=1, blocks=1, step=0, x_step=1, h_step=1,
        y_step=1, all=0, reverse=0, add=0, near=0, relu=0,
    )  # fmt: skip
    wanted = [*(10.0 ** (-7 * s) for s in range(5)), *[0] * 7]
    np.testing.assert_allclose(out[0, ::-1], wanted, rtol=1e-5, atol=0)


def words(data: st.DataObject) -> None:
    vocab, c, n = data.draw(st.integers(1, 70)), data.draw(SIZES), data.draw(st.integers(1, 200))
    more, add = data.draw(st.sampled_from([0, 3])), data.draw(st.integers(0, 1))
    pad = data.draw(st.integers(-1, vocab - 1))
    rng = np.random.default_rng(0)
    x = rng.integers(0, vocab, n).astype(np.int32)
    weight = rng.standard_normal((vocab, c)).astype(np.float32)
    out = np.ones((n, c + more), np.float32)
    sizes = {"count": n, "c": c, "step": c + more, "pad": pad}
    run(embedding_forward, out=out, x=x, weight=weight, **sizes)
    assert (out[:, :c] == np.where((x == pad)[:, None], 0, weight[x])).all()
    assert (out[:, c:] == 1).all()
    begin, later = np.zeros(vocab, np.int32), np.zeros(n, np.int32)
    run(embedding_chain, out=begin, later=later, x=x, vocab=vocab, count=n)
    dweight = np.ones((vocab, c), np.float32)
    run(
        embedding_weight, out=dweight, dy=out, begin=begin, later=later, vocab=vocab, add=add,
        **sizes,
    )  # fmt: skip
    wanted = np.full((vocab, c), float(add))
    np.add.at(wanted, x[x != pad], out[x != pad, :c].astype(float))
    np.testing.assert_allclose(dweight, wanted, rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_words(data: st.DataObject) -> None:
    words(data)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_words_long(data: st.DataObject) -> None:
    words(data)
