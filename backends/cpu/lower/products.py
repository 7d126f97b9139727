"""Gradients by weights that are not stored: the optimizer makes them as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from netdsl.backends.cpu.lower.lazy import COUNT, Source
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.ops.dense import Dense
from netdsl.optimizers.adam import Adam
from netdsl.optimizers.sgd import SGD
from netdsl.schedule import Buffer, Call, Number, Operand, Schedule

LARGE = 1 << 20
"""So many weights and more: below, the memory of their gradients is not worth a kernel."""
HOW, WHY = "made in the optimizer", "gradients of 2^20 weights or more are not stored"


@dataclass(frozen=True)
class Product:
    """The gradient by the weights of a dense layer as two matrices: ``y.T @ x``.

    ``part`` is where the weights lie among all weights; ``bias`` is for the sums of ``y``.
    """

    part: tuple[int, int]
    x: Operand
    y: Operand
    bias: Operand | None
    numbers: Mapping[str, Number]


class Products(dict[Buffer, Product]):
    """The products of a network, and the ``parts`` of all gradients that may be some."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        optimizers = {type(call.op) for call in schedule.update}
        made = [call.out.buffer for call in schedule.backward if isinstance(call.op, Dense)]
        gradients = ((replace(p.buffer, role="dweight"), p) for p in schedule.weights)
        self.parts = {
            gradient: (placed.start, placed.start + placed.size)
            for gradient, placed in gradients
            if placed.size >= LARGE and len(placed.weight.dims) == 2
            if made.count(gradient) == 1 and optimizers and optimizers <= {SGD, Adam}
        }

    def within(self, part: tuple[int, int]) -> list[Product]:
        """Those whose weights lie in a part of all, in their order."""
        found = (p for p in self.values() if part[0] <= p.part[0] and p.part[1] <= part[1])
        return sorted(found, key=lambda product: product.part)

    def between(self, part: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """What is left of a part without them."""
        start, stop = part
        for product in self.within(part):
            if start < product.part[0]:
                yield start, product.part[0]
            start = product.part[1]
        if start < stop:
            yield start, stop


def hold(low: Lowering, call: Call, x: Operand, dy: Source, bias: Operand | None) -> Product:
    """Keep copies of both matrices, which are small beside the weights."""
    co, ci = call.out.buffer.tensor.dims
    inputs, slopes = low.aux(call, "inputs", ci, True), low.aux(call, "slopes", co, True)
    low.spread(Source(x, None, None, ci, 0, 0.0, 0.0), inputs, 0)
    low.spread(dy, slopes, 0)
    numbers: dict[str, Number] = {"n": COUNT, "ci": ci, "co": co}
    part = low.products.parts[call.out.buffer]
    return Product(part, low.operand(inputs), low.operand(slopes), bias, numbers)
