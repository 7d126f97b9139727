"""Arrays that users give, in the sizes that kernels want."""

import numpy as np


def check(array, name, sizes, kind, classes):
    """The array in the sizes that the kernels want; ValueError if it does not suit.

    Axes of extent one do not count: ``(100, 28, 28)`` is as good as ``(100, 1, 28, 28)``.
    """
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} is no array, its samples have different lengths") from error
    if array.ndim == 0 or squeezed(array.shape[1:]) != squeezed(sizes):
        wanted = ", ".join(map(str, ("samples", *sizes)))
        message = f"{name} has the shape {array.shape}, not ({wanted})"
        if sizes[:1] == (1,) and array.shape[1:] == (classes, *sizes[1:]):
            message += ": class numbers are wanted: y.argmax(1)"
        raise ValueError(message)
    if not len(array):
        raise ValueError(f"{name} has no samples")
    if array.dtype.kind not in ("iu" if kind == "int" else "iufb"):
        wanted = "whole numbers" if kind == "int" else "numbers"
        raise ValueError(f"{name} must be {wanted}, not {array.dtype}")
    if kind == "int":
        last = 2**31 - 1 if classes is None else classes - 1
        first = -(2**31) if classes is None else 0
        if array.min() < first or array.max() > last:
            raise ValueError(f"{name} must be whole numbers from {first} to {last}")
    return array.reshape((-1, *sizes))


def squeezed(sizes):
    """Sizes without those of one."""
    return tuple(size for size in sizes if size != 1)
