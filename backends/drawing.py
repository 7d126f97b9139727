"""The first weights of a network, by the laws of its layers."""

import math

import numpy as np

DRAWN = 1 << 18  # so many numbers at a time: in double precision they take room, too


def draw(generator, law, value, sizes):
    """Weights by a law and its number: normal (std), uniform (bound), orthogonal (gain) ...

    They come in pieces, one after the other; the pieces are the same numbers as the whole.
    """
    if law in ("normal", "uniform"):
        left = math.prod(sizes)
        while left:
            count = min(left, DRAWN)
            if law == "normal":
                yield value * generator.standard_normal(count)
            else:
                yield generator.uniform(-value, value, count)
            left -= count
    elif law == "orthogonal":
        yield value * orthogonal(generator, sizes)
    elif law == "forget":  # one gate of four, the second
        yield np.repeat((0.0, value, 0.0, 0.0), sizes[0] // 4)
    elif law == "bilinear":
        yield value * hats(sizes)
    else:
        yield np.full(sizes, value)


def hats(sizes):
    """Every channel goes on alone, spread over the window by a hat along each axis."""
    weight = np.eye(*sizes[:2])
    for size in sizes[2:]:
        middle, half = (size - 1) / 2, (size + 1) // 2
        weight = weight[..., None] * (1 - abs(np.arange(size) - middle) / half)
    return weight


def orthogonal(generator, sizes):
    """A random matrix with a row for each output: rows, or columns if fewer, are orthonormal."""
    rows, columns = sizes[0], math.prod(sizes[1:])
    tall = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return (q if rows >= columns else q.T).reshape(sizes)
