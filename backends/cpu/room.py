"""The memory that a network takes at work, known before any of it is taken."""

from __future__ import annotations

from netdsl.backends.cpu.arena import arrange
from netdsl.backends.model_text import ModelText, key, lives
from netdsl.schedule import Schedule
from netdsl.tensor import DType

BYTES = {"f4": 4, "f8": 8}


def room(schedule: Schedule, batch: int, real: str) -> int:
    """The bytes of the arrays of an engine for batches of so many samples.

    The schedule is a lowered one. What threads have for themselves while they work is not counted.
    """
    own = ModelText(schedule).own()
    wanted = {key(buffer): value for buffer, value in lives(schedule, own).items()}
    sizes = {
        key(buffer): buffer.tensor.size
        * (batch if buffer.tensor.batch else 1)
        * (4 if buffer.tensor.dtype is DType.INT else BYTES[real])
        for buffer in own
    }
    _, together = arrange(sizes, wanted)
    return schedule.lasting * BYTES[real] + together
