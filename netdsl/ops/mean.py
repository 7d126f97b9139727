"""Elementwise mean of several inputs, of which training may drop some."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Rate
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.random import uniform
from netdsl.tensor import Tensor, agree, rows


class Mean(Layer, name="mean"):
    """``y = (x0 + x1 + ...) / count``: branches that vote (Ciresan et al. 2012).

    The mean over those that stay is the local drop-path of FractalNet (Larsson et al. 2016).

    - ``drop``: how likely training leaves out a branch of a sample; never all of them: were all to
      go, one stays, each as likely
    """

    drop: Rate = 0.0

    view = staticmethod(rows)
    join = True
    examples = (
        ("mean", "2x3", "2x3"),
        ("mean(0.4)", "4", "4", "4"),
        ("mean(drop=0.9)", "3", "3"),
        ("mean", "2"),
    )

    def shape(self, *xs: Tensor) -> Tensor:
        return agree("mean", xs)

    def aux(self, *xs: Tensor) -> dict[str, Tensor]:
        return {"share": Tensor((len(xs),))}

    def numbers(self, *xs: Tensor) -> dict[str, Any]:
        return {"drop": self.drop, "count": len(xs)}


@kernel(Mean, when="train")
def share(n, branch, /, *, drop, count, seed, step, layer):
    # The part that a branch has in the mean: nothing, or the same as every other that stays.
    luckiest = real(0)
    for other in range(count):
        luckiest = max(luckiest, uniform(seed, step, layer, n * count + other))
    needed = min(real(drop), luckiest)
    if uniform(seed, step, layer, n * count + branch) < needed:
        return real(0)
    staying = real(0)
    for other in range(count):
        if uniform(seed, step, layer, n * count + other) >= needed:
            staying += real(1)
    return real(1) / staying


@kernel(Mean, makes="share", when="eval")
def share_eval(n, branch, /, *, count):
    return real(1) / real(count)


@kernel(Mean)
def y(n, e, /, share, *xs):
    acc = real(0)
    for branch in range(len(xs)):
        acc += share[n, branch] * xs[branch][n, e]
    return acc


@kernel(Mean)
def dx(n, e, /, dy, share, *, which):
    return dy[n, e] * share[n, which]
