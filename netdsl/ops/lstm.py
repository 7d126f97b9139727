"""Long short-term memory."""

from __future__ import annotations

import math

from netdsl.arguments import Real
from netdsl.kernel import kernel, lanes, real, sample, sync
from netdsl.op import Initializer, Weight
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
    sigmoid,
)
from netdsl.tensor import Tensor


class ForgetGate(Initializer):
    """``b = value`` for the forget gate, the second of four, else 0."""

    value: float

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "forget", self.value


class LSTM(Recurrent, name="lstm"):
    """``c[t] = f * c[t - 1] + i * g``, ``h[t] = o * tanh(c[t])``, from zeros.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, without peepholes.
    ``i``, ``f``, ``o`` are ``sigmoid(a)`` and ``g`` is ``tanh(a)``, each of its quarter of ``a =
    weight_ih @ x[t] + weight_hh @ h[t - 1] + bias``, in the order i, f, g, o. Parameters: ``4 *
    units * (channels + units + 1)``; PyTorch has a second bias, to be added to the first. All
    sequences are as long as the input says; padding is read like anything else, so pad at the
    front where ``returns=last``. Both directions are ``concat [lstm(n), lstm(n, reverse=true)]``.

    - ``units``: size of the hidden state
    - ``returns``: the hidden state after the last step, or that of all positions
    - ``reverse``: go from the last position to the first
    - ``recurrent_init``: how ``weight_hh`` begins
    - ``forget_bias``: where the bias of the forget gate begins; 1 keeps memories at first
      (Jozefowicz et al. 2015)
    """

    forget_bias: Real = 1.0

    gates, rows, back = 4, 6, 5
    synonyms = {**Recurrent.synonyms, "unit_forget_bias": "forget_bias"}
    examples = (
        ("lstm(2)", "3x4"),
        ("lstm(3, returns=all)", "2x3"),
        ("lstm(2, returns=all, reverse=true, bias=false)", "3x3"),
        ("lstm(1, reverse=true, forget_bias=0.5)", "2x1"),
    )

    def weights(self, x: Tensor) -> dict[str, Weight]:
        bias = Weight((4 * self.units,), ForgetGate(self.forget_bias), decay=False)
        return super().weights(x) | ({"bias": bias} if self.bias else {})


kernel(LSTM)(read)
kernel(LSTM)(entered)


@sample(LSTM)
def states(n, /, states, entered, weight_hh):
    # Rows: the hidden state, the gates i, f, g and o, the cell.
    units = weight_hh.shape[1]
    for s in range(entered.shape[1]):
        for j in lanes(4 * units):
            acc = entered[n, s, j]
            if s > 0:
                for k in range(units):
                    acc += weight_hh[j, k] * states[n, s - 1, 0, k]
            gate = j // units
            states[n, s, 1 + gate, j % units] = math.tanh(acc) if gate == 2 else sigmoid(acc)
        sync()
        for u in lanes(units):
            cell = states[n, s, 1, u] * states[n, s, 3, u]
            if s > 0:
                cell += states[n, s, 2, u] * states[n, s - 1, 5, u]
            states[n, s, 5, u] = cell
            states[n, s, 0, u] = states[n, s, 4, u] * math.tanh(cell)
        sync()


read_out(LSTM)


@sample(LSTM)
def dstates(n, /, dstates, dy, states, turned, *, last, reverse):
    # Rows: the gradients by what enters the gates i, f, g and o, and by the cell.
    steps, units = states.shape[1], states.shape[3]
    for s in range(steps - 1, -1, -1):
        for u in lanes(units):
            dh = outside(dy, n, u, s, steps, last, reverse)
            dcell = real(0)
            if s < steps - 1:
                for gate in range(4):
                    for k in range(units):
                        dh += turned[u, gate, k] * dstates[n, s + 1, gate, k]
                dcell = dstates[n, s + 1, 4, u] * states[n, s + 1, 2, u]
            i, f = states[n, s, 1, u], states[n, s, 2, u]
            g, o = states[n, s, 3, u], states[n, s, 4, u]
            c = math.tanh(states[n, s, 5, u])
            dcell += dh * o * (real(1) - c * c)
            remembered = states[n, s - 1, 5, u] if s > 0 else real(0)
            dstates[n, s, 0, u] = flushed(dcell * g * i * (real(1) - i))
            dstates[n, s, 1, u] = flushed(dcell * remembered * f * (real(1) - f))
            dstates[n, s, 2, u] = flushed(dcell * i * (real(1) - g * g))
            dstates[n, s, 3, u] = flushed(dh * c * o * (real(1) - o))
            dstates[n, s, 4, u] = flushed(dcell)
        sync()


for gradient in (dgates, dx, dweight_ih, dweight_hh, dbias):
    kernel(LSTM)(gradient)
