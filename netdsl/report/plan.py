"""What the CPU makes of a network: the kernel of each layer and why, and the plan of its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.backends.cpu.explain import Choices, Lived, Memory, memory, reason, steps, words
from netdsl.ir import Graph
from netdsl.report.numbers import size_text
from netdsl.report.table import Column, table
from netdsl.schedule import Call, Schedule

LARGEST = 10
"""So many tensors are shown."""
MADE = ("y", "dx", "dweight")


def told(graph: Graph, schedule: Schedule, batch: int, width: int) -> str:
    """All of it as text, for a schedule that is lowered."""
    training = schedule.lr is not None
    lines = [f"{graph.name}, {'training' if training else 'prediction'} on the CPU", ""]
    columns = [Column("layer", cut=True), Column("makes"), Column("kernel", cut=True)]
    columns += [Column("why", cut=True)]
    lines += table(columns, list(kernels(graph, Choices(schedule, training))), width)
    lines += ["", *arena(schedule, memory(schedule, batch), batch, width)]
    return "\n".join(lines)


def kernels(graph: Graph, choices: Choices) -> Iterator[tuple[str, ...]]:
    """A row for every kernel of every layer; gradients that are made like ``y`` share its row."""
    for node in graph:
        if node in graph.inputs or graph.passes_on(node):
            continue
        found: dict[tuple[str, str], list[str]] = {}
        for name in MADE:
            if note := choices.get(node.name, name):
                found.setdefault((words(note), reason(note)), []).append(name)
        named = node.name
        for (how, why), names in (found or {("no work", ""): [""]}).items():
            yield named, ", ".join(names), how, why
            named = ""


def arena(schedule: Schedule, plan: Memory, batch: int, width: int) -> Iterator[str]:
    """The memory for a batch, and the tensors that take most of it."""
    whole = sum(tensor.size for tensor in plan.tensors)
    shared = f"{len(plan.tensors)} tensors of {size_text(whole)} that share it"
    parts = [
        ("arena", size_text(plan.arena), f"a batch of {batch}: {shared}"),
        ("weights", size_text(plan.weights), f"{schedule.size:,} numbers"),
        ("gradients", size_text(plan.gradients), ""),
        ("optimizer", size_text(plan.optimizer), ", ".join(schedule.slots)),
        ("state", size_text(plan.state), ""),
        ("a thread", size_text(plan.work), "for each: what kernels use for themselves"),
        ("together", size_text(plan.total(1)), "with one thread"),
    ]
    size = max(len(amount) for _, amount, _ in parts)
    for name, amount, about in parts:
        if amount != "0 B":
            yield f"{name:<9}  {amount:>{size}}  {about}".rstrip()
    calls = steps(schedule)
    columns = [Column("the largest tensors", cut=True), Column("bytes", right=True)]
    columns += [Column("from call", cut=True), Column("to call", cut=True)]
    rows = [
        (tensor.name, f"{tensor.size:,}", call_text(calls, tensor.first), end(calls, tensor))
        for tensor in plan.tensors
        if tensor.first <= tensor.last
    ]
    yield ""
    yield from table(columns, rows[:LARGEST], width)


def end(calls: Sequence[Call], tensor: Lived) -> str:
    """Until when a tensor is wanted."""
    return call_text(calls, tensor.last)


def call_text(calls: Sequence[Call], at: int) -> str:
    """A call by its number and layer; before the first and behind the last there is the user."""
    if at < 0:
        return "given"
    if at >= len(calls):
        return "the end"
    call = calls[at]
    return f"{at + 1} {call.owner or 'optimizer'}: {call.kernel.fn.__name__}"
