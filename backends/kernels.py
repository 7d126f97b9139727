"""The text of kernels: the mathematics of an op, copied as it stands, and the loop around it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from symtable import symtable
from types import FunctionType
from typing import Any

from netdsl.backends.override import task_of
from netdsl.kernel import Kernel
from netdsl.op import Op
from netdsl.schedule import Call, Operand
from netdsl.target import KernelPlan, Target
from netdsl.tensor import DType

SMALL, SMALL_SAMPLE = 1 << 14, 1 << 8
"""Kernels whose tensors, and whose samples, are below these sizes are not worth a thread."""


@dataclass(frozen=True)
class KernelText:
    """One kernel as text: ``{name}`` stands where its name goes.

    ``functions`` are what it calls. Calls with equal texts share a compiled kernel.
    """

    functions: tuple[str, ...]
    body: str

    def named(self, name: str) -> str:
        """The kernel under a name."""
        return self.body.replace("{name}", name)


def kernel_text(call: Call, target: Target, real: str) -> KernelText:
    """The text of the kernel for a call; ``real`` is ``f4`` or ``f8``."""
    if task := task_of(call.kernel.fn):
        from netdsl.backends.task_text import task_text

        return task_text(task, real, tuple(call.baked.items()))
    return KernelText(tuple(functions(call.op, call.kernel)), target.loops(plan(call, real)))


COMMON = ("LANES", "REGISTERS", "CHECKED", "ROWS")
"""Numbers that all generated modules have."""


def constants(*functions: Callable[..., Any]) -> tuple[str, ...]:
    """The numbers of their modules that functions use."""
    found: dict[str, Any] = {}
    for fn in functions:
        names = sorted(used_names(fn) - {*COMMON})
        found |= {name: fn.__globals__.get(name) for name in names}
    kept = {n: v for n, v in found.items() if isinstance(v, (int, float, tuple))}
    return tuple(f"{name} = {value!r}" for name, value in kept.items())


@cache
def used_names(fn: Callable[..., Any]) -> frozenset[str]:
    """The names that stand in a function's text."""
    tree = ast.walk(ast.parse(source_text(fn)))
    return frozenset(node.id for node in tree if isinstance(node, ast.Name))


def plan(call: Call, real: str) -> KernelPlan:
    """How the generic kernel for a call looks, whatever the target."""
    assert not (call.add and call.kernel.fills), f"nothing is added to what {call.kernel} fills"
    operands = list(call.operands())
    names = _names(call)
    index = tuple(name.replace("_", f"i{i}") for i, name in enumerate(call.kernel.index)) or ("e",)
    types = [array_type(operand, real) for operand in (call.out, *operands)]
    types += ["f8" if isinstance(v, float) or _is_rate(v) else "i8" for v in call.passed.values()]
    touched = (call.out, *operands)
    return KernelPlan(
        index=index,
        operands=dict(zip(("out", *names, *call.passed), types, strict=True)),
        element=_element(call, index),
        assign="+=" if call.add else "=",
        small=all(_is_small(operand) for operand in touched),
        scalar=call.kernel.scalar,
        fills=call.kernel.fills is not None,
    )


def _is_small(operand: Operand) -> bool:
    tensor = operand.buffer.tensor
    return tensor.size < (SMALL_SAMPLE if tensor.batch else SMALL)


def _is_rate(value: object) -> bool:
    return getattr(value, "name", None) == "lr"


def array_type(operand: Operand, real: str) -> str:
    """A numba type: ``f4[:,:,::1]``."""
    element = "i4" if operand.buffer.tensor.dtype is DType.INT else real
    last = ":" if operand.strided else "::1"
    return f"{element}[{':,' * (operand.rank - 1)}{last}]"


def _names(call: Call) -> list[str]:
    """A parameter for every operand: the names of the signature, the variadic ones counted."""
    names: list[str] = []
    for name in call.kernel.tensors:
        read = call.reads[name]
        if isinstance(read, tuple):
            names += [f"{name}{i}" for i in range(len(read))]
        elif read is not None:
            names.append(name)
    return names


