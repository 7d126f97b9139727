"""IDX files, the format of MNIST: a header of big-endian sizes, then unsigned bytes.

The layout is the one at yann.lecun.com/exdb/mnist: two zero bytes, a code for the element type
(0x08 is the unsigned byte), the number of axes, a 32-bit size for each axis, the elements.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from netdsl.errors import DataError

LARGEST = 2**31
"""The most bytes a file may declare: thirty times the largest set of this format in use."""

PIECE = 2**20
"""How much is read at a time, so that a header that lies costs no memory."""

ELEMENTS = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}


def read(path: Path, axes: int) -> np.ndarray:
    """The unsigned bytes of an IDX file with that many axes; gzip is told by its first bytes.

    Nothing is trusted: raises `DataError` E403, with the file and what is wrong with it, unless the
    header is right and exactly the bytes that it declares follow.
    """
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _content(raw, path, axes)
            with gzip.open(raw) as unzipped:
                return _content(unzipped, path, axes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"its gzip data is damaged ({error})") from error
    except OSError as error:
        raise damaged(path, f"it cannot be read ({error.strerror})") from error


def damaged(path: Path, why: str) -> DataError:
    """The error for a file that is not what it should be."""
    return DataError("E403", f"{path}: {why}", help="get the file anew")


def _content(file: BinaryIO | gzip.GzipFile, path: Path, axes: int) -> np.ndarray:
    dims = _header(file, path, axes)
    size = prod(dims)
    if size > LARGEST:
        shape = " x ".join(map(str, dims))
        raise damaged(path, f"it declares {shape} = {size:,} bytes, more than {LARGEST:,}")
    content = bytearray()
    while len(content) <= size and (piece := file.read(min(PIECE, size + 1 - len(content)))):
        content += piece
    if len(content) < size:
        raise damaged(path, f"it is cut short: {len(content):,} of {size:,} bytes after the header")
    if len(content) > size:
        raise damaged(path, f"it goes on after the {size:,} bytes that its header declares")
    return np.frombuffer(content, np.uint8).reshape(dims)


def _header(file: BinaryIO | gzip.GzipFile, path: Path, axes: int) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENTS:
        raise damaged(path, "it is not an IDX file: it does not begin as one")
    if magic[2] != 0x08:
        raise damaged(path, f"it holds {ELEMENTS[magic[2]]}, not unsigned bytes")
    if magic[3] != axes:
        raise damaged(path, f"it has {_axes(magic[3])}, not {axes}")
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise damaged(path, "it is cut short: its header is not complete")
    dims = struct.unpack(f">{axes}I", sizes)
    if 0 in dims:
        raise damaged(path, "it is empty: its header declares no elements")
    return dims


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"
