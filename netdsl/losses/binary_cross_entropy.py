"""Binary cross-entropy from a logit."""

from __future__ import annotations

import math

from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Loss
from netdsl.tensor import DType, Tensor, by_channel


class BinaryCrossEntropy(Loss, name="binary_cross_entropy"):
    """``loss = mean(log(1 + exp(x)) - target * x)``: sigmoid and logarithm in one, from a logit.

    The target is 0 or 1, one for every position. It is cross-entropy over two classes whose logits
    are 0 and ``x``; written so that no exponential overflows.
    """

    view = staticmethod(by_channel)
    contains = "sigmoid"
    examples = (("binary_cross_entropy", "1"), ("binary_cross_entropy", "1x3"))

    def target(self, x: Tensor) -> Tensor:
        if not x.dims or x.channels != 1:
            raise Problem(
                f"binary_cross_entropy wants a single logit, not {x}",
                help="several classes want cross_entropy, one logit is made by dense(1)",
            )
        return Tensor((1, *x.spatial), DType.INT)

    def classes(self, x: Tensor) -> int:
        return 2

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"each": x}


@kernel(BinaryCrossEntropy)
def each(n, _, s, /, x, target):
    logit = x[n, 0, s]
    largest = max(logit, real(0))
    return largest - logit * real(target[n, 0, s]) + math.log1p(math.exp(-abs(logit)))


@kernel(BinaryCrossEntropy)
def y(_, /, each, *, scale):
    acc = real(0)
    for n in range(each.shape[0]):
        sample = real(0)
        for s in range(each.shape[2]):
            sample += each[n, 0, s]
        acc += sample
    return real(scale) * acc / real(each.shape[0] * each.shape[2])


@kernel(BinaryCrossEntropy)
def dx(n, _, s, /, x, target, *, scale):
    logit = x[n, 0, s]
    small = math.exp(-abs(logit))
    chance = (real(1) if logit >= 0 else small) / (real(1) + small)
    share = real(scale) / real(x.shape[0] * x.shape[2])
    return (chance - real(target[n, 0, s])) * share
