"""A claim about the network that the compiler checks."""

from __future__ import annotations

from netdsl.arguments import Count, Sizes
from netdsl.errors import Problem
from netdsl.op import Layer
from netdsl.tensor import Tensor


class Expect(Layer, name="expect"):
    """``y = x``, and the compiler makes sure that the shape and the parameters are these.

    - ``sizes``: the shape here, ``256x56x56``, or a number for a vector
    - ``params``: how many numbers the network learns up to here
    """

    sizes: Sizes | None = None
    params: Count | None = None

    alias = True
    synonyms = {"shape": "sizes", "parameters": "params"}
    examples = (("expect(2x3)", "2x3"), ("expect(4, params=10)", "4"), ("expect(params=1)", "2x1"))

    def __post_init__(self) -> None:
        if self.sizes is None and self.params is None:
            raise Problem("expect wants a shape, or params, or both", help="write expect(64x56x56)")

    @property
    def dims(self) -> tuple[int, ...] | None:
        """The sizes as a tensor has them, if they are given."""
        return (self.sizes,) if isinstance(self.sizes, int) else self.sizes

    def shape(self, x: Tensor) -> Tensor:
        return x
