"""Cross-entropy from logits."""

from __future__ import annotations

import math

from netdsl.arguments import Rate
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Loss
from netdsl.tensor import DType, Tensor, by_channel


class CrossEntropy(Loss, name="cross_entropy"):
    """``loss = mean(logsumexp(x) - x[target])``: softmax and logarithm in one, from logits.

    The target is a class, or one for every position.

    - ``smoothing``: the part of the target that is spread over all classes (Szegedy et al. 2015)
    """

    smoothing: Rate = 0.0

    view = staticmethod(by_channel)
    contains = "softmax"
    synonyms = {"label_smoothing": "smoothing"}
    examples = (("cross_entropy", "4"), ("cross_entropy(smoothing=0.1)", "3x2"))

    def target(self, x: Tensor) -> Tensor:
        if not x.dims or x.channels < 2:
            help = "a single logit wants binary_cross_entropy" if x.size == 1 else None
            help = "a score for each class comes from dense(10)" if x.size > 1 else help
            raise Problem(f"cross_entropy wants at least two classes, not {x}", help)
        return Tensor((1, *x.spatial), DType.INT)

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"log_sum": Tensor((1, *x.spatial)), "each": Tensor((1, *x.spatial))}


@kernel(CrossEntropy)
def log_sum(n, _, s, /, x):
    largest = x[n, 0, s]
    for c in range(1, x.shape[1]):
        largest = max(largest, x[n, c, s])
    acc = real(0)
    for c in range(x.shape[1]):
        acc += math.exp(x[n, c, s] - largest)
    return largest + math.log(acc)


@kernel(CrossEntropy)
def each(n, _, s, /, x, target, log_sum, *, smoothing):
    loss = log_sum[n, 0, s] - x[n, target[n, 0, s], s]
    if smoothing > 0:
        acc = real(0)
        for c in range(x.shape[1]):
            acc += log_sum[n, 0, s] - x[n, c, s]
        loss = real(1 - smoothing) * loss + real(smoothing) * acc / real(x.shape[1])
    return loss


@kernel(CrossEntropy)
def y(_, /, each, *, scale):
    acc = real(0)
    for n in range(each.shape[0]):
        image = real(0)
        for s in range(each.shape[2]):
            image += each[n, 0, s]
        acc += image
    return real(scale) * acc / real(each.shape[0] * each.shape[2])


@kernel(CrossEntropy)
def dx(n, c, s, /, x, target, log_sum, *, smoothing, scale):
    wanted = real(smoothing) / real(x.shape[1])
    if c == target[n, 0, s]:
        wanted += real(1 - smoothing)
    share = real(scale) / real(x.shape[0] * x.shape[2])
    return (math.exp(x[n, c, s] - log_sum[n, 0, s]) - wanted) * share
