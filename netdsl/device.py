"""Which device a network runs on, and the target that makes its kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.errors import RunError

if TYPE_CHECKING:
    from netdsl.target import Target


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is CUDA where a GPU answers."""
    if device == "cpu":
        return device
    reason = _no_cuda()
    if reason is None:
        return "cuda"
    if device == "auto":
        return "cpu"
    help = "pip install 'netdsl[cuda]', or --device cpu"
    raise RunError("E506", f"no CUDA device can be used: {reason}", help=help)


def _no_cuda() -> str | None:
    """Why CUDA cannot be used here, or None if it can."""
    from importlib.util import find_spec

    if find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed"
    from numba import cuda

    return None if cuda.is_available() else "there is no GPU, or no driver for it"


def target_of(device: str) -> Target:
    """The target that generates kernels for a device."""
    if device == "cuda":
        from netdsl.backends.cuda import CUDA

        return CUDA
    from netdsl.backends.cpu import CPU

    return CPU
