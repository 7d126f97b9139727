"""What the tests of CUDA do in processes of their own, with and without the simulator."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from netdsl.compiler import Net, load, load_source
from netdsl.source import Source

TINY = """netdsl 1
net Tiny {
  input image(1x4x4)
  concat [
    { conv(3, 3, pad=same, bias=false) -> bn -> relu }
    conv(2, 1)
  ]
  add [
    id
    conv(5, 1)
  ]
  maxpool(2)
  dropout(0.25)
  flatten
  dense(4)
  dropout(0.5) as logits
}

train {
  batch     = 4
  epochs    = 1
  optimizer = sgd(lr=0.1, momentum=0.9, weight_decay=0.01)
  schedule  = cosine
  loss      = cross_entropy(@logits)
  metrics   = [accuracy]
}
"""
WEIGHTLESS = """netdsl 1
net Pool {
  input image(1x4x4)
  maxpool(2)
}
"""


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and classes for `TINY`."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 1, 4, 4)).astype(np.float32)
    return x, rng.integers(0, 4, count)


def three_steps(device: str) -> dict[str, Any]:
    """Three steps of training, the last with a smaller batch."""
    engine = net(TINY).compile(device, seed=3).engine
    x, target = samples(11)
    losses, logits = [], []
    for start in (0, 4, 8):
        part = slice(start, start + 4)
        losses.append(engine.train_step(x[part], target[part]))
        logits += [output.copy() for output in engine.outputs(len(x[part]))]
    return {"losses": losses, "logits": logits, "left": engine.snapshot()}


def whole_training(device: str, folder: str) -> dict[str, Any]:
    """Training by the recipe, a saved model read again, and a network without weights."""
    model = net(TINY).compile(device, seed=3)
    x, target = samples(11)
    history = model.fit(x, target, (x[:5], target[:5]))
    path = Path(folder) / "tiny.safetensors"
    model.save(path)
    again = net(TINY).compile(device, seed=4)
    again.load(path)
    pictures = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)
    return {
        "history": history,
        "evaluated": model.evaluate(x, target),
        "predicted": model.predict(x),
        "predicted again": again.predict(x),
        "pooled": net(WEIGHTLESS).compile(device, batch=4).predict(pictures),
    }


def net(text: str) -> Net:
    """The network of a text."""
    return load_source(Source("tiny.net", text))


def network_source(file: str) -> str:
    """The CUDA module of a network in a file."""
    return load(file).source("cuda")


def case_source(kind: str, call: str, shapes: tuple[str, ...]) -> str:
    """The CUDA module of a case of one op."""
    from target_cases import case_schedule

    from netdsl.backends.cuda import CUDA
    from netdsl.backends.emit import emit

    return emit(case_schedule(kind, call, shapes), CUDA, "A case.")


@dataclass(frozen=True)
class Facts:
    """What the compiler made of a kernel: its double instructions, and what it keeps in memory."""

    types: str
    doubles: Counter[str]
    stack: int
    spilled: int


def compiled(sources: list[str], folder: str, arch: tuple[int, int]) -> dict[str, Facts]:
    """Every kernel of some modules, compiled to PTX and assembled for an architecture.

    What a kernel calls asks for the present GPU, which there is none of: a stand-in answers.
    """
    from numba import cuda

    stand_in = SimpleNamespace(compute_capability=arch)
    found: dict[str, Facts] = {}
    with patch("numba.cuda.dispatcher.get_current_device", lambda: stand_in):
        for number, source in enumerate(sources):
            module = imported(source, Path(folder) / f"network{number}.py")
            for name, kernel in module.Model.KERNELS.items():
                ptx, _ = cuda.compile(
                    kernel.function, kernel.types, device=False, abi="numba", cc=arch
                )
                doubles = re.findall(r"^\s+(?:@\S+ )?(\S*f64\S*)\s", ptx, re.MULTILINE)
                log = assembled(ptx, arch)
                stack, spilled = (
                    int(re.search(rf"(\d+) bytes {what}", log)[1])  # type: ignore[index]
                    for what in ("stack frame", "spill stores")
                )
                facts = Facts(kernel.types, Counter(doubles), stack, spilled)
                found[f"{number} {name}"] = facts
    return found


def assembled(ptx: str, arch: tuple[int, int]) -> str:
    """Assemble PTX to machine code; returns what the assembler tells of it."""
    from cuda.bindings import nvjitlink

    linker = nvjitlink.create(2, [f"-arch=sm_{arch[0]}{arch[1]}", "-verbose"])
    code = ptx.encode()
    nvjitlink.add_data(linker, nvjitlink.InputType.PTX, code, len(code), "kernel")
    nvjitlink.complete(linker)
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    assert nvjitlink.get_linked_cubin_size(linker)
    nvjitlink.destroy(linker)
    return log.decode()


def imported(source: str, path: Path) -> Any:
    """A generated module, from a file, since numba wants to see its source."""
    path.write_text(source)
    spec = spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
