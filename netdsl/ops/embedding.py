"""Learnt vectors for whole numbers."""

from __future__ import annotations

from typing import Any

from netdsl.arguments import Count, Index
from netdsl.errors import Problem
from netdsl.initializers.normal import Normal
from netdsl.kernel import kernel, real
from netdsl.op import Initializer, Layer, Weight
from netdsl.sight import Sights
from netdsl.tensor import DType, Tensor, by_channel


def by_place(tensor: Tensor) -> tuple[int, ...]:
    """Whole numbers as ``(batch, position)``, vectors as ``(batch, channel, position)``."""
    return (-1, tensor.size) if tensor.dtype is DType.INT and tensor.batch else by_channel(tensor)


class Embedding(Layer, name="embedding"):
    """``y[:, t] = weight[x[t]]``: a learnt vector for every word (Bengio et al. 2003).

    The input holds whole numbers from 0 to ``vocab - 1``; others are refused when they come in. A
    sequence of ``n`` becomes ``dim x n``. Parameters: ``vocab * dim``. Vectors begin with variance
    1, as the layers that follow assume.

    - ``vocab``: how many numbers, words, there are
    - ``dim``: how long their vectors are
    - ``pad``: the number that stands for no word: its vector is zero and stays so
    """

    vocab: Count
    dim: Count
    pad: Index | None = None
    init: Initializer = Normal(1.0)

    view = staticmethod(by_place)
    takes = DType.INT
    synonyms = {
        "num_embeddings": "vocab", "input_dim": "vocab", "vocab_size": "vocab",
        "embedding_dim": "dim", "output_dim": "dim", "padding_idx": "pad",
        "embeddings_initializer": "init",
    }  # fmt: skip
    examples = (
        ("embedding(5, 3)", "4"),
        ("embedding(3, 2, pad=0)", "6"),
        ("embedding(vocab=2, dim=1)", "2x3"),
    )

    def shape(self, x: Tensor) -> Tensor:
        if self.pad is not None and self.pad >= self.vocab:
            raise Problem(f"pad={self.pad} is not below vocab={self.vocab}", argument="pad")
        return Tensor((self.dim, *x.dims))

    def sees(self, x: Tensor) -> Sights | None:
        return ()

    def bound(self) -> int:
        return self.vocab

    def weights(self, x: Tensor) -> dict[str, Weight]:
        return {"weight": Weight((self.vocab, self.dim), self.init)}

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        return {
            "first": Tensor((self.vocab,), DType.INT, batch=False),
            "later": Tensor((x.size,), DType.INT),
        }

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"pad": -1 if self.pad is None else self.pad}


@kernel(Embedding)
def y(n, c, t, /, x, weight, *, pad):
    return real(0) if x[n, t] == pad else weight[x[n, t], c]


# All places of a word are a chain, in order: so its gradient reads them and no others.


@kernel(Embedding)
def first(v, /, x):
    # The first place of a word in the batch; the number of all places if there is none.
    positions = x.shape[1]
    found = x.shape[0] * positions
    for n in range(x.shape[0]):
        for t in range(positions):
            if x[n, t] == v:
                found = min(found, n * positions + t)
    return found


@kernel(Embedding)
def later(n, t, /, x):
    # The next place of the same word.
    positions = x.shape[1]
    for q in range(t + 1, positions):
        if x[n, q] == x[n, t]:
            return n * positions + q
    for m in range(n + 1, x.shape[0]):
        for q in range(positions):
            if x[m, q] == x[n, t]:
                return m * positions + q
    return x.shape[0] * positions


@kernel(Embedding)
def dweight(v, c, /, dy, x, first, later, *, pad):
    positions = x.shape[1]
    stop = x.shape[0] * positions
    acc = real(0)
    place = stop if v == pad else first[v]
    while place < stop:
        acc += dy[place // positions, c, place % positions]
        place = later[place // positions, place % positions]
    return acc
