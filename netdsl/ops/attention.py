"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from netdsl.arguments import Count
from netdsl.errors import Problem
from netdsl.kernel import kernel, real
from netdsl.op import Layer
from netdsl.sight import Sights
from netdsl.tensor import Tensor, by_channel


class Attention(Layer, name="attention"):
    """``y = softmax(q . k / sqrt(d)) v`` for every head, over the positions (Vaswani et al. 2017).

    The input holds queries, keys and values one after the other, ``3 * c`` channels at every
    position (``conv(3 * in.c, 1)`` makes them); the output has ``c``.

    - ``heads``: how many attentions share the channels, each with its part of them
    """

    heads: Count = 1

    view = staticmethod(by_channel)
    synonyms = {"num_heads": "heads"}
    examples = (("attention", "6x3"), ("attention(2)", "12x4"))

    def shape(self, x: Tensor) -> Tensor:
        if len(x.dims) < 2 or x.channels % (3 * self.heads):
            raise Problem(
                f"attention wants positions of 3 * channels for {self.heads} heads, not {x}",
                help=f"make queries, keys and values with conv({3 * x.channels}, 1)"
                if x.dims
                else None,
            )
        return Tensor((x.channels // 3, *x.spatial))

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        positions = x.size // x.channels
        pairs = Tensor((self.heads * positions, positions))
        each = Tensor((self.heads, positions))
        return {"score": pairs, "log_sum": each, "dot": each, "dscore": pairs}

    def numbers(self, x: Tensor) -> dict[str, Any]:
        return {"heads": self.heads}

    def sees(self, x: Tensor) -> Sights | None:
        return None

    def formulas(self, x: Tensor) -> dict[str, str]:
        width, positions = x.channels // 3, x.size // x.channels
        scored = f"2 * {width} channels * {positions}*{positions} pairs of positions"
        return {"MACs": f"{scored} = {self.macs(x):,}"}

    def macs(self, x: Tensor) -> int:
        positions = x.size // x.channels
        return 2 * (x.channels // 3) * positions * positions


@kernel(Attention)
def score(n, row, t, /, x, *, heads):
    # row is a head and a position that asks; t is the position that answers.
    positions = x.shape[2]
    width = x.shape[1] // (3 * heads)
    head, s = row // positions, row % positions
    acc = real(0)
    for c in range(width):
        acc += x[n, head * width + c, s] * x[n, (heads + head) * width + c, t]
    return acc / real(width) ** real(0.5)


@kernel(Attention)
def log_sum(n, head, s, /, score):
    positions = score.shape[2]
    largest = score[n, head * positions + s, 0]
    for t in range(1, positions):
        largest = max(largest, score[n, head * positions + s, t])
    acc = real(0)
    for t in range(positions):
        acc += math.exp(score[n, head * positions + s, t] - largest)
    return largest + math.log(acc)


@kernel(Attention)
def y(n, c, s, /, x, score, log_sum, *, heads):
    positions = x.shape[2]
    width = x.shape[1] // (3 * heads)
    head = c // width
    acc = real(0)
    for t in range(positions):
        share = math.exp(score[n, head * positions + s, t] - log_sum[n, head, s])
        acc += share * x[n, 2 * heads * width + c, t]
    return acc


@kernel(Attention)
def dot(n, head, s, /, dy, y, *, heads):
    # The mean, by the shares, of the gradient by the answers: dy . y, since y is their mean.
    width = dy.shape[1] // heads
    acc = real(0)
    for c in range(head * width, (head + 1) * width):
        acc += dy[n, c, s] * y[n, c, s]
    return acc


@kernel(Attention)
def dscore(n, row, t, /, dy, x, score, log_sum, dot, *, heads):
    positions = x.shape[2]
    width = dy.shape[1] // heads
    head, s = row // positions, row % positions
    acc = real(0)
    for c in range(head * width, (head + 1) * width):
        acc += dy[n, c, s] * x[n, 2 * heads * width + c, t]
    share = math.exp(score[n, row, t] - log_sum[n, head, s])
    return share * (acc - dot[n, head, s]) / real(width) ** real(0.5)


@kernel(Attention)
def dx(n, c, s, /, dy, x, score, log_sum, dscore, *, heads):
    positions = x.shape[2]
    third = dy.shape[1]  # queries are the first third of x, keys the second, values the last
    own = c % third
    first = own // (third // heads) * positions
    acc = real(0)
    for t in range(positions):
        if c < third:
            acc += dscore[n, first + s, t] * x[n, third + own, t]
        elif c < 2 * third:
            acc += dscore[n, first + t, s] * x[n, own, t]
        else:
            share = math.exp(score[n, first + t, s] - log_sum[n, own // (third // heads), t])
            acc += share * dy[n, own, t]
    return acc
