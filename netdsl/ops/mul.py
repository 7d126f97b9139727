"""Elementwise product of several inputs, of which some may be gates."""

from __future__ import annotations

from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.tensor import Tensor, by_channel


class Mul(Layer, name="mul"):
    """``y = x0 * x1 * ...``: gates (Srivastava et al. 2015, "Highway networks").

    A branch of one number a channel, ``64`` or ``64x1x1`` beside ``64x56x56``, scales all positions
    of its channel: squeeze and excitation (Hu et al. 2017). Its gradient is the sum over them.
    """

    view = staticmethod(by_channel)
    join = True
    examples = (
        ("mul", "2x3", "2x3"),
        ("mul", "4", "4", "4"),
        ("mul", "2"),
        ("mul", "2x3x2", "2"),
        ("mul", "2x1x1", "2x2x3", "2x2x3", "2"),
    )

    def shape(self, *xs: Tensor) -> Tensor:
        whole = max(xs, key=lambda x: (x.size, len(x.dims)))
        gates = (whole.dims[:1], (*whole.dims[:1], *(1 for _ in whole.spatial)))
        for x in xs:
            if x != whole and (x.dims not in gates or x.dtype is not whole.dtype):
                raise Problem(
                    f"mul joins equal shapes, not {whole} and {x}",
                    help="make every branch end with the same shape, or with one number for each"
                    f" channel: global_avgpool -> dense({whole.channels})",
                )
        return whole


@kernel(Mul)
def y(n, c, s, /, *xs):
    product = real(1)
    for x in xs:
        product *= x[n, c, s if x.shape[2] > 1 else 0]
    return product


@kernel(Mul)
def dx(n, c, s, /, dy, *xs, which):
    # A gate has its one place where the others have all of theirs.
    gate = xs[which].shape[2] < dy.shape[2]
    acc = real(0)
    for t in range(0 if gate else s, dy.shape[2] if gate else s + 1):
        product = dy[n, c, t]
        for other in range(len(xs)):
            if other != which:
                product *= xs[other][n, c, t if xs[other].shape[2] > 1 else 0]
        acc += product
    return acc
