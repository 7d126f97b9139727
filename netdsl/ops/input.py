"""Where data enters."""

from __future__ import annotations

from typing import Literal

from netdsl.arguments import Sizes
from netdsl.op import Layer
from netdsl.tensor import DType, Tensor


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
