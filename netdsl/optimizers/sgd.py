"""Stochastic gradient descent."""

from __future__ import annotations

from netdsl.arguments import NonNegative, Rate
from netdsl.errors import Problem
from netdsl.kernel import elementwise, real
from netdsl.op import Optimizer


class SGD(Optimizer, name="sgd"):
    """``v = momentum * v + g;  p = p - lr * v``, with weight decay added to ``g``, as in PyTorch.

    - ``nesterov``: look ahead: ``p = p - lr * (g + momentum * v)`` (Sutskever et al. 2013)
    """

    lr: NonNegative = 0.01
    momentum: Rate = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0
    decay_bn: bool = True

    slots = ("velocity",)
    synonyms = {"learning_rate": "lr", "decay": "weight_decay"}
    examples = (
        ("sgd(lr=0.1)",),
        ("sgd(lr=0.1, momentum=0.9, weight_decay=0.01)",),
        ("sgd(lr=0.05, momentum=0.8, nesterov=true)",),
    )

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise Problem("nesterov needs a momentum above 0", argument="nesterov")


@elementwise(SGD)
def velocity(velocity, g, p, *, momentum, weight_decay):
    return real(momentum) * velocity + g + real(weight_decay) * p


@elementwise(SGD)
def p(p, g, velocity, *, lr, momentum, weight_decay, nesterov):
    if nesterov:
        return p - real(lr) * (g + real(weight_decay) * p + real(momentum) * velocity)
    return p - real(lr) * velocity
