"""What the CPU makes of a network: the kernel of each layer and why, and the plan of its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.backends.cpu.explain import Choices, Memory, memory, reason, short, steps, words
from netdsl.ir import Graph
from netdsl.report.numbers import size_text
from netdsl.report.table import Column, table
from netdsl.report.tree import rows, tree
from netdsl.schedule import Call, Schedule

LARGEST = 10
"""So many tensors are shown."""


def told(graph: Graph, schedule: Schedule, batch: int, width: int) -> str:
    """All of it as text, for a schedule that is lowered."""
    training = schedule.lr is not None
    columns = [Column("layer"), Column("makes"), Column("kernel", cut=True)]
    columns += [Column("why", cut=True)]
    found = list(kernels(graph, Choices(schedule, training)))
    lines = [f"{graph.name}, {'training' if training else 'prediction'} on the CPU", ""]
    lines += [*table(columns, found, width), ""]
    lines += ["made in: while that layer reads it; fused into: as that layer writes it"]
    lines += ["", *parts(schedule, memory(schedule, batch), batch), ""]
    return "\n".join([*lines, *largest(schedule, memory(schedule, batch), width)])


def kernels(graph: Graph, choices: Choices) -> Iterator[tuple[str, ...]]:
    """A row for every kernel of a layer: tensors that are made alike share one.

    Equal blocks are told once, as in the summary.
    """
    for row in rows(tree(graph), None):
        times = f" x{row.times}" if row.times > 1 else ""
        named = "  " * row.depth + row.name + times
        if row.region:
            yield named, "", "", ""
            continue
        if row.last in graph.inputs:
            continue
        found: dict[str, list[str]] = {}
        notes = choices.of(row.last.name)
        for name, note in notes.items():
            found.setdefault(words(note), []).append(name)
        for how, names in found.items():
            yield named, ", ".join(names), how, reason(notes[names[0]])
            named = ""
        if not found:
            yield named, "", "the same memory", ""


def parts(schedule: Schedule, plan: Memory, batch: int) -> Iterator[str]:
    """The memory for a batch."""
    whole = sum(tensor.size for tensor in plan.tensors)
    shared = f"{len(plan.tensors)} tensors of {size_text(whole)} share it"
    found = [
        ("arena", plan.arena, f"for a batch of {batch}: {shared}"),
        ("weights", plan.weights, f"{schedule.size:,} numbers"),
        ("gradients", plan.gradients, ", ".join(f"without {b}" for b in schedule.unheld)),
        ("optimizer", plan.optimizer, ", ".join(schedule.slots)),
        ("state", plan.state, ", ".join(dict.fromkeys(b.name for b, _ in schedule.states))),
        ("a thread", plan.work, "for each thread: what kernels use for themselves"),
        ("together", plan.total(1), "with one thread"),
    ]
    width = max(len(size_text(size)) for _, size, _ in found)
    for name, size, about in found:
        if size:
            yield f"{name:<9}  {size_text(size):>{width}}  {about}".rstrip()


def largest(schedule: Schedule, plan: Memory, width: int) -> tuple[str, ...]:
    """The tensors that take most of the arena, and while which calls they are wanted."""
    calls = steps(schedule)
    columns = [Column("the largest tensors"), Column("memory", right=True)]
    columns += [Column("from call", cut=True), Column("to call", cut=True)]
    wanted = [tensor for tensor in plan.tensors if tensor.first <= tensor.last]
    found = [
        (t.name, size_text(t.size), *(call_text(calls, at, t.name) for at in (t.first, t.last)))
        for t in wanted[:LARGEST]
    ]
    return table(columns, found, width)


def call_text(calls: Sequence[Call], at: int, tensor: str) -> str:
    """A call by its number, and its layer if that is not the tensor's.

    Before the first and behind the last there is the user.
    """
    if at < 0:
        return "0 given"
    if at >= len(calls):
        return f"{len(calls) + 1} the end"
    call = calls[at]
    owner = "" if tensor.split(":")[0] == call.owner else f"{short(call.owner) or 'optimizer'}: "
    return f"{at + 1} {owner}{call.kernel.fn.__name__}"
