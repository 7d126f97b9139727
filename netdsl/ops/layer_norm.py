"""Layer normalisation."""

from __future__ import annotations

from netdsl.arguments import Positive
from netdsl.errors import Problem
from netdsl.initializers.ones import Ones
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.sight import SAME, Sights
from netdsl.tensor import Tensor, by_channel


class LayerNorm(Layer, name="layer_norm"):
    """``y = weight * (x - mean) / sqrt(var + eps) + bias``, statistics over the channels.

    Ba et al. 2016, at every position by itself, as transformers use it.
    """

    eps: Positive = 1e-5
    affine: bool = True
    init: Initializer = Ones()
    bias_init: Initializer = Zeros()

    view = staticmethod(by_channel)
    synonyms = {"epsilon": "eps", "elementwise_affine": "affine"}
    examples = (
        ("layer_norm", "5x3"),
        ("layer_norm(eps=0.001)", "6"),
        ("layer_norm(affine=false)", "4x2"),
    )

    def __post_init__(self) -> None:
        if self.eps > 0.1:
            help = "what enters is known: write layer_norm"
            raise Problem(
                f"eps of layer_norm is at most 0.1, not {self.eps:g}", help, argument="eps"
            )

    def shape(self, x: Tensor) -> Tensor:
        return x

    def weights(self, x: Tensor) -> dict[str, Weight]:
        if not self.affine:
            return {}
        return {
            "weight": Weight((x.channels,), self.init, decay=False),
            "bias": Weight((x.channels,), self.bias_init, decay=False),
        }

    def sees(self, x: Tensor) -> Sights | None:
        return (SAME,) * len(x.spatial) or None

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        each = Tensor((1, *x.spatial))
        return dict.fromkeys(("mean", "inverse", "sum_dy", "sum_dy_x"), each)


@kernel(LayerNorm)
def mean(n, _, s, /, x):
    acc = real(0)
    for c in range(x.shape[1]):
        acc += x[n, c, s]
    return acc / real(x.shape[1])


@kernel(LayerNorm)
def inverse(n, _, s, /, x, mean, *, eps):
    acc = real(0)
    for c in range(x.shape[1]):
        acc += (x[n, c, s] - mean[n, 0, s]) * (x[n, c, s] - mean[n, 0, s])
    return real(1) / (acc / real(x.shape[1]) + real(eps)) ** real(0.5)


@kernel(LayerNorm)
def y(n, c, s, /, x, mean, inverse, weight, bias):
    normal = (x[n, c, s] - mean[n, 0, s]) * inverse[n, 0, s]
    if weight is not None:
        normal = normal * weight[c] + bias[c]
    return normal


@kernel(LayerNorm)
def sum_dy(n, _, s, /, dy, weight):
    acc = real(0)
    for c in range(dy.shape[1]):
        if weight is not None:
            acc += dy[n, c, s] * weight[c]
        else:
            acc += dy[n, c, s]
    return acc


@kernel(LayerNorm)
def sum_dy_x(n, _, s, /, dy, x, mean, inverse, weight):
    # The sum of dy (by the normalised x) times the normalised x.
    acc = real(0)
    for c in range(dy.shape[1]):
        grad = dy[n, c, s]
        if weight is not None:
            grad = grad * weight[c]
        acc += grad * (x[n, c, s] - mean[n, 0, s]) * inverse[n, 0, s]
    return acc


@kernel(LayerNorm)
def dx(n, c, s, /, dy, x, mean, inverse, weight, sum_dy, sum_dy_x):
    grad = dy[n, c, s]
    if weight is not None:
        grad = grad * weight[c]
    normal = (x[n, c, s] - mean[n, 0, s]) * inverse[n, 0, s]
    count = real(x.shape[1])
    return (grad - sum_dy[n, 0, s] / count - normal * sum_dy_x[n, 0, s] / count) * inverse[n, 0, s]


@kernel(LayerNorm)
def dweight(c, /, dy, x, mean, inverse):
    acc = real(0)
    for n in range(x.shape[0]):
        sample = real(0)
        for s in range(x.shape[2]):
            sample += dy[n, c, s] * (x[n, c, s] - mean[n, 0, s]) * inverse[n, 0, s]
        acc += sample
    return acc


@kernel(LayerNorm)
def dbias(c, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        sample = real(0)
        for s in range(dy.shape[2]):
            sample += dy[n, c, s]
        acc += sample
    return acc
