"""Where data enters."""

from __future__ import annotations

from typing import Literal

from netdsl.arguments import Sizes
from netdsl.op import Layer
from netdsl.tensor import DType, Tensor, dims_text


class Input(Layer, name="input"):
    """``y`` is what the user feeds: ``input image(3x224x224)``, ``input review(200, dtype=int)``.

    - ``sizes``: the shape of one sample, channels first
    - ``dtype``: ``int`` for what is counted: words of a text, classes
    """

    sizes: Sizes
    dtype: Literal["real", "int"] = "real"

    synonyms = {"shape": "sizes"}
    examples = (("input(3x4x5)",), ("input(7)",), ("input(20, dtype=int)",))

    def shape(self) -> Tensor:
        dims = (self.sizes,) if isinstance(self.sizes, int) else self.sizes
        return Tensor(dims, DType(self.dtype))

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        dims = self.shape().dims
        given = dims_text(dims)
        if len(dims) == 4 and dims[1] in (1, 3) and dims[2] == dims[3] > dims[1]:
            meant = dims_text(dims[1:])
            return (f"{given} is {dims[0]} channels of {meant}, without a batch: is it {meant}?",)
        if len(dims) == 3 and dims[2] in (1, 3) and dims[0] == dims[1] > dims[2]:
            meant = dims_text((dims[2], *dims[:2]))
            return (f"{given} is {dims[0]} channels of {dims_text(dims[1:])}: is it {meant}?",)
        return ()
