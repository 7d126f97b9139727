"""Machine code, kept beside the text that it was made of.

What is found is loaded as it is. Numba, which made it, has to prepare itself for a while before it
reads a file of its own cache, and takes much more memory.
"""

import os
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding
from numba import cfunc
from numba.core.registry import cpu_target

from netdsl.backends.cpu.part import OPTIONS

AT_WORK = []  # what holds the code: it must not go


def machine_code(function, kind):
    """The address of a function as C calls it: compiled, or read from a file."""
    places = list(places_of(function))
    for place in places:
        with suppress(OSError):
            return loaded(place.read_bytes())
    made = cfunc(kind, **OPTIONS)(function)
    AT_WORK.append(made)
    content = made.native_name.encode() + b"\n" + made._library._get_compiled_object()
    for place in places if alone(made) else ():
        with suppress(OSError):
            keep(place, content)
            break
    return made.address


def places_of(function):
    """Where its code may lie: beside Python's own, or where that cannot be, in the user's cache.

    Nowhere if its text was removed since it was imported.
    """
    text = Path(function.__code__.co_filename)
    with suppress(FileNotFoundError):
        name = f"{text.stem}.{function.__name__}.{stamp(function)}.o"
        yield text.parent / "__pycache__" / name
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        yield Path(home) / "netdsl" / "compiled" / name


@cache
def read_text(path):
    """A file that is looked at once."""
    return Path(path).read_bytes()


@cache
def compiler():
    """The compiler and the processor that code is for; to ask takes a while."""
    versions = (numba.__version__, llvmlite.__version__, str(binding.llvm_version_info))
    features = binding.get_host_cpu_features().flatten()
    machine = (binding.get_default_triple(), binding.get_host_cpu_name(), features)
    return "\n".join((*versions, *machine)).encode()


def stamp(function):
    """What decides the code of a function: the text of its file, the compiler, the processor."""
    return sha256(read_text(function.__code__.co_filename) + compiler()).hexdigest()[:20]


def alone(made):
    """Whether code can be loaded without Numba's memory, which only its compiler prepares."""
    functions = made._library._final_module.functions
    return not any(each.is_declaration and each.name.startswith("NRT_") for each in functions)


def loaded(content):
    """The address of what a file holds."""
    assert cpu_target.target_context, "what compiled code may call is there from now on"
    name, _, code = content.partition(b"\n")
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    AT_WORK.append(engine)
    return engine.get_function_address(name.decode())


def keep(path, content):
    """Write a file; it is whole or is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)
