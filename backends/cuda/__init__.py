"""CUDA GPUs: ``numba.cuda`` kernels with a thread for each element of what they make.

A kernel that fills samples has a block of threads for each of them instead.
"""

from __future__ import annotations

from importlib.resources import files

from netdsl.target import KernelPlan, Target


def loops(plan: KernelPlan) -> str:
    """A kernel whose thread number is the flat place of its element."""
    types = ", ".join(f'"{kind}"' for kind in plan.operands.values())
    if plan.fills:
        (index,) = plan.index
        head = f"@kernel({types}, samples=True)\ndef {{name}}({', '.join(plan.operands)}):"
        return f"{head}\n    {index} = cuda.blockIdx.x\n    {plan.element}"
    lines = [
        f"@kernel({types})",
        f"def {{name}}({', '.join(plan.operands)}):",
        "    place = cuda.grid(1)",
        "    if place < out.size:",
    ]
    for axis in range(len(plan.index) - 1, 0, -1):
        lines += [
            f"        {plan.index[axis]} = place % out.shape[{axis}]",
            f"        place //= out.shape[{axis}]",
        ]
    lines += [
        f"        {plan.index[0]} = place",
        f"        out[{', '.join(plan.index)}] {plan.assign} {plan.element}",
    ]
    return "\n".join(lines)


def base_text(real: str) -> str:
    """The text that modules begin with; it is the same for all machines."""
    prelude = (files("netdsl.backends.cuda") / "prelude.py").read_text()
    return f"import numpy as np\n\nreal = np.float{32 if real == 'f4' else 64}\n\n{prelude}"


CUDA = Target(name="cuda", base=base_text, loops=loops)
