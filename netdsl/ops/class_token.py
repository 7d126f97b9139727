"""The class token of transformers."""

from __future__ import annotations

from netdsl.errors import Problem
from netdsl.initializers.zeros import Zeros
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.sight import Sights
from netdsl.tensor import Tensor


class ClassToken(Layer, name="class_token"):
    """``y = [weight, x]``: a learnt position before those of a sequence.

    What the network says of the whole sequence is read there: ``take(0)`` (Devlin et al. 2018;
    Dosovitskiy et al. 2020).
    """

    init: Initializer = Zeros()

    examples = (("class_token", "3x4"), ("class_token", "2x1"))

    def shape(self, x: Tensor) -> Tensor:
        if len(x.dims) != 2:
            raise Problem(
                f"class_token wants a sequence, channels x positions, not {x}",
                help="a picture becomes a sequence with: sequence",
            )
        return Tensor((x.channels, x.dims[1] + 1))

    def sees(self, x: Tensor) -> Sights | None:
        return ()

    def weights(self, x: Tensor) -> dict[str, Weight]:
        return {"weight": Weight((x.channels,), self.init, decay=False)}


@kernel(ClassToken)
def y(n, c, s, /, x, weight):
    return x[n, c, s - 1] if s > 0 else weight[c]


@kernel(ClassToken)
def dx(n, c, s, /, dy):
    return dy[n, c, s + 1]


@kernel(ClassToken)
def dweight(c, /, dy):
    acc = real(0)
    for n in range(dy.shape[0]):
        acc += dy[n, c, 0]
    return acc
