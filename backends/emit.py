"""Schedule to Python: the module of a network, readable and complete.

Written for keeps, a module holds its kernels and needs numpy and numba alone. Written for a cache,
it imports each kernel from a file of its own, named by the hash of its text: networks then share
what is compiled, and a changed number, comment or line of the ``.net`` file recompiles nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from textwrap import fill

from netdsl.backends.kernels import KernelText, function_name, kernel_text
from netdsl.backends.model_text import ModelText, whose
from netdsl.backends.model_text import safe_place as safe_place
from netdsl.schedule import Call, Schedule
from netdsl.target import Target

ENGINE = (files("netdsl.backends") / "engine.py").read_text()
PACKAGE = "netdsl_kernels"
"""The package under which the loader makes cached kernels importable."""
WIDTH = 100


@dataclass(frozen=True)
class Emitted:
    """A module's text, and the texts of the kernels that it imports, by file stem."""

    text: str
    kernels: dict[str, str] = field(default_factory=dict)


def emit(schedule: Schedule, target: Target, about: str, real: str = "f4") -> str:
    """The whole module of a network, for keeps; ``about`` is a line for its docstring."""
    kernels = _kernels(schedule, target, real)
    model = ModelText.of(schedule, kernels.values())
    functions: dict[str, None] = {}
    texts: list[str] = []
    for text, calls in kernels.items():
        functions.update(dict.fromkeys(text.functions))
        texts.append(f"{_comment(calls)}\n{text.named(model.kernel(calls[0]))}")
    prelude_imports, prelude = _split(target.prelude)
    engine_imports, engine = _split(ENGINE)
    body = [
        f"{_precision(real)}\n\n{prelude}",
        *_section("The mathematics of the layers, one element at a time", functions),
        *_section("The kernels: loops over all elements of a tensor", texts),
        *_section("The engine, the same for every network", [engine]),
        *_section(f"The network {schedule.name}", [model.text()]),
    ]
    return _module(about, [*prelude_imports, *engine_imports], body)


def emit_cached(schedule: Schedule, target: Target, about: str, real: str = "f4") -> Emitted:
    """The module of a network for a cache, with every kernel in a file of its own."""
    kernels = _kernels(schedule, target, real)
    model = ModelText.of(schedule, kernels.values())
    imports, prelude = _split(target.prelude)
    begin = f"{_precision(real)}\n\n{prelude}"
    texts: dict[str, str] = {}
    lines: list[str] = []
    for text, calls in kernels.items():
        function = function_name(calls[0].op, calls[0].kernel)
        body = [begin, *text.functions, text.named(f"k_{function}")]
        written = _module(f"The kernel {function}, compiled for {target.name}.", imports, body)
        stem = f"{function}_{sha256(written.encode()).hexdigest()[:20]}"
        texts[stem] = written
        lines.append(f"from {PACKAGE}.{stem} import k_{function} as {model.kernel(calls[0])}")
    engine_imports, engine = _split(ENGINE)
    body = [begin, engine, model.text()]
    return Emitted(_module(about, [*imports, *engine_imports, *lines], body), texts)


def _kernels(schedule: Schedule, target: Target, real: str) -> dict[KernelText, list[Call]]:
    """The kernels of a schedule: each text once, with the calls that it serves."""
    found: dict[KernelText, list[Call]] = {}
    for call in schedule.calls():
        found.setdefault(kernel_text(call, target, real), []).append(call)
    return found


def _precision(real: str) -> str:
    """What ``real`` means in a module."""
    return f"real = np.{'float32' if real == 'f4' else 'float64'}"


def _comment(calls: list[Call]) -> str:
    """Which layers a kernel serves, and where they stand in the file."""
    served = dict.fromkeys(whose(call) for call in calls)
    return fill(", ".join(served), WIDTH, initial_indent="# ", subsequent_indent="# ")


def _section(title: str, parts: Iterable[str]) -> list[str]:
    """Parts under a heading; nothing if there are none."""
    first, *rest = [*parts, ""]
    heading = f"# ---- {title} ".ljust(WIDTH, "-")
    return [f"{heading}\n\n\n{first}", *rest] if first else []


def _split(text: str) -> tuple[list[str], str]:
    """A module's imports, and the rest of it."""
    lines = text.splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = [line for line in lines if line not in imports]
    return imports, "\n".join(rest).strip("\n")


def _module(about: str, imports: Iterable[str], body: Iterable[str]) -> str:
    """A module: its docstring, those of the imports that it uses, and its parts."""
    text = "\n\n\n".join(part.strip("\n") for part in body if part)
    words = set(re.findall(r"\w+", text))
    used = filter(None, (_used(line, words) for line in dict.fromkeys(imports)))
    return f'"""{about}"""\n\n{_sorted(used)}\n\n{text}\n'


def _used(line: str, words: set[str]) -> str:
    """An import without the names that nothing uses; empty if none is left."""
    (statement,) = ast.parse(line).body
    assert isinstance(statement, (ast.Import, ast.ImportFrom))
    statement.names = [name for name in statement.names if (name.asname or name.name) in words]
    return ast.unparse(statement) if statement.names else ""


def _sorted(lines: Iterable[str]) -> str:
    """Imports in the usual order: the standard library, what is installed, the kernels."""
    groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for line in sorted(lines, key=lambda line: (line.startswith("from"), line)):
        package = line.split()[1].split(".")[0]
        groups[2 if package == PACKAGE else 1 if package in ("numpy", "numba") else 0].append(line)
    return "\n\n".join("\n".join(group) for group in groups.values() if group)
