"""A row as JAX does it: one compiled step whose weights are donated."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax import Array
from jax_models import LOSSES, MODELS, Given, cross_entropy
from rows import MOMENTUM, Row
from weights import Weights

Arrays = list[Array]


def prepare(row: Row, weights: Weights, threads: int, variant: str) -> Callable[[], object]:
    """The step of a row. XLA takes as many threads as the process has cores."""
    del threads, variant
    if not row.train:
        weights = Weights(folded(weights), [])
    learnt = [jax.device_put(turned(array, row)) for array in weights.learnt]
    kept = [jax.device_put(array) for array in weights.kept]
    x, y = row.data()
    inputs = jax.device_put(x.transpose(0, 2, 3, 1) if len(row.sizes) == 3 else x)
    if row.train:
        return training(row, learnt, kept, inputs, jax.device_put(y.astype(np.int32)))
    return inference(row, learnt, inputs)


def training(
    row: Row, weights: Arrays, statistics: Arrays, x: Array, y: Array
) -> Callable[[], float]:
    """Forward, backward and the update; the loss comes back."""
    loss_of = LOSSES.get(row.model, cross_entropy)

    def loss(weights: Arrays, statistics: Arrays, x: Array, y: Array) -> tuple[Array, Arrays]:
        w = Given(weights, statistics, train=True)
        return loss_of(MODELS[row.model](x, w), y), w.news

    def update(
        weights: Arrays, velocity: Arrays, statistics: Arrays, x: Array, y: Array
    ) -> tuple[Arrays, Arrays, Arrays, Array]:
        found, gradients = jax.value_and_grad(loss, has_aux=True)(weights, statistics, x, y)
        velocity = [MOMENTUM * v + g for v, g in zip(velocity, gradients, strict=True)]
        weights = [p - row.rate * v for p, v in zip(weights, velocity, strict=True)]
        return weights, velocity, found[1], found[0]

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    kept = [weights, [jax.numpy.zeros_like(each) for each in weights], statistics]

    def step() -> float:
        *kept[:], found = compiled(*kept, x, y)
        return float(jax.block_until_ready((kept, found))[1])

    return step


def inference(row: Row, weights: Arrays, x: Array) -> Callable[[], np.ndarray]:
    """The logits as evaluation makes them."""
    forward = jax.jit(lambda weights, x: MODELS[row.model](x, Given(weights, [], train=False)))
    return lambda: np.asarray(jax.block_until_ready(forward(weights, x)))


def turned(array: np.ndarray, row: Row) -> np.ndarray:
    """Weights in the order that JAX wants: height, width, in, out; in, out."""
    if array.ndim == 4:
        upward = row.model == "unet" and array.shape[2] == 2
        return array if upward else array.transpose(2, 3, 1, 0)
    is_words = row.words and array.shape[0] == row.words
    return array.T if array.ndim == 2 and not is_words else array


def folded(weights: Weights) -> list[np.ndarray]:
    """Normalisations folded into the convolutions before them: a kernel and a bias for each."""
    made: list[np.ndarray] = []
    kept = iter(weights.kept)
    given = iter(weights.learnt)
    for array in given:
        if array.ndim != 4:
            made.append(array)
            continue
        weight, bias, mean, var = next(given), next(given), next(kept), next(kept)
        scale = weight / np.sqrt(var + 1e-5)
        made += [array * scale[:, None, None, None], bias - mean * scale]
    return made
