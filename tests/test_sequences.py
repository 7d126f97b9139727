"""Sequences: recurrent networks learn what they must remember, and words outside of the vocabulary
are refused."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import build

from netdsl.compiler import Net, load_source
from netdsl.interpret import layer_backward, layer_forward
from netdsl.source import Source

RECALL = """
net Recall {{
  input words(8, dtype=int)
  embedding(6, 8)
  {layer}
  dense(6) as logits
}}
train {{
  batch     = 32
  epochs    = 6
  optimizer = adam(0.01)
  loss      = cross_entropy(@logits)
  metrics   = [accuracy]
}}
"""
REVIEWS = """
net Reviews {
  input review(4, dtype=int)
  embedding(300, 8, pad=0) -> lstm(6) -> dense(1) as logit
}
train {
  batch     = 16
  epochs    = 15
  optimizer = adam(0.03)
  loss      = binary_cross_entropy(@logit)
  metrics   = [accuracy]
}
"""


def net(text: str) -> Net:
    return load_source(Source("a.net", text))


@pytest.mark.parametrize(
    "layer",
    [
        "lstm(16)",
        "gru(16, returns=all) -> gru(16)",
        "rnn(16)",
    ],
)
def test_the_first_word_of_a_sequence_is_remembered(layer: str) -> None:
    words = np.random.default_rng(0).integers(0, 6, (1024 + 256, 8))
    model = net(RECALL.format(layer=layer)).compile("cpu")
    held = (words[1024:], words[1024:, 0])
    figures = model.fit(words[:1024], words[:1024, 0], held)
    assert figures[-1]["val_accuracy"] > 0.97


def test_a_single_logit_tells_two_classes_apart() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(1, 300, (512, 4))
    words[::2, rng.integers(0, 4)] = 7
    praise = (words == 7).any(axis=1).astype(int)
    model = net(REVIEWS).compile("cpu")
    figures = model.fit(words.astype(np.uint16), praise)
    assert figures[-1]["accuracy"] > 0.97
    assert figures[-1]["loss"] < 0.2
    assert np.mean((model.predict(words)[:, 0] > 0) == praise) > 0.97
    with pytest.raises(ValueError, match="target must be whole numbers from 0 to 1"):
        model.fit(words, praise + 1)


def test_words_of_no_vocabulary_are_refused() -> None:
    engine = net(REVIEWS).compile("cpu").engine
    assert engine.forward(np.full((1, 4), 299)).shape == (1, 1)
    for wrong in (300, -1):
        with pytest.raises(ValueError, match="review must be whole numbers from 0 to 299"):
            engine.forward(np.array([[0, 1, 2, wrong]]))
    with pytest.raises(ValueError, match="review must be whole numbers, not float64"):
        engine.forward(np.ones((1, 4)))


def test_the_smallest_vocabulary_of_an_input_counts() -> None:
    body = "input word(1, dtype=int)\nadd [embedding(9, 2), @word -> flatten -> embedding(5, 2)]"
    engine = net(f"net A {{\n{body}\n}}").compile("cpu").engine
    with pytest.raises(ValueError, match="word must be whole numbers from 0 to 4"):
        engine.forward(np.array([[5]]))


def test_words_are_not_normalised() -> None:
    model = net(REVIEWS.replace("batch ", "normalize = per_channel\n  batch ")).compile("cpu")
    with pytest.raises(ValueError, match="the input has words"):
        model.fit(np.ones((2, 4), int), np.array([0, 1]))


def test_how_recurrent_weights_begin() -> None:
    weights = net(REVIEWS).compile("cpu").parameters
    matrix, bias = weights["lstm1.weight_hh"], weights["lstm1.bias"]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(6), atol=1e-6)
    assert bias.reshape(4, 6).tolist() == [[0] * 6, [1] * 6, [0] * 6, [0] * 6]


@pytest.mark.parametrize(
    ("body", "gain"),
    [
        ("input x(3)\ndense(5, init=orthogonal)", 1),
        ("input x(5)\ndense(3, init=orthogonal(gain=2))", 2),
        ("input x(2x7)\nconv(4, 3, init=orthogonal)", 1),
    ],
)
def test_an_orthogonal_matrix_keeps_lengths(body: str, gain: int) -> None:
    parameters = net(f"net A {{\n{body}\n}}").compile("cpu").parameters
    (matrix,) = (w.reshape(len(w), -1) for name, w in parameters.items() if "weight" in name)
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(square, gain**2 * np.eye(len(square)), atol=1e-5)


@pytest.mark.parametrize("call", ["rnn(2)", "lstm(2)", "gru(2)"])
def test_large_values_do_not_overflow(call: str) -> None:
    layer = build("layer", call)
    x = np.array([[[1.0, -1.0, 1.0]]]) * 1e4
    (tensor,) = [build("layer", "input(1x3)").shape()]
    weights = {name: np.ones(w.dims) for name, w in layer.weights(tensor).items()}
    made = layer_forward(layer, [x], weights, {})
    gradients = layer_backward(layer, [x], weights, made, np.ones_like(made["y"]))
    assert all(np.isfinite(array).all() for array in (made["y"], *gradients.values()))


def test_what_fades_becomes_zero_and_never_subnormal() -> None:
    layer = build("layer", "rnn(1)")
    x = np.zeros((1, 1, 12))
    weights = {
        "weight_ih": np.ones((1, 1)),
        "weight_hh": np.full((1, 1), 1e-7),
        "bias": np.zeros(1),
    }
    made = layer_forward(layer, [x], weights, {})
    dx = layer_backward(layer, [x], weights, made, np.ones((1, 1)))["dx"][0, 0, ::-1]
    np.testing.assert_allclose(dx, [*(10.0 ** (-7 * s) for s in range(5)), *[0] * 7], atol=0)
