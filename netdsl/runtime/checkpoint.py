"""Checkpoints: one safetensors file with a checksum, written so that it is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from netdsl.errors import DataError
from netdsl.files import replace

CHECKSUM = "sha256"
"""The entry of the metadata that holds the checksum; callers may not use it."""

Arrays = dict[str, np.ndarray]


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts; afterwards the new file stands complete on the disk.

    Until then the earlier file stands untouched, whatever happens. Raises `RunError` E501.
    """
    # The library reads from an array's address on, as if it were contiguous: make it so.
    whole = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    if CHECKSUM in metadata:
        raise ValueError(f"the metadata of a checkpoint may not have an entry '{CHECKSUM}'")
    checked = {**metadata, CHECKSUM: _checksum(whole, metadata)}
    replace(path, safetensors.save(whole, checked))


def load(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Read arrays (which may be read-only) and texts, and prove that they are what was saved.

    Raises `DataError`: E404 if the file cannot be read, E405 if it is damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError("E404", f"{path} cannot be read: {error.strerror}") from error
    try:
        arrays = safetensors.load(content)
    except (SafetensorError, KeyError) as error:
        raise _damaged(path, f"not a safetensors file, or cut short ({error})") from error
    # The library has checked the header: its length, in 8 bytes, and the header itself, as JSON.
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    checksum = metadata.pop(CHECKSUM, None)
    if checksum is None:
        raise _damaged(path, "it has no checksum: netdsl did not write it")
    if checksum != _checksum(arrays, metadata):
        raise _damaged(path, "its checksum does not fit its content")
    return arrays, metadata


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Of all that matters: names, types, sizes, content, texts; not of the order in the file."""
    names = sorted(arrays)
    kinds = [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in names]
    digest = sha256(json.dumps([kinds, sorted(metadata.items())]).encode())
    for name in names:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> DataError:
    return DataError("E405", f"{path} is damaged: {why}", help="use another checkpoint")
