"""Gated recurrent units."""

from __future__ import annotations

import math

from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, lanes, real, sample, sync
from netdsl.op import Weight
from netdsl.recurrent import (
    Recurrent,
    dbias,
    dgates,
    dweight_ih,
    dx,
    flushed,
    outside,
    position,
    read,
    read_out,
    sigmoid,
)
from netdsl.tensor import Tensor


class GRU(Recurrent, name="gru"):
    """``h[t] = (1 - z) * g + z * h[t - 1]``, from ``h = 0`` (Cho et al. 2014).

    ``r`` and ``z`` are ``sigmoid(a + b)`` and ``g = tanh(a + r * b)``, each of its third of ``a =
    weight_ih @ x[t] + bias_ih`` and ``b = weight_hh @ h[t - 1] + bias_hh``, in the order r, z, g.
    So the reset gate acts after the matrix, as in cuDNN, PyTorch and Keras; the first paper has
    ``weight_hh @ (r * h[t - 1])``. Parameters: ``3 * units * (channels + units + 2)``. All
    sequences are as long as the input says; padding is read like anything else, so pad at the
    front where ``returns=last``. Both directions are ``concat [gru(n), gru(n, reverse=true)]``.

    - ``units``: size of the hidden state
    - ``returns``: the hidden state after the last step, or that of all positions
    - ``reverse``: go from the last position to the first
    - ``recurrent_init``: how ``weight_hh`` begins
    """

    gates, rows, back = 3, 5, 5
    examples = (
        ("gru(2)", "3x4"),
        ("gru(3, returns=all)", "2x3"),
        ("gru(2, returns=all, reverse=true, bias=false)", "3x3"),
        ("gru(1, reverse=true)", "2x1"),
    )

    def weights(self, x: Tensor) -> dict[str, Weight]:
        bias = Weight((3 * self.units,), Zeros(), decay=False)
        return super().weights(x) | ({"bias_ih": bias, "bias_hh": bias} if self.bias else {})

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        aux = super().aux(x)
        return {**aux, "drecurrent": aux["dgates"]}


kernel(GRU)(read)


@kernel(GRU)
def entered(n, s, j, /, read, weight_ih, bias_ih):
    acc = real(0)
    for c in range(weight_ih.shape[1]):
        acc += weight_ih[j, c] * read[n, s, c]
    if bias_ih is not None:
        acc += bias_ih[j]
    return acc


@sample(GRU)
def states(n, /, states, entered, weight_hh, bias_hh):
    # Rows: the hidden state, the gates r and z, the candidate g, its recurrent part b.
    units = weight_hh.shape[1]
    for s in range(entered.shape[1]):
        for j in lanes(3 * units):
            acc = real(0)
            if s > 0:
                for k in range(units):
                    acc += weight_hh[j, k] * states[n, s - 1, 0, k]
            if bias_hh is not None:
                acc += bias_hh[j]
            gate, u = j // units, j % units
            if gate < 2:
                states[n, s, 1 + gate, u] = sigmoid(entered[n, s, j] + acc)
            else:
                states[n, s, 4, u] = acc
        sync()
        for u in lanes(units):
            r, z = states[n, s, 1, u], states[n, s, 2, u]
            g = math.tanh(entered[n, s, 2 * units + u] + r * states[n, s, 4, u])
            kept = states[n, s - 1, 0, u] if s > 0 else real(0)
            states[n, s, 3, u] = g
            states[n, s, 0, u] = (real(1) - z) * g + z * kept
        sync()


read_out(GRU)


@sample(GRU)
def dstates(n, /, dstates, dy, states, turned, *, last, reverse):
    # Rows: the gradients by a of r, z and g, by b of g, and by the hidden state.
    steps, units = states.shape[1], states.shape[3]
    for s in range(steps - 1, -1, -1):
        for u in lanes(units):
            dh = outside(dy, n, u, s, steps, last, reverse)
            if s < steps - 1:
                for gate in range(3):
                    row = gate if gate < 2 else 3
                    for k in range(units):
                        dh += turned[u, gate, k] * dstates[n, s + 1, row, k]
                dh += dstates[n, s + 1, 4, u] * states[n, s + 1, 2, u]
            r, z, g = states[n, s, 1, u], states[n, s, 2, u], states[n, s, 3, u]
            kept = states[n, s - 1, 0, u] if s > 0 else real(0)
            da = dh * (real(1) - z) * (real(1) - g * g)
            dstates[n, s, 0, u] = flushed(da * states[n, s, 4, u] * r * (real(1) - r))
            dstates[n, s, 1, u] = flushed(dh * (kept - g) * z * (real(1) - z))
            dstates[n, s, 2, u] = flushed(da)
            dstates[n, s, 3, u] = flushed(da * r)
            dstates[n, s, 4, u] = flushed(dh)
        sync()


for gradient in (dgates, dx, dweight_ih):
    kernel(GRU)(gradient)


@kernel(GRU)
def drecurrent(n, j, t, /, dstates, *, reverse):
    s, units = position(t, dstates.shape[1], reverse), dstates.shape[3]
    row = j // units
    return dstates[n, s, row if row < 2 else 3, j % units]


@kernel(GRU)
def dweight_hh(j, k, /, drecurrent, before):
    acc = real(0)
    for n in range(before.shape[0]):
        sequence = real(0)
        for t in range(before.shape[2]):
            sequence += drecurrent[n, j, t] * before[n, k, t]
        acc += sequence
    return acc


kernel(GRU, makes="dbias_ih")(dbias)


@kernel(GRU)
def dbias_hh(j, /, drecurrent):
    acc = real(0)
    for n in range(drecurrent.shape[0]):
        sequence = real(0)
        for t in range(drecurrent.shape[2]):
            sequence += drecurrent[n, j, t]
        acc += sequence
    return acc
