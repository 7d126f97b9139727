"""Batch normalisation."""

from __future__ import annotations

from netdsl.arguments import Fraction, Positive
from netdsl.errors import Problem
from netdsl.initializers.ones import Ones
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, State, Weight
from netdsl.tensor import Tensor, by_channel


class BatchNorm(Layer, name="bn"):
    """``y = weight * (x - mean) / sqrt(var + eps) + bias``, statistics over batch and space.

    Ioffe and Szegedy 2015. Evaluation uses the running statistics: ``running = (1 - momentum) *
    running + momentum * new``, with the unbiased variance, as PyTorch does. A batch that has one
    value for a channel, which PyTorch refuses, leaves them as they are.

    - ``momentum``: how much a new batch counts in the running statistics
    """

    eps: Positive = 1e-5
    momentum: Fraction = 0.1
    affine: bool = True
    init: Initializer = Ones()
    bias_init: Initializer = Zeros()

    view = staticmethod(by_channel)
    synonyms = {"epsilon": "eps", "gamma_initializer": "init", "beta_initializer": "bias_init"}
    examples = (("bn", "2x3x2"), ("bn(eps=0.001, momentum=0.2)", "3"), ("bn(affine=false)", "2x4"))

    def __post_init__(self) -> None:
        if self.eps > 0.1:
            help = "what enters is known: write bn"
            if self.eps < 1:
                help = f"name the momentum: bn(momentum={self.eps:g})"
            raise Problem(f"eps of bn is at most 0.1, not {self.eps:g}", help, argument="eps")

    def shape(self, x: Tensor) -> Tensor:
        return x

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        if self.momentum < 0.9:
            return ()
        new = f"momentum={self.momentum:g} is what a new batch counts"
        return (f"{new}: Keras' {self.momentum:g} is {1 - self.momentum:.4g} here",)

    def weights(self, x: Tensor) -> dict[str, Weight]:
        if not self.affine:
            return {}
        return {
            "weight": Weight((x.channels,), self.init, decay=False),
            "bias": Weight((x.channels,), self.bias_init, decay=False),
        }

    def state(self, x: Tensor) -> dict[str, State]:
        return {
            "running_mean": State((x.channels,), 0.0),
            "running_var": State((x.channels,), 1.0),
        }

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        each = Tensor((x.channels,), batch=False)
        return dict.fromkeys(("mean", "var", "sum_dy", "sum_dy_x"), each)


@kernel(BatchNorm, when="train")
def mean(c, /, x):
    acc = real(0)
    for n in range(x.shape[0]):
        image = real(0)
        for s in range(x.shape[2]):
            image += x[n, c, s]
        acc += image
    return acc / real(x.shape[0] * x.shape[2])


@kernel(BatchNorm, when="train")
def var(c, /, x, mean):
    acc = real(0)
    for n in range(x.shape[0]):
        image = real(0)
        for s in range(x.shape[2]):
            image += (x[n, c, s] - mean[c]) * (x[n, c, s] - mean[c])
        acc += image
    return acc / real(x.shape[0] * x.shape[2])


@kernel(BatchNorm, when="train")
def running_mean(c, /, x, mean, running_mean, *, momentum):
    if x.shape[0] * x.shape[2] < 2:
        return running_mean[c]  # one value has no variance: it would spoil what is known
    return running_mean[c] + real(momentum) * (mean[c] - running_mean[c])


@kernel(BatchNorm, when="train")
def running_var(c, /, x, var, running_var, *, momentum):
    count = x.shape[0] * x.shape[2]
    if count < 2:
        return running_var[c]
    unbiased = var[c] * real(count) / real(count - 1)
    return running_var[c] + real(momentum) * (unbiased - running_var[c])


@kernel(BatchNorm, makes="mean", when="eval")
def mean_eval(c, /, running_mean):
    return running_mean[c]


@kernel(BatchNorm, makes="var", when="eval")
def var_eval(c, /, running_var):
    return running_var[c]


@kernel(BatchNorm)
def y(n, c, s, /, x, mean, var, weight, bias, *, eps):
    normal = (x[n, c, s] - mean[c]) / (var[c] + real(eps)) ** real(0.5)
    if weight is not None:
        normal = normal * weight[c] + bias[c]
    return normal


@kernel(BatchNorm)
def sum_dy(c, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        image = real(0)
        for s in range(dy.shape[2]):
            image += dy[n, c, s]
        acc += image
    return acc


@kernel(BatchNorm)
def sum_dy_x(c, /, dy, x, mean, var, *, eps):
    # The sum of dy times the normalised x.
    acc = real(0)
    for n in range(dy.shape[0]):
        image = real(0)
        for s in range(dy.shape[2]):
            image += dy[n, c, s] * (x[n, c, s] - mean[c])
        acc += image
    return acc / (var[c] + real(eps)) ** real(0.5)


@kernel(BatchNorm)
def dx(n, c, s, /, dy, x, mean, var, weight, sum_dy, sum_dy_x, *, eps):
    count = real(x.shape[0] * x.shape[2])
    inverse = real(1) / (var[c] + real(eps)) ** real(0.5)
    normal = (x[n, c, s] - mean[c]) * inverse
    grad = (dy[n, c, s] - sum_dy[c] / count - normal * sum_dy_x[c] / count) * inverse
    if weight is not None:
        grad = grad * weight[c]
    return grad


@kernel(BatchNorm)
def dweight(c, /, sum_dy_x):
    return sum_dy_x[c]


@kernel(BatchNorm)
def dbias(c, /, sum_dy):
    return sum_dy[c]
