"""Embeddings: vectors of words, and the gradients of all places of a word together."""

from __future__ import annotations

from netdsl.backends.cpu.matmul import clear, copy_rows, place_rows
from netdsl.backends.override import task, words

PLACES = 64
"""So many places of words are a task."""
VECTORS = 64
"""The gradients by the vectors of so many words are a task."""


def place_tasks(count):
    """A task for every so many places."""
    return (count + PLACES - 1) // PLACES


def vector_tasks(vocab):
    """A task for every so many words of the vocabulary."""
    return (vocab + VECTORS - 1) // VECTORS


@task(tasks=place_tasks)
def embedding_forward(
    first, last, scratch, out, x: words, weight, count: int, c: int, step: int, pad: int
):
    """``out[p] = weight[x[p]]``, and zeros for the word ``pad``."""
    for p in range(first * PLACES, min(last * PLACES, count)):
        if x[p] == pad:
            clear(out, p * step, step, 1, c)
        else:
            copy_rows(out, p * step, step, 1, c, weight, x[p] * c, c)


@task(writes=("out", "later"))
def embedding_chain(
    first, last, scratch, out: words, later: words, x: words, vocab: int, count: int
):
    """The first place of every word, and after every place the next one of its word.

    Where there is none it is ``count``.
    """
    for v in range(vocab):
        out[v] = count
    for p in range(count - 1, -1, -1):
        later[p] = out[x[p]]
        out[x[p]] = p


@task(tasks=vector_tasks)
def embedding_weight(
    first, last, scratch, out, dy, begin: words, later: words,
    vocab: int, count: int, c: int, step: int, pad: int, add: int,
):  # fmt: skip
    """``out[v]`` is the sum of ``dy`` over the places of the word, in their order."""
    for v in range(first * VECTORS, min(last * VECTORS, vocab)):
        place = count if v == pad else begin[v]
        more = add
        while place < count:
            place_rows(out, v * c, c, 1, c, dy, place * step, step, more)
            place, more = later[place], 1
        if not more:
            clear(out, v * c, c, 1, c)
