"""Schedule to Python: the module of a network, readable and complete.

Written for keeps, a module holds its kernels and needs numpy and numba alone. Written for a cache,
it imports each kernel from a file of its own, named by the hash of its text: networks then share
what is compiled, and a changed number, comment or line of the ``.net`` file recompiles nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from textwrap import fill

from netdsl.backends.kernels import KernelText, defined, function_name, kernel_text, wanted
from netdsl.backends.model_text import ModelText, counting, whose
from netdsl.backends.model_text import safe_place as safe_place
from netdsl.backends.separate import separate
from netdsl.backends.task_text import plain_text
from netdsl.schedule import Call, Schedule
from netdsl.target import Target

ENGINE = tuple(
    (files("netdsl.backends") / f"{part}.py").read_text() for part in ("engine", "drawing", "given")
)
"""The parts of the engine, which every module carries along."""
PACKAGE = "netdsl_kernels"
"""The package under which the loader makes cached kernels importable."""
WIDTH = 100
INSTALLED = ("numpy", "numba", "llvmlite")


@dataclass(frozen=True)
class File:
    """A file of the cache, under a name that says what is in it."""

    about: str
    text: str

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return f"{self.about}_{sha256(self.text.encode()).hexdigest()[:20]}"

    def names(self, parts: Iterable[str]) -> str:
        """The import of those of its names that some texts use."""
        used = wanted("\n\n\n".join(parts)) & defined(self.text)
        return f"from {PACKAGE}.{self.stem} import {', '.join(sorted(used))}"


@dataclass(frozen=True)
class Emitted:
    """A module's text, the texts of the kernels that it imports, by file stem, and their base."""

    text: str
    kernels: dict[str, str]
    base: File

    def files(self) -> dict[str, str]:
        """All files by stem; the module is the last."""
        return {self.base.stem: self.base.text, **self.kernels, self.stem: self.text}

    @property
    def stem(self) -> str:
        """What the module's file is called."""
        return File("model", self.text).stem


def emit(schedule: Schedule, target: Target, about: str, real: str = "f4") -> str:
    """The whole module of a network, for keeps; ``about`` is a line for its docstring."""
    schedule = target.lower(schedule, real)
    kernels = _kernels(schedule, target, real)
    model = ModelText.of(schedule, kernels.values())
    functions: dict[str, None] = {}
    texts: list[str] = []
    base_imports, base = _split(target.base(real))
    engine_imports, engine = _engine()
    taken = defined(f"{base}\n{engine}")
    plain = KernelText(tuple(counting(schedule.calls())), model.text())
    *own, plain = separate([*kernels, plain], taken)
    for text, calls in zip(own, kernels.values(), strict=True):
        functions.update(dict.fromkeys(text.functions))
        texts.append(f"{_comment(calls)}\n{text.named(model.kernel(calls[0]))}")
    body = [
        base,
        *_section("The mathematics of the layers", functions),
        *_section("The kernels", texts),
        *_section("The engine, the same for every network", [engine]),
        *_section(f"The network {schedule.name}", [*plain.functions, plain.body]),
    ]
    return _module(about, [*base_imports, *engine_imports], body)


def emit_cached(schedule: Schedule, target: Target, about: str, real: str = "f4") -> Emitted:
    """The module of a network for a cache, with every kernel in a file of its own."""
    base = base_file(target, real)
    texts: dict[str, str] = {}
    lines: list[str] = []
    schedule = target.lower(schedule, real)
    kernels = _kernels(schedule, target, real)
    model = ModelText.of(schedule, kernels.values())
    for text, calls in kernels.items():
        name = function_name(calls[0].op, calls[0].kernel)
        file = kernel_file(text, name, base)
        texts[file.stem] = file.text
        lines.append(f"from {PACKAGE}.{file.stem} import k_{name} as {model.kernel(calls[0])}")
    imports, engine = _engine()
    body = [engine, *counting(schedule.calls()), model.text()]
    imports.append("import numpy as np")
    module = _module(about, [*imports, base.names(body), *lines], body)
    return Emitted(module, texts, base)


def base_file(target: Target, real: str) -> File:
    """What the files of a target share."""
    imports, body = _split(target.base(real))
    return File(f"base_{target.name}", _module("What kernels share.", imports, [body]))


def kernel_file(text: KernelText, name: str, base: File) -> File:
    """The file of one kernel."""
    parts = (*text.functions, text.named(f"k_{name}"))
    imports = ["import numpy as np", "import math", "from numba import cuda", base.names(parts)]
    return File(name, _module(f"The kernel {name}.", imports, parts))


def _kernels(schedule: Schedule, target: Target, real: str) -> dict[KernelText, list[Call]]:
    """The kernels of a schedule: each text once, with the calls that it serves."""
    found: dict[KernelText, list[Call]] = {}
    for call in schedule.calls():
        found.setdefault(kernel_text(call, target, real), []).append(call)
    return found


def _comment(calls: list[Call]) -> str:
    """Which layers a kernel serves, and where they stand in the file."""
    served = dict.fromkeys(whose(call) for call in calls)
    return fill(", ".join(served), WIDTH, initial_indent="# ", subsequent_indent="# ")


def _section(title: str, parts: Iterable[str]) -> list[str]:
    """Parts under a heading; nothing if there are none."""
    first, *rest = [*parts, ""]
    heading = f"# ---- {title} ".ljust(WIDTH, "-")
    return [f"{heading}\n\n\n{first}", *rest] if first else []


def _engine() -> tuple[list[str], str]:
    """The engine's imports, and the rest of it."""
    parts = [_split(plain_text(part)) for part in ENGINE]
    return [line for lines, _ in parts for line in lines], "\n\n\n".join(rest for _, rest in parts)


def _split(text: str) -> tuple[list[str], str]:
    """A module's imports, and the rest of it."""
    lines = text.splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = [line for line in lines if line not in imports]
    return imports, re.sub(r"\n{4,}", "\n\n\n", "\n".join(rest).strip("\n"))


def _module(about: str, imports: Iterable[str], body: Iterable[str]) -> str:
    """A module: its docstring, those of the imports that it uses, and its parts."""
    parts = [_split(part) for part in body if part]
    text = "\n\n\n".join(part for _, part in parts)
    lines = [*imports, *(line for lines, _ in parts for line in lines)]
    begin = f'"""{about}"""\n\nfrom __future__ import annotations'
    return f"{begin}\n\n{_sorted(_used(lines, wanted(text)))}\n\n{text}\n"


def _used(lines: Iterable[str], words: Container[str]) -> Iterator[str]:
    """Imports, one line for each module, without the names that nothing uses."""
    modules: dict[str, dict[str, None]] = {}
    for line in lines:
        (statement,) = ast.parse(line).body
        if isinstance(statement, ast.ImportFrom):
            names = {n.name: None for n in statement.names if (n.asname or n.name) in words}
            if any(n.asname for n in statement.names):
                yield line
            elif names:
                modules.setdefault(statement.module or "", {}).update(names)
        elif isinstance(statement, ast.Import) and any(
            (n.asname or n.name) in words for n in statement.names
        ):
            yield line
    for module, names in modules.items():
        yield f"from {module} import {', '.join(sorted(names))}"


def _sorted(lines: Iterable[str]) -> str:
    """Imports in the usual order: the standard library, what is installed, the kernels."""
    groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for line in sorted(set(lines), key=lambda line: (line.startswith("from"), line)):
        package = line.split()[1].split(".")[0]
        groups[2 if package == PACKAGE else 1 if package in INSTALLED else 0].append(line)
    return "\n\n".join("\n".join(group) for group in groups.values() if group)
