"""Recurrent layers: one kernel forward, one backward, and products over all positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netdsl.backends.cpu.lower.conv import gradient_of_weights
from netdsl.backends.cpu.lower.lazy import COUNT, Source
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.lower.norm import reads
from netdsl.backends.cpu.lower.rows import lies_in_rows, out_of_rows, rows_for, rows_of
from netdsl.backends.cpu.recurrent_gru import gru_backward, gru_forward
from netdsl.backends.cpu.recurrent_lstm import lstm_backward, lstm_forward
from netdsl.backends.cpu.recurrent_parts import recurrent_pack, recurrent_total
from netdsl.backends.cpu.recurrent_plan import TASKS, is_near, packed_size, sums_size
from netdsl.backends.cpu.recurrent_rnn import rnn_backward, rnn_forward
from netdsl.backends.override import task_of
from netdsl.ops.gru import GRU
from netdsl.ops.lstm import LSTM
from netdsl.ops.rnn import RNN
from netdsl.schedule import Call, Number, Operand, Scaled

HOW = "products by step"
"""What people are told of it."""
FORWARD = ("entered", "states", "y", "before", "turned", "inward")
"""What the generic kernels make forward, after the input by step."""
BIASES = {"dbias": "dweight_ih", "dbias_ih": "dweight_ih", "dbias_hh": "dweight_hh"}
"""The weights with which biases get their gradients."""


@dataclass(frozen=True)
class Form:
    """The kernels of a layer.

    Its lines have so many ``blocks`` and it keeps so many rows of ``kept`` for its backward pass.
    The input's first gate is the one at ``shift``. Where the hidden state gives something else to
    the gates than the input, their gradients are ``apart``.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    blocks: int
    kept: int
    shift: int = 0
    apart: bool = False


FORMS: dict[type, Form] = {
    LSTM: Form(lstm_forward, lstm_backward, blocks=4, kept=5),
    GRU: Form(gru_forward, gru_backward, blocks=4, kept=4, shift=2, apart=True),
    RNN: Form(rnn_forward, rnn_backward, blocks=1, kept=0),
}


@dataclass(frozen=True)
class Rows:
    """The rows of a sequence, and how far they are apart."""

    memory: Operand
    step: int

    def source(self) -> Source:
        """The same as kernels of convolutions are told of it."""
        return Source(self.memory, None, None, self.step, 0, 0.0, 0.0)


