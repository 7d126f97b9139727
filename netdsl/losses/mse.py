"""Mean squared error."""

from __future__ import annotations

from netdsl.kernel import kernel, real
from netdsl.op import Loss
from netdsl.tensor import Tensor, by_channel


class MeanSquaredError(Loss, name="mse"):
    """``loss = mean((x - target)**2)``, over all elements, as ``torch.nn.MSELoss`` has it."""

    view = staticmethod(by_channel)
    examples = (("mse", "3"), ("mse", "2x3x2"))

    def target(self, x: Tensor) -> Tensor:
        return x

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {"each": Tensor(x.dims[:1])}


@kernel(MeanSquaredError)
def each(n, c, _, /, x, target):
    acc = real(0)
    for s in range(x.shape[2]):
        acc += (x[n, c, s] - target[n, c, s]) * (x[n, c, s] - target[n, c, s])
    return acc / real(x.shape[2])


@kernel(MeanSquaredError)
def y(_, /, each, *, scale):
    acc = real(0)
    for n in range(each.shape[0]):
        sample = real(0)
        for c in range(each.shape[1]):
            sample += each[n, c, 0]
        acc += sample
    return real(scale) * acc / real(each.shape[0] * each.shape[1])


@kernel(MeanSquaredError)
def dx(n, c, s, /, x, target, *, scale):
    share = real(2 * scale) / real(x.shape[0] * x.shape[1] * x.shape[2])
    return (x[n, c, s] - target[n, c, s]) * share
