"""The CPU: Numba kernels, parallel over the rows of what they make."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files

from netdsl.backends.override import override
from netdsl.target import KernelPlan, Target

CHUNKS = 64
"""Vectors are made in this many pieces at most: enough for any number of threads."""


def loops(plan: KernelPlan) -> str:
    """A function that makes one row of the output, and a parallel loop over the rows."""
    if plan.fills:
        return _samples(plan)
    if plan.small:
        return _small(plan)
    return _vector(plan) if len(plan.index) == 1 else _rows(plan)


def _head(plan: KernelPlan, decorate: str) -> str:
    types = ", ".join(f'"{kind}"' for kind in plan.types)
    parallel = "" if decorate == "parallel" else ", parallel=False"
    return f"@kernel({types}{parallel})\ndef {{name}}({', '.join(plan.parameters)}):"


def _assign(plan: KernelPlan, indent: str, index: str) -> str:
    return f"{indent}out[{index}] {plan.assign} {plan.element}"


def _small(plan: KernelPlan) -> str:
    lines = [_head(plan, "serial")]
    for depth, name in enumerate(plan.index):
        lines.append(f"{'    ' * (depth + 1)}for {name} in range(out.shape[{depth}]):")
    return "\n".join([*lines, _assign(plan, "    " * (len(plan.index) + 1), ", ".join(plan.index))])


def _samples(plan: KernelPlan) -> str:
    (index,) = plan.index
    lines = [
        _head(plan, "serial" if plan.small else "parallel"),
        f"    for {index} in {'range' if plan.small else 'prange'}(out.shape[0]):",
        f"        {plan.element}",
    ]
    return "\n".join(lines)


def _vector(plan: KernelPlan) -> str:
    (index,) = plan.index
    others = ", ".join(plan.parameters)
    lines = ["@device", f"def {{name}}_part(start, stop, {others}):"]
    if plan.scalar:
        # Slices from 0 on: the compiler then knows that no index wraps around, and vectorises.
        lines += [f"    {array} = {array}[start:stop]" for array in plan.arrays]
        lines += [f"    for {index} in range(out.shape[0]):"]
    else:
        lines += [f"    for {index} in range(start, stop):"]
    lines += [
        _assign(plan, "        ", index),
        "",
        "",
        _head(plan, "parallel"),
        "    size = out.shape[0]",
        f"    chunks = min(size, {CHUNKS})",
        "    for chunk in prange(chunks):",
        "        start = chunk * size // chunks",
        "        stop = (chunk + 1) * size // chunks",
        f"        {{name}}_part(start, stop, {others})",
    ]
    return "\n".join(lines)


def _rows(plan: KernelPlan) -> str:
    *outer, inner = plan.index
    others = ", ".join(plan.parameters)
    lines = ["@device", f"def {{name}}_row(row, {others}):"]
    for axis in range(len(outer) - 1, 0, -1):
        lines += [f"    {outer[axis]} = row % out.shape[{axis}]", f"    row //= out.shape[{axis}]"]
    lines += [
        f"    {outer[0]} = row",
        f"    for {inner} in range(out.shape[{len(outer)}]):",
        _assign(plan, "        ", ", ".join(plan.index)),
        "",
        "",
        _head(plan, "parallel"),
        f"    rows = {' * '.join(f'out.shape[{axis}]' for axis in range(len(outer)))}",
        "    for row in prange(rows):",
        f"        {{name}}_row(row, {others})",
    ]
    return "\n".join(lines)


for name in ("conv", "dense", "tanh"):
    import_module(f"{__name__}.{name}")  # attaches its overrides

CPU = Target(
    name="cpu",
    prelude=(files("netdsl.backends.cpu") / "prelude.py").read_text(),
    loops=loops,
    override=override,
)