def _element(call: Call, index: tuple[str, ...]) -> str:
    """The expression that computes one element."""
    kernel = call.kernel
    place = f"[{index[0]}]" if kernel.scalar else ""
    arguments = [] if kernel.scalar else list(index)
    arguments += ["out"] if kernel.fills else []
    for name in kernel.tensors:
        read = call.reads[name]
        if isinstance(read, tuple):
            items = "".join(f"{name}{i}{place}, " for i in range(len(read)))
            arguments.append(f"({items.rstrip() if len(read) == 1 else items.rstrip(', ')})")
        else:
            arguments.append("None" if read is None else f"{name}{place}")
    arguments += [repr(call.baked[n]) if n in call.baked else n for n in kernel.numbers]
    return f"{function_name(call.op, kernel)}({', '.join(arguments)})"


def function_name(op: Op, kernel: Kernel) -> str:
    """What the mathematics of a kernel is called: ``conv_dx``; a task has a name of its own."""
    if task_of(kernel.fn):
        return kernel.fn.__name__
    return f"{op.name}_{kernel.fn.__name__}"


def functions(op: Op, kernel: Kernel) -> Iterator[str]:
    """The texts of a kernel's mathematics: first what it calls, then itself."""
    for callee in callees(kernel.fn):
        yield f"@{callee.__dict__['device']}\n{source_text(callee)}"
    filled = (kernel.fills,) if kernel.fills else ()
    names = (*kernel.index, *filled, *kernel.tensors, *kernel.numbers)
    head = f"def {function_name(op, kernel)}({', '.join(names)}):"
    yield f"@device\n{head}\n{body_text(kernel.fn)}"


@cache
def callees(fn: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """The ``@device`` functions that a function calls, those they call first."""
    found: dict[Callable[..., Any], None] = {}
    for node in ast.walk(ast.parse(source_text(fn))):
        callee = fn.__globals__.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(callee, FunctionType) and "device" in callee.__dict__ and callee is not fn:
            found.update(dict.fromkeys((*callees(callee), callee)))
    return tuple(found)


@cache
def plain_callees(fn: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """The functions of its module that a plain function calls, those they call first."""
    found: dict[Callable[..., Any], None] = {}
    for node in ast.walk(ast.parse(source_text(fn))):
        callee = fn.__globals__.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(callee, FunctionType) and callee is not fn:
            found.update(dict.fromkeys((*plain_callees(callee), callee)))
    return tuple(found)


@cache
def source_text(fn: Callable[..., Any]) -> str:
    """A function's text without its decorators."""
    lines = textwrap.dedent(inspect.getsource(fn)).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return without_marks("\n".join(lines[first:])).rstrip()


def without_marks(text: str) -> str:
    """A text without what tells formatters to leave it as it is."""
    return re.sub(r"\n *# fmt: \w+$|  # fmt: \w+$", "", text, flags=re.M)


def body_text(fn: Callable[..., Any]) -> str:
    """A function's text after its signature, comments included."""
    lines = source_text(fn).splitlines()
    depth = 0
    for i, line in enumerate(lines):
        depth += line.count("(") - line.count(")")
        if depth == 0 and line.partition("#")[0].rstrip().endswith(":"):
            return "\n".join(lines[i + 1 :])
    raise AssertionError(f"{fn} has no body")


@cache
def defined(text: str) -> frozenset[str]:
    """The names that a module's text gives to things."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            names = (each for target in node.targets for each in ast.walk(target))
            found |= {name.id for name in names if isinstance(name, ast.Name)}
    return frozenset(found)


def wanted(text: str) -> frozenset[str]:
    """The names that a module's text wants from elsewhere: what is used and not made in it."""
    tables, found = [symtable(text, "text", "exec")], set[str]()
    own = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_assigned()}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outer = table.get_type() == "module"
        symbols = (s for s in table.get_symbols() if outer or s.is_global())
        found |= {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
    return frozenset(found - own)
