"""The memory of a step: tensors that are never wanted at the same time share a place."""

import math

import numpy as np

LINE = 64  # tensors begin with a line of the cache


def memory_of(shapes, lives):
    """An array for every tensor of a step, of its shape and type, all in one piece of memory."""
    sizes = sizes_of(shapes)
    places, size = arrange(sizes, lives)
    arena = np.zeros(size + 2 * LINE, np.uint8)
    start = -arena.ctypes.data % LINE
    return {
        name: arena[start + at : start + at + sizes[name]]
        .view(shapes[name][1])
        .reshape(shapes[name][0])
        for name, at in places.items()
    }


def room_of(shapes, lives):
    """The bytes of that memory."""
    return arrange(sizes_of(shapes), lives)[1]


def sizes_of(shapes):
    """The bytes of every tensor by itself."""
    return {
        name: math.prod(shape) * np.dtype(kind).itemsize for name, (shape, kind) in shapes.items()
    }


def arrange(sizes, lives):
    """Where each tensor begins, and how many bytes all take.

    Each comes to the lowest place that is free as long as it lives: ``lives`` has for every tensor
    its first and last call in several sequences of calls, which do not meet. What lives in the
    first of them, in training, comes before the rest, so that training touches no more than it
    must; of either the largest come first.
    """

    def rank(name):
        first, last = lives[name][0]
        return first > last, -sizes[name], name

    order = sorted(sizes, key=rank)
    spans = np.array([lives[name] for name in order], np.int64).reshape(len(order), -1, 2)
    begins = np.zeros(len(order), np.int64)
    ends = np.zeros(len(order), np.int64)
    places, size = {}, 0
    for i, name in enumerate(order):
        meet = (spans[:i, :, 0] <= spans[i, :, 1]) & (spans[:i, :, 1] >= spans[i, :, 0])
        others = np.flatnonzero(meet.any(1))
        others = others[np.argsort(begins[others], kind="stable")]
        wanted, at = -(-sizes[name] // LINE) * LINE, 0
        for other in others:
            if begins[other] - at >= wanted:
                break
            at = max(at, ends[other])
        begins[i], ends[i] = at, at + wanted
        places[name], size = int(at), max(size, int(at) + wanted)
    return places, size
