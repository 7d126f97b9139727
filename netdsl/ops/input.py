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
        if len(dims) != 3 or dims[2] not in (1, 3) or not dims[0] == dims[1] > dims[2]:
            return ()
        given, first = dims_text(dims), dims_text((dims[2], *dims[:2]))
        return (
            f"{given} is {dims[0]} channels of {given[len(str(dims[0])) + 1 :]}: is it {first}?",
        )
