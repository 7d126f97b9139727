"""What recurrent layers share: their parameters, their sizes, and all but the recurrence itself.

Their kernels count by **step**: the first step reads the first position, with ``reverse`` the last.
A layer with ``g`` gates makes, in this order,

- ``read``: the input by step, ``steps x channels``
- ``entered``: what the input gives to the gates, ``steps x g * units``, for all steps at once
- ``states``: the recurrence, its own kernel; ``steps x rows x units``, row 0 is the hidden state
- ``y``, and ``before``: the hidden state that each position begins with
- ``turned`` and ``inward``: recurrent and input weights, turned so that a unit, a channel, finds
  those of all gates side by side
- ``dstates``: the recurrence backwards, its own kernel; its first rows are the gradients by
  ``entered``, gate by gate
- ``dgates``: these by position, ``g * units x positions``, and the gradients by all the rest
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from netdsl.arguments import Count
from netdsl.errors import Problem
from netdsl.initializers.orthogonal import Orthogonal
from netdsl.initializers.xavier import Xavier
from netdsl.kernel import device, kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.sight import Sights
from netdsl.tensor import Tensor, as_is


def by_position(tensor: Tensor) -> tuple[int, ...]:
    """The logical shape; a vector is a sequence of one position."""
    return (*as_is(tensor), 1) if tensor.batch and len(tensor.dims) == 1 else as_is(tensor)


class Recurrent(Layer):
    """A layer that goes through a sequence step by step, from a hidden state of zeros.

    ``gates`` is how many values of a step each unit has that see the input and the hidden state,
    ``rows`` and ``back`` how many rows ``states`` and ``dstates`` have.
    """

    units: Count
    returns: Literal["last", "all"] = "last"
    reverse: bool = False
    bias: bool = True
    init: Initializer = Xavier()
    recurrent_init: Initializer = Orthogonal()

    gates: ClassVar[int]
    rows: ClassVar[int]
    back: ClassVar[int]
    view = staticmethod(by_position)
    synonyms = {
        "hidden_size": "units", "return_sequences": "returns", "go_backwards": "reverse",
        "use_bias": "bias", "kernel_initializer": "init", "recurrent_initializer": "recurrent_init",
    }  # fmt: skip

    def shape(self, x: Tensor) -> Tensor:
        if len(x.dims) != 2:
            help = "a picture becomes a sequence with: sequence"
            if len(x.dims) == 1:
                help = "the layer before it may give all positions: returns=all"
            raise Problem(f"{self.name} wants a sequence, channels x positions, not {x}", help)
        return Tensor((self.units, x.dims[1]) if self.returns == "all" else (self.units,))

    def weights(self, x: Tensor) -> dict[str, Weight]:
        made = self.gates * self.units
        return {
            "weight_ih": Weight((made, x.channels), self.init, x.channels, made),
            "weight_hh": Weight((made, self.units), self.recurrent_init, self.units, made),
        }

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        steps, made = x.dims[1], self.gates * self.units
        return {
            "read": Tensor((steps, x.channels)),
            "entered": Tensor((steps, made)),
            "states": Tensor((steps, self.rows, self.units)),
            "before": Tensor((self.units, steps)),
            "turned": Tensor((self.units, self.gates, self.units), batch=False),
            "inward": Tensor((x.channels, self.gates, self.units), batch=False),
            "dstates": Tensor((steps, self.back, self.units)),
            "dgates": Tensor((made, steps)),
        }

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"last": self.returns == "last", "reverse": self.reverse, "gates": self.gates}

    def sees(self, x: Tensor) -> Sights | None:
        return None

    def macs(self, x: Tensor) -> int:
        return x.dims[1] * self.gates * self.units * (x.channels + self.units)

    def formulas(self, x: Tensor) -> dict[str, str]:
        seen = f"({x.channels} channels + {self.units} hidden)"
        made = f"{x.dims[1]} positions * {self.gates}*{self.units} units"
        return {"MACs": f"{made} * {seen} = {self.macs(x):,}"}


# ---- what recurrences call -----------------------------------------------------


@device
def sigmoid(x):
    """``1 / (1 + exp(-x))``, without overflow."""
    small = math.exp(-abs(x))
    return (real(1) if x >= 0 else small) / (real(1) + small)


@device
def flushed(x):
    """0 for what is too small to matter: what fades through many steps would become subnormal.

    Processors compute with such numbers up to a hundred times slower.
    """
    return real(0) if abs(x) < real(1e-30) else x


@device
def position(step, steps, reverse):
    """The position that a step reads; also the step that reads a position."""
    return steps - 1 - step if reverse else step


@device
def outside(dy, n, u, s, steps, last, reverse):
    """The gradient by a hidden state that comes from above, not from the next step."""
    if last:
        return dy[n, u, 0] if s == steps - 1 else real(0)
    return dy[n, u, position(s, steps, reverse)]


# ---- kernels -------------------------------------------------------------------


def read(n, s, c, /, x, *, reverse):
    return x[n, c, position(s, x.shape[2], reverse)]


def entered(n, s, j, /, read, weight_ih, bias):
    acc = real(0)
    for c in range(weight_ih.shape[1]):
        acc += weight_ih[j, c] * read[n, s, c]
    if bias is not None:
        acc += bias[j]
    return acc


def y(n, u, t, /, states, *, last, reverse):
    steps = states.shape[1]
    return states[n, steps - 1 if last else position(t, steps, reverse), 0, u]


def before(n, u, t, /, states, *, reverse):
    s = position(t, states.shape[1], reverse)
    return states[n, s - 1, 0, u] if s > 0 else real(0)


def turned(k, g, u, /, weight_hh):
    return weight_hh[g * weight_hh.shape[1] + u, k]


def inward(c, g, u, /, weight_ih, *, gates):
    return weight_ih[g * (weight_ih.shape[0] // gates) + u, c]


def dgates(n, j, t, /, dstates, *, reverse):
    s, units = position(t, dstates.shape[1], reverse), dstates.shape[3]
    return dstates[n, s, j // units, j % units]


def dx(n, c, t, /, dstates, inward, *, reverse):
    s = position(t, dstates.shape[1], reverse)
    acc = real(0)
    for g in range(inward.shape[1]):
        for u in range(inward.shape[2]):
            acc += dstates[n, s, g, u] * inward[c, g, u]
    return acc


def dweight_ih(j, c, /, dgates, x):
    acc = real(0)
    for n in range(x.shape[0]):
        sequence = real(0)
        for t in range(x.shape[2]):
            sequence += dgates[n, j, t] * x[n, c, t]
        acc += sequence
    return acc


def dweight_hh(j, k, /, dgates, before):
    acc = real(0)
    for n in range(before.shape[0]):
        sequence = real(0)
        for t in range(before.shape[2]):
            sequence += dgates[n, j, t] * before[n, k, t]
        acc += sequence
    return acc


def dbias(j, /, dgates):
    acc = real(0)
    for n in range(dgates.shape[0]):
        sequence = real(0)
        for t in range(dgates.shape[2]):
            sequence += dgates[n, j, t]
        acc += sequence
    return acc


def read_out(op: type[Recurrent]) -> None:
    """Attach what follows the recurrence in the forward pass."""
    for fn in (y, before, turned, inward):
        kernel(op)(fn)
