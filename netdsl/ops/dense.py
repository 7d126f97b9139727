"""Fully connected layer."""

from __future__ import annotations

from netdsl.arguments import Count
from netdsl.errors import Problem
from netdsl.initializers.kaiming import Kaiming
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.sight import Sights
from netdsl.tensor import Tensor


class Dense(Layer, name="dense"):
    """``y = x @ weight.T + bias``: every unit sees every feature.

    The weight is ``units x features``, as PyTorch keeps it. A picture must be flattened first.

    - ``units``: how many outputs it has
    """

    units: Count
    bias: bool = True
    init: Initializer = Kaiming()
    bias_init: Initializer = Zeros()

    synonyms = {
        "use_bias": "bias",
        "out_features": "units",
        "num_output": "units",
        "kernel_initializer": "init",
    }
    examples = (("dense(3)", "5"), ("dense(units=2, bias=false)", "7"), ("dense(4)", "1"))

    def shape(self, x: Tensor) -> Tensor:
        if len(x.dims) != 1:
            help = "put flatten before it"
            if len(x.dims) == 2:
                help = f"write conv({self.units}, 1) for every position, or put flatten before it"
            raise Problem(f"dense wants a vector, not {x}", help)
        return Tensor((self.units,))

    def weights(self, x: Tensor) -> dict[str, Weight]:
        fans = (x.size, self.units)
        weights = {"weight": Weight((self.units, x.size), self.init, *fans)}
        if self.bias:
            weights["bias"] = Weight((self.units,), self.bias_init, *fans, decay=False)
        return weights

    def sees(self, x: Tensor) -> Sights | None:
        return None

    def formulas(self, x: Tensor) -> dict[str, str]:
        return {"MACs": f"{self.units} units * {x.size} features = {self.macs(x):,}"}

    def macs(self, x: Tensor) -> int:
        return self.units * x.size


@kernel(Dense)
def y(n, j, /, x, weight, bias):
    acc = real(0)
    for k in range(x.shape[1]):
        acc += x[n, k] * weight[j, k]
    if bias is not None:
        acc += bias[j]
    return acc


@kernel(Dense)
def dx(n, k, /, dy, weight):
    acc = real(0)
    for j in range(weight.shape[0]):
        acc += dy[n, j] * weight[j, k]
    return acc


@kernel(Dense)
def dweight(j, k, /, dy, x):
    acc = real(0)
    for n in range(x.shape[0]):
        acc += dy[n, j] * x[n, k]
    return acc


@kernel(Dense)
def dbias(j, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        acc += dy[n, j]
    return acc
