"""The CPU: Numba kernels of tasks, which a team of threads does."""

from __future__ import annotations

from netdsl.backends.cpu.base import base_text
from netdsl.backends.cpu.lower import lower
from netdsl.backends.task_text import head
from netdsl.target import KernelPlan, Target


def loops(plan: KernelPlan) -> str:
    """A kernel that makes one row of the output in each task, or a piece of it, or a sample."""
    if plan.fills:
        return _kernel(plan, "each", [_turn(plan), f"        {plan.element}"])
    if plan.small:
        return _kernel(plan, "one", _nest(plan, 1, plan.index))
    if plan.scalar:
        return _pieces(plan)
    if len(plan.index) == 1:
        return _kernel(plan, "each", [_turn(plan), _assign(plan, "        ", plan.index[0])])
    return _rows(plan)


def _kernel(plan: KernelPlan, tasks: str, body: list[str]) -> str:
    """The kernel itself; what is small does all in one task."""
    told = {} if plan.small else {"tasks": tasks}
    span = "first_, last_"
    if plan.small and plan.fills:
        body = [line.replace("range(first_, last_)", "range(out.shape[0])") for line in body]
    return "\n".join([*head(plan.operands, told, span), *body])


def _turn(plan: KernelPlan) -> str:
    return f"    for {plan.index[0]} in range(first_, last_):"


def _assign(plan: KernelPlan, indent: str, index: str) -> str:
    return f"{indent}out[{index}] {plan.assign} {plan.element}"


def _nest(plan: KernelPlan, depth: int, index: tuple[str, ...]) -> list[str]:
    """Loops over all axes of the output, and the element inside."""
    lines = [
        f"{'    ' * (depth + axis)}for {name} in range(out.shape[{axis}]):"
        for axis, name in enumerate(index)
    ]
    return [*lines, _assign(plan, "    " * (depth + len(index)), ", ".join(index))]


def _pieces(plan: KernelPlan) -> str:
    """Every task is a piece of flat arrays."""
    (index,) = plan.index
    others = ", ".join(plan.operands)
    # Slices from 0 on: the compiler then knows that no index wraps around, and vectorises.
    cut = [f"    {array} = {array}[start_:stop_]" for array in plan.arrays]
    part = ["@device", f"def {{name}}_part(start_, stop_, {others}):", *cut]
    part += [f"    for {index} in range(out.shape[0]):", _assign(plan, "        ", index)]
    call = f"    {{name}}_part(first_ * PIECE, min(last_ * PIECE, out.shape[0]), {others})"
    return "\n".join([*part, "", "", _kernel(plan, "pieces", [call])])


def _rows(plan: KernelPlan) -> str:
    """Every task is a row of the output."""
    *outer, inner = plan.index
    others = ", ".join(plan.operands)
    lines = ["@device", f"def {{name}}_row(row_, {others}):"]
    for axis in range(len(outer) - 1, 0, -1):
        lines += [
            f"    {outer[axis]} = row_ % out.shape[{axis}]",
            f"    row_ //= out.shape[{axis}]",
        ]
    lines += [
        f"    {outer[0]} = row_",
        f"    for {inner} in range(out.shape[{len(outer)}]):",
        _assign(plan, "        ", ", ".join(plan.index)),
    ]
    body = ["    for row_ in range(first_, last_):", f"        {{name}}_row(row_, {others})"]
    return "\n".join([*lines, "", "", _kernel(plan, "rows", body)])


CPU = Target(name="cpu", base=base_text, loops=loops, lower=lower)
