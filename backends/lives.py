"""From which call to which the tensors of a step are wanted."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.schedule import Buffer, Call, Schedule


def lives(
    schedule: Schedule, buffers: Iterable[Buffer]
) -> dict[Buffer, tuple[tuple[int, int], ...]]:
    """From which call to which each buffer is wanted: in training, evaluation and prediction.

    And, if there is something to prepare, while that is done. What the user gives is there from the
    beginning, what he gets until after the end, and what is prepared for evaluation and prediction
    throughout them. Of what the last step left for gradients that no array holds nothing is lost.
    What is not wanted at all lives from 1 to -2.
    """
    s = schedule
    given = {*s.inputs, *([s.target] if s.target else [])}
    left = {*(o.buffer for o in s.outputs), *([s.scored.buffer] if s.scored else []), *s.losses}
    read = {operand.buffer for call in (*s.evaluate, *s.predict) for operand in call.operands()}
    prepared = {call.out.buffer for call in s.prepare} & read
    found: dict[Buffer, list[tuple[int, int]]] = {buffer: [] for buffer in buffers}
    training = (*s.train, *s.backward, *s.update)
    held = touched(s, s.product)
    for calls in (training, s.evaluate, s.predict, *([s.prepare] if s.prepare else [])):
        spans = touched(s, calls)
        for buffer in found:
            first, last = spans.get(buffer, (1, -2))
            if buffer in held:
                first, last = first if calls is training else 0, len(calls)
            if buffer in prepared and calls is not training:  # a step makes it anew
                first, last = 0, len(calls)
            if buffer in given:
                first, last = -1, len(calls) if calls is s.prepare else max(last, 0)
            if buffer in left:
                last = len(calls)
                first = min(first, last)
            found[buffer].append((first, last))
    return {buffer: tuple(spans) for buffer, spans in found.items()}


def touched(schedule: Schedule, calls: Iterable[Call]) -> dict[Buffer, tuple[int, int]]:
    """The first and the last of some calls that touch each buffer."""
    spans: dict[Buffer, tuple[int, int]] = {}
    for i, call in enumerate(calls):
        for operand in (call.out, *call.operands()):
            place = schedule.places.get(operand.buffer)
            buffer = place.host if place else operand.buffer
            first, _ = spans.get(buffer, (i, i))
            spans[buffer] = (first, i)
    return spans
