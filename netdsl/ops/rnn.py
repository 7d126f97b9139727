"""Elman's recurrent layer."""

from __future__ import annotations

import math
from typing import Any, Literal

from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, lanes, real, sample, sync
from netdsl.op import Weight
from netdsl.recurrent import (
    Recurrent,
    dbias,
    dgates,
    dweight_hh,
    dweight_ih,
    dx,
    entered,
    flushed,
    outside,
    read,
    read_out,
)
from netdsl.tensor import Tensor


class RNN(Recurrent, name="rnn"):
    """``h[t] = tanh(weight_ih @ x[t] + weight_hh @ h[t - 1] + bias)``, from ``h = 0`` (Elman 1990).

    Parameters: ``units * (channels + units + 1)``. All sequences are as long as the input says;
    padding is read like anything else, so pad at the front where ``returns=last``. Both directions
    are ``concat [rnn(n), rnn(n, reverse=true)]``.

    - ``units``: size of the hidden state
    - ``returns``: the hidden state after the last step, or that of all positions
    - ``reverse``: go from the last position to the first
    - ``recurrent_init``: how ``weight_hh`` begins
    - ``activation``: what the sum goes through; a state of ``relu`` may grow without bound
    """

    activation: Literal["tanh", "relu"] = "tanh"

    gates, rows, back = 1, 1, 1
    synonyms = {**Recurrent.synonyms, "nonlinearity": "activation"}
    examples = (
        ("rnn(3)", "2x4"),
        ("rnn(2, returns=all, reverse=true)", "3x3"),
        ("rnn(3, returns=all, bias=false, activation=relu)", "2x3"),
        ("rnn(2, reverse=true, activation=relu)", "1x2"),
    )

    def weights(self, x: Tensor) -> dict[str, Weight]:
        bias = Weight((self.units,), Zeros(), decay=False)
        return super().weights(x) | ({"bias": bias} if self.bias else {})

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {**super().numbers(x), "relu": self.activation == "relu"}


kernel(RNN)(read)
kernel(RNN)(entered)


@sample(RNN)
def states(n, /, states, entered, weight_hh, *, relu):
    units = weight_hh.shape[1]
    for s in range(entered.shape[1]):
        for u in lanes(units):
            acc = entered[n, s, u]
            if s > 0:
                for k in range(units):
                    acc += weight_hh[u, k] * states[n, s - 1, 0, k]
            states[n, s, 0, u] = (real(0) if acc <= 0 else acc) if relu else math.tanh(acc)
        sync()


read_out(RNN)


@sample(RNN)
def dstates(n, /, dstates, dy, states, turned, *, last, reverse, relu):
    steps, units = states.shape[1], states.shape[3]
    for s in range(steps - 1, -1, -1):
        for u in lanes(units):
            dh = outside(dy, n, u, s, steps, last, reverse)
            if s < steps - 1:
                for k in range(units):
                    dh += turned[u, 0, k] * dstates[n, s + 1, 0, k]
            h = states[n, s, 0, u]
            slope = (real(0) if h <= 0 else real(1)) if relu else real(1) - h * h
            dstates[n, s, 0, u] = flushed(slope * dh)
        sync()


for gradient in (dgates, dx, dweight_ih, dweight_hh, dbias):
    kernel(RNN)(gradient)
