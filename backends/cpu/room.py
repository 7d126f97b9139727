"""The memory that a network takes at work, known before any of it is taken."""

from __future__ import annotations

from netdsl.backends.cpu.arena import arrange
from netdsl.backends.model_text import ModelText, key, lives
from netdsl.schedule import Schedule
from netdsl.tensor import DType

BYTES = {"f4": 4, "f8": 8}
Lives = dict[str, tuple[tuple[int, int], ...]]
"""For each tensor between which calls it is wanted: see `netdsl.backends.model_text.lives`."""


def room(schedule: Schedule, batch: int, real: str) -> int:
    """The bytes of the arrays of an engine for batches of so many samples.

    The schedule is a lowered one. What threads have for themselves while they work is not counted.
    """
    _, _, together = arena(schedule, batch, real)
    return schedule.lasting * BYTES[real] + together


def arena(schedule: Schedule, batch: int, real: str) -> tuple[dict[str, int], Lives, int]:
    """The bytes of every tensor of a step, its life, and the bytes of the memory that all share."""
    own = ModelText(schedule).own()
    wanted = {key(buffer): value for buffer, value in lives(schedule, own).items()}
    sizes = {
        key(buffer): buffer.tensor.size
        * (batch if buffer.tensor.batch else 1)
        * (4 if buffer.tensor.dtype is DType.INT else BYTES[real])
        for buffer in own
    }
    _, together = arrange(sizes, wanted)
    return sizes, wanted, together
