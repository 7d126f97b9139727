"""The step of an optimizer: what it keeps, and the weights, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from netdsl.backends.cpu.dense_update import dense_adam, dense_sgd
from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.optimizer import adam_step, sgd_step
from netdsl.optimizers.adam import Adam
from netdsl.optimizers.sgd import SGD
from netdsl.schedule import Call, Number, Operand

Body = Callable[..., Any]


def following(low: Lowering, *names: str) -> Iterator[Call]:
    """This call and those right after it, which make what is named."""
    for offset, name in enumerate(names):
        call = low.calls[low.at + offset]
        assert call.kernel.makes == name, f"{call.kernel.makes} stands where {name} should"
        yield call


def numbers(*calls: Call) -> dict[str, Number]:
    """All numbers of some calls."""
    return {name: value for c in calls for name, value in {**c.baked, **c.passed}.items()}


def step(
    low: Lowering, calls: list[Call], whole: Body, product: Body, told: dict[str, Number]
) -> bool:
    """What the optimizer keeps, and the weights: those of large dense layers by themselves.

    The last of the calls makes the weights, each of those before it what is kept by its name.
    """
    *slots, p = calls
    low.take(*calls)
    part, g = p.out.part, slots[0].reads["g"]
    assert part is not None and isinstance(g, Operand)
    for each in low.products.within(part):
        kept = {slot.kernel.makes: replace(slot.out, part=each.part) for slot in slots}
        reads = {**kept, "dbias": each.bias, "x": each.x, "y": each.y}
        low.emit(product, replace(p.out, part=each.part), reads, {**told, **each.numbers})
    for start, stop in low.products.between(part):
        kept = {slot.kernel.makes: replace(slot.out, part=(start, stop)) for slot in slots}
        reads = {**kept, "g": replace(g, part=(start, stop))}
        low.emit(whole, replace(p.out, part=(start, stop)), reads, {**told, "size": stop - start})
    return True


def sgd(low: Lowering, call: Call) -> bool:
    """Velocity and weights."""
    calls = list(following(low, "velocity", "p"))
    told = numbers(*calls)
    return step(low, calls, sgd_step, dense_sgd, {**told, "nesterov": int(bool(told["nesterov"]))})


def adam(low: Lowering, call: Call) -> bool:
    """Both means and weights."""
    calls = list(following(low, "m", "v", "p"))
    return step(low, calls, adam_step, dense_adam, numbers(*calls))


RULES = {(SGD, "velocity"): sgd, (Adam, "m"): adam}
