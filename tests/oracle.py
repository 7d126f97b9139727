"""Schedules run call by call as plain Python in double precision: what a target must compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netdsl.interpret import evaluate
from netdsl.schedule import Buffer, Call, Counted, Number, Operand, Scaled, Schedule, Symbol
from netdsl.tensor import DType


class Oracle:
    """A network at work, slowly: weights, what belongs to them, and the tensors of one batch."""

    def __init__(self, schedule: Schedule, arrays: Mapping[str, np.ndarray]) -> None:
        self.schedule = schedule
        self.flat = {name: np.zeros(schedule.size) for name in ("p", "g", *schedule.slots)}
        self.tensors: dict[Buffer, np.ndarray] = {}
        self.starts = {placed.buffer: placed.start for placed in schedule.weights}
        for placed in schedule.weights:
            array = arrays[str(placed.buffer)]
            self.flat["p"][placed.start : placed.start + placed.size] = array.reshape(-1)
        for buffer, _ in schedule.states:
            self.tensors[buffer] = arrays[str(buffer)].astype(float)

    def feed(self, buffers: Iterable[Buffer], arrays: Iterable[np.ndarray]) -> None:
        """Inputs and target of a batch; all other tensors begin as NaN."""
        kept = {buffer: self.tensors[buffer] for buffer, _ in self.schedule.states}
        self.tensors = kept | dict(zip(buffers, arrays, strict=True))

    def run(self, calls: Iterable[Call], **live: float) -> None:
        """Calls in order; ``live`` has count, seed, step and lr."""
        for call in calls:
            numbers = {**call.baked, **call.passed}
            given = {name: known(number, live) for name, number in numbers.items()}
            kernel, count = call.kernel, int(live["count"])
            tensors = {name: self.read(call.reads[name], count) for name in kernel.tensors}
            out = self.array(call.out, count)
            made = evaluate(kernel, out.shape, tensors, given)
            out[...] = out + made if call.add else made

    def read(self, read: Any, count: int) -> Any:
        if isinstance(read, tuple):
            return [self.array(operand, count) for operand in read]
        return None if read is None else self.array(read, count)

    def array(self, operand: Operand, count: int) -> np.ndarray:
        """A view of the memory of an operand."""
        buffer, tensor = operand.buffer, operand.buffer.tensor
        if operand.part:
            return self.flat[buffer.name][slice(*operand.part)]
        if buffer.role in ("weight", "dweight"):
            start = self.starts[replace(buffer, role="weight")]
            whole = self.flat["p" if buffer.role == "weight" else "g"]
            return whole[start : start + tensor.size].reshape(operand.view)
        shape = (count, *tensor.dims) if tensor.batch else tensor.dims
        if buffer not in self.tensors:
            whole = tensor.dtype is DType.INT
            self.tensors[buffer] = np.full(shape, -1) if whole else np.full(shape, np.nan)
        return self.tensors[buffer].reshape(operand.view)

    def gradients(self) -> dict[str, np.ndarray]:
        return self.named("g")

    def parameters(self) -> dict[str, np.ndarray]:
        return self.named("p")

    def named(self, kind: str) -> dict[str, np.ndarray]:
        placed = self.schedule.weights
        return {
            str(p.buffer): self.flat[kind][p.start : p.start + p.size].reshape(p.weight.dims)
            for p in placed
        }


def known(number: Number, live: Mapping[str, float]) -> Any:
    """A number of a call, in this step."""
    if isinstance(number, Counted):
        return number.fn(**{name: known(each, live) for name, each in number.arguments})
    if isinstance(number, Scaled):
        return number.factor * live["count"]
    return live[number.name] if isinstance(number, Symbol) else number
