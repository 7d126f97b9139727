"""Samples from files: arrays, and pictures through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netdsl.errors import DataError
from netdsl.tensor import Tensor, dims_text

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF"}


MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""What Pillow turns into 8 bits without loss."""


def read_samples(path: Path, tensor: Tensor) -> np.ndarray:
    """One picture or an array of samples, in the shape that an input wants.

    DataError E410 if the file is missing or not what its name says, E411 if it has another shape.
    """
    if path.is_dir():
        help = "give a .npy array, or a .png or .jpg picture"
        raise DataError("E410", f"{path} is a directory, not a file of samples", help=help)
    if not path.exists():
        raise DataError("E410", f"{path} is not there")
    picture = path.suffix.lower() in PICTURES
    x = _picture(path, tensor) if picture else _array(path)
    if x.shape[1:] != tensor.dims and x.shape == tensor.dims:
        x = x[None]
    if x.shape[1:] != tensor.dims or not len(x):
        raise _misfit(path, x.shape[1:] if picture else x.shape, tensor, picture)
    return x


def _misfit(path: Path, found: tuple[int, ...], tensor: Tensor, picture: bool) -> DataError:
    """Both sizes, and what makes the one of the other."""
    if picture:
        message = f"{path} is a picture of {dims_text(found)}, the network takes {tensor}"
        size = " x ".join(map(str, tensor.spatial[::-1]))
        help = f"resize it to a width and height of {size}" if len(tensor.spatial) == 2 else None
        return DataError("E411", message, help=help)
    message = f"{path} is {_by(found)}, the network takes {_by(('samples', *tensor.dims))}"
    last = (*tensor.spatial, tensor.channels)
    if tensor.spatial and found[-len(last) :] == last:
        axes = [*range(len(found) - len(last)), len(found) - 1]
        order = [*axes, *range(len(axes) - 1, len(found) - 1)]
        help = f"channels come first: x.transpose({', '.join(map(str, order))})"
    elif 0 in found:
        help = "it holds no sample"
    else:
        help = "resize the samples or crop them; channels come first, after the axis of samples"
    return DataError("E411", message, help=help)


def _by(sizes: tuple[int | str, ...]) -> str:
    return " x ".join(map(str, sizes)) or "one number"


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        help = "give a .npy array, or a .png or .jpg picture"
        raise DataError("E410", f"{path} cannot be read as an array", help=help) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError("E410", f"{path} does not hold an array of numbers")
    return array


def _picture(path: Path, tensor: Tensor) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        help = "pip install 'netdsl[data]'"
        raise DataError(
            "E410", "pictures need Pillow, which is not installed", help=help
        ) from error
    try:
        with Image.open(path, formats=sorted(set(PICTURES.values()))) as picture:
            if picture.mode not in MODES:
                message = f"{path} has pixels of the kind {picture.mode}, which do not fit 8 bits"
                raise DataError("E410", message, help="give it as a .npy array")
            grey = tensor.channels == 1
            array = np.asarray(picture.convert("L" if grey else "RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError("E410", f"{path} cannot be read as a picture") from error
    return array[None, None] if grey else array.transpose(2, 0, 1)[None]
