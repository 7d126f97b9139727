"""Adam."""

from __future__ import annotations

import math

from netdsl.arguments import NonNegative, Positive, Rate
from netdsl.kernel import elementwise, real
from netdsl.op import Optimizer


class Adam(Optimizer, name="adam"):
    """``p = p - lr * m' / (sqrt(v') + eps)``, m and v running means of ``g`` and ``g**2``.

    Kingma and Ba 2015; ``m'`` and ``v'`` are corrected for their start at zero: ``m / (1 -
    beta1**step)``. Weight decay is added to ``g`` (L2), as ``torch.optim.Adam`` does it.
    """

    lr: NonNegative = 0.001
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decay_bn: bool = True

    slots = ("m", "v")
    synonyms = {
        "learning_rate": "lr",
        "beta_1": "beta1",
        "beta_2": "beta2",
        "epsilon": "eps",
    }
    examples = (
        ("adam",),
        ("adam(lr=0.01, beta1=0.8, beta2=0.99, eps=0.001)",),
        ("adam(0.02, weight_decay=0.1)",),
    )


@elementwise(Adam)
def m(m, g, p, *, beta1, weight_decay):
    return real(beta1) * m + real(1 - beta1) * (g + real(weight_decay) * p)


@elementwise(Adam)
def v(v, g, p, *, beta2, weight_decay):
    decayed = g + real(weight_decay) * p
    return real(beta2) * v + real(1 - beta2) * decayed * decayed


@elementwise(Adam)
def p(p, m, v, *, lr, beta1, beta2, eps, step):
    # The corrections stay in double: 1 - beta2**step would lose digits in the first steps.
    rate = real(lr / (1 - beta1**step))
    root = real(math.sqrt(1 - beta2**step))
    return p - rate * m / (math.sqrt(v) / root + real(eps))
