"""The step of an optimizer: what it keeps, and the weights, in one pass."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.backends.cpu.lower.lowering import Lowering
from netdsl.backends.cpu.optimizer import adam_step, sgd_step
from netdsl.optimizers.adam import Adam
from netdsl.optimizers.sgd import SGD
from netdsl.schedule import Call, Number, Operand


def following(low: Lowering, *names: str) -> Iterator[Call]:
    """This call and those right after it, which make what is named."""
    for offset, name in enumerate(names):
        call = low.calls[low.at + offset]
        assert call.kernel.makes == name, f"{call.kernel.makes} stands where {name} should"
        yield call


def numbers(*calls: Call) -> dict[str, Number]:
    """All numbers of some calls, and how many weights they change."""
    part = calls[0].out.part
    assert part is not None
    found: dict[str, Number] = {"size": part[1] - part[0]}
    for call in calls:
        found |= {**call.baked, **call.passed}
    return found


def gradient(call: Call) -> Operand:
    """The gradients that a call reads."""
    read = call.reads["g"]
    assert isinstance(read, Operand)
    return read


def sgd(low: Lowering, call: Call) -> bool:
    """Velocity and weights."""
    velocity, p = following(low, "velocity", "p")
    low.take(velocity, p)
    known = {"velocity": velocity.out, "g": gradient(velocity)}
    told = numbers(velocity, p)
    low.emit(sgd_step, p.out, known, {**told, "nesterov": int(bool(told["nesterov"]))})
    return True


def adam(low: Lowering, call: Call) -> bool:
    """Both means and weights."""
    m, v, p = following(low, "m", "v", "p")
    low.take(m, v, p)
    known = {"m": m.out, "v": v.out, "g": gradient(m)}
    low.emit(adam_step, p.out, known, numbers(m, v, p))
    return True


RULES = {(SGD, "velocity"): sgd, (Adam, "m"): adam}