@dataclass(frozen=True)
class Layer:
    """A recurrent layer: its calls in a pass, by what they make, and its sizes."""

    call: Call
    part: Mapping[str, Call]
    steps: int
    ci: int
    units: int
    weights: tuple[Operand, Operand]
    told: Mapping[str, Any]

    @property
    def form(self) -> Form:
        """Its kernels."""
        return FORMS[type(self.call.op)]

    @property
    def gates(self) -> int:
        """How many values of a step each unit has."""
        return self.weights[0].buffer.tensor.dims[0] // self.units

    @property
    def near(self) -> bool:
        """Whether its backward pass adds up the gradients by weights while it goes."""
        return is_near(self.gates, self.units, self.ci)

    def numbers(self) -> dict[str, Number]:
        """What all kernels are told."""
        return {
            "n": COUNT, "steps": self.steps, "ci": self.ci, "units": self.units,
            "blocks": self.form.blocks, "all": int(not self.told["last"]),
            "reverse": int(self.told["reverse"]), "relu": int(self.told.get("relu", 0)),
        }  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What the forward pass of a layer leaves for its backward pass."""

    layer: Layer
    x: Rows
    hidden: Rows
    kept: Operand | None


def layer_of(call: Call, part: Mapping[str, Call]) -> Layer:
    """The layer whose input ``call`` reads."""
    x, states = call.reads["x"], part["states"]
    ih, hh = reads(part["entered"], "weight_ih"), reads(states, "weight_hh")
    assert isinstance(x, Operand) and ih and hh
    told = {**states.baked, **part["y"].baked}
    return Layer(call, part, x.view[2], x.view[1], hh.buffer.tensor.dims[1], (ih, hh), told)


def together(part: Mapping[str, Call]) -> bool:
    """Whether each bias gets its gradient in the same way as the weight beside it."""
    found = ((part[b], part.get(w)) for b, w in BIASES.items() if b in part)
    return all(weight and weight.add == bias.add for bias, weight in found)


def packed(low: Lowering, layer: Layer, back: bool) -> dict[str, Operand]:
    """The weights of a layer in panels, for its forward or its backward pass."""
    made: dict[str, Operand] = {}
    for name, weight in zip(("ih", "hh"), layer.weights, strict=True):
        width = weight.buffer.tensor.dims[1]
        size = packed_size(layer.gates, layer.units, width)
        made[name] = low.operand(low.aux(layer.call, f"{name}{'back' if back else ''}", size))
        numbers = {
            "gates": layer.gates, "units": layer.units, "width": width, "turned": int(not back),
            "shift": layer.form.shift if name == "ih" else 0,
        }  # fmt: skip
        low.emit(recurrent_pack, made[name], {"weight": weight}, numbers, first=not back)
    return made


def run(
    low: Lowering,
    body: Callable[..., None],
    out: Operand,
    known: Mapping[str, Operand | None],
    numbers: Mapping[str, Number],
) -> None:
    """Run a kernel with what it wants of all that is known."""
    task = task_of(body)
    assert task is not None
    arrays = {name: known.get(name) for name in task.operands}
    double = {"double": int(low.real == "f8")} if "double" in task.operands else {}
    low.emit(body, out, arrays, numbers, double)


def forward(low: Lowering, call: Call) -> bool:
    """``y``, and what the backward pass reads, where there is one."""
    part = low.of_owner(call)
    if "y" not in part or not together(part):
        return False
    layer, y = layer_of(call, part), part["y"].out
    low.take(*(part[name] for name in FORWARD if name in part))
    low.told.decide(part["y"], HOW)
    x = Rows(*rows_of(low, call, "x"))
    every, training = not layer.told["last"], "dstates" in part
    direct = not every or lies_in_rows(low, y)
    out = y.buffer if direct else rows_for(call, "yrows", y)
    made = hidden = Rows(low.operand(out), low.step(out))
    kept = None
    if training:
        rows = layer.steps * layer.units
        size = rows * layer.form.kept
        kept = low.operand(low.aux(call, "kept", size, batch=True)) if size else None
        if not every:
            hidden = Rows(low.operand(low.aux(call, "hidden", rows, batch=True)), layer.units)
    biases = {n: reads(part["entered"], n) for n in ("bias", "bias_ih")}
    known = {
        **packed(low, layer, back=False), **biases, "bias_hh": reads(part["states"], "bias_hh"),
        "hidden": hidden.memory if hidden != made else None, "kept": kept, "x": x.memory,
    }  # fmt: skip
    numbers = {**layer.numbers(), "step": made.step, "x_step": x.step}
    run(low, layer.form.forward, made.memory, known, numbers)
    if not direct:
        out_of_rows(low, y, out, 0)
    if training:
        low.notes["recurrent", call.owner] = Known(layer, x, hidden, kept)
    return True


def backward(low: Lowering, call: Call) -> bool:
    """All gradients of a layer."""
    known: Known | None = low.notes.get(("recurrent", call.owner))
    if known is None:
        return False
    layer, part = known.layer, low.of_owner(call)
    low.take(*part.values())
    if layer.told["last"]:
        read = reads(call, "dy")
        assert read is not None
        dy = Rows(low.stored(read.buffer), layer.units)
    else:
        dy = Rows(*rows_of(low, call, "dy"))
    if layer.near:
        whole = sums_size(layer.gates, layer.units, layer.ci)
        sums = low.operand(low.aux(call, "sums", TASKS * whole))
        slopes(low, known, sums, sums, dy, part.get("dx"))
        totals(low, layer, sums, whole, part)
        return True
    width = layer.gates * layer.units
    entered, recurrent = (
        Rows(low.operand(low.aux(call, name, layer.steps * width, batch=True)), width)
        for name in ("dentered", "drecurrent" if layer.form.apart else "dentered")
    )
    slopes(low, known, entered.memory, recurrent.memory, dy, part.get("dx"))
    by_weights(low, known, part, entered, recurrent)
    return True


def slopes(
    low: Lowering, known: Known, out: Operand, recurrent: Operand, dy: Rows, dx: Call | None
) -> None:
    """The gradients by what enters the gates, or by weights, and ``dx`` if it is wanted."""
    layer = known.layer
    arrays = {
        **packed(low, layer, back=True), "dy": dy.memory, "x": known.x.memory,
        "hidden": known.hidden.memory, "kept": known.kept, "recurrent": recurrent, "dx": None,
    }  # fmt: skip
    numbers = {
        **layer.numbers(), "y_step": dy.step, "x_step": known.x.step, "h_step": known.hidden.step,
        "near": int(layer.near), "step": 0, "add": 0,
    }  # fmt: skip
    if dx is None:
        run(low, layer.form.backward, out, arrays, numbers)
        return
    low.told.decide(dx, HOW)
    if dx.add:
        low.store(dx.out.buffer)
    direct = lies_in_rows(low, dx.out)
    rows = dx.out.buffer if direct else rows_for(dx, "dxrows", dx.out)
    numbers |= {"step": low.step(rows), "add": int(dx.add and direct)}
    run(low, layer.form.backward, out, {**arrays, "dx": low.operand(rows)}, numbers)
    if not direct:
        out_of_rows(low, dx.out, rows, int(dx.add))


def totals(
    low: Lowering, layer: Layer, sums: Operand, whole: int, part: Mapping[str, Call]
) -> None:
    """The gradients by weights and biases from the sums of all tasks."""
    made = layer.gates * layer.units
    behind = made * (layer.ci + layer.units)
    places = {
        "dweight_ih": 0, "dweight_hh": made * layer.ci,
        "dbias": behind, "dbias_ih": behind, "dbias_hh": behind + made,
    }  # fmt: skip
    for name, at in places.items():
        if call := part.get(name):
            size = call.out.buffer.tensor.size
            told = {"at": at, "whole": whole, "size": size, "add": int(call.add)}
            out = low.operand(call.out.buffer)
            low.emit(recurrent_total, out, {"sums": sums}, {**layer.numbers(), **told})


def line(ci: int, co: int) -> dict[str, Number]:
    """The geometry of a convolution over a sequence, with a window of one."""
    ones = {f"{name}{axis}": 1 for name in "ioksd" for axis in range(3)}
    return {"n": 1, "ci": ci, "co": co, "groups": 1, **ones, "p0": 0, "p1": 0, "p2": 0}


def by_weights(
    low: Lowering, known: Known, part: Mapping[str, Call], entered: Rows, recurrent: Rows
) -> None:
    """The gradients by weights and biases.

    That by recurrent weights is a convolution over the hidden states: each position reads the one
    whose step was the last before its own, and there is nothing before the first.
    """
    layer = known.layer
    made = layer.gates * layer.units
    biases = {w: low.operand(part[b].out.buffer) for b, w in BIASES.items() if b in part}
    if call := part.get("dweight_ih"):
        count = Scaled(layer.steps)
        sizes = {**line(layer.ci, made), "i2": count, "o2": count}
        bias = biases.get("dweight_ih")
        gradient_of_weights(low, call, sizes, known.x.source(), entered.source(), bias)
    if call := part.get("dweight_hh"):
        shift = -1 if layer.told["reverse"] else 1
        sizes = {**line(layer.units, made), "i2": layer.steps, "o2": layer.steps}
        sizes |= {"n": COUNT, "p2": shift}
        bias = biases.get("dweight_hh")
        gradient_of_weights(
            low, call, sizes, known.hidden.source(), recurrent.source(), bias, "partshh"
        )


RULES = {
    **{(op, "read"): forward for op in FORMS}, **{(op, "dstates"): backward for op in FORMS},
}  # fmt: skip
