"""CUDA without a GPU: whole trainings in numba's simulator, and kernels compiled to PTX."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cuda_child import Facts, case_source, compiled, network_source, three_steps, whole_training
from target_cases import process
from test_targets import CASES

from netdsl.compiler import choose_device
from netdsl.errors import RunError

EXAMPLES = Path(__file__).parent.parent / "examples"
OLDER, LATEST = [(7, 5), (8, 0)], (9, 0)
ARITHMETIC = ("add", "sub", "mul", "div", "fma", "sqrt", "rcp", "ex2", "lg2")

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)


@pytest.fixture(scope="module")
def cpu() -> Iterator[ProcessPoolExecutor]:
    with process("cpu") as pool:
        yield pool


@pytest.fixture(scope="module", params=["simulator", pytest.param("gpu", marks=pytest.mark.cuda)])
def cuda(request: pytest.FixtureRequest) -> Iterator[ProcessPoolExecutor]:
    with process(request.param) as pool:
        yield pool


def test_three_steps_of_training_are_those_of_the_cpu(cpu, cuda):
    on_cpu, on_cuda = (pool.submit(three_steps, d) for pool, d in ((cpu, "cpu"), (cuda, "cuda")))
    wanted, found = on_cpu.result(), on_cuda.result()
    np.testing.assert_allclose(found["losses"], wanted["losses"], rtol=1e-4)
    for ours, theirs in zip(found["logits"], wanted["logits"], strict=True):
        assert ((ours == 0) == (theirs == 0)).all(), "another dropout mask"
        assert (ours == 0).any()
    assert found["left"].keys() == wanted["left"].keys()
    for name, array in wanted["left"].items():
        np.testing.assert_allclose(found["left"][name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_whole_training_is_that_of_the_cpu(cpu, cuda, tmp_path):
    wanted = cpu.submit(whole_training, "cpu", str(tmp_path)).result()
    found = cuda.submit(whole_training, "cuda", str(tmp_path)).result()
    assert found["predicted again"].tobytes() == found["predicted"].tobytes()
    assert found["pooled"].tolist() == [[[[5, 7], [13, 15]]], [[[21, 23], [29, 31]]]]
    for ours, theirs in zip(
        [*found["history"], found["evaluated"]],
        [*wanted["history"], wanted["evaluated"]],
        strict=True,
    ):
        assert ours == pytest.approx(theirs, rel=1e-4)
    np.testing.assert_allclose(found["predicted"], wanted["predicted"], rtol=1e-4, atol=1e-5)


def test_without_a_gpu_the_user_is_told(monkeypatch):
    from numba import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(RunError, match="no CUDA device can be used: there is no GPU"):
        choose_device("cuda")


def compile_all(sources: list[str], folder: Path, arch: tuple[int, int]) -> dict[str, Facts]:
    """Every kernel, compiled; skips where there is nothing to compile with."""
    for package in ("nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink"):
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed: pip install 'netdsl[cuda]'")
    with process("gpu") as pool:
        kernels = pool.submit(compiled, sources, str(folder), arch).result()
    assert len(kernels) >= len(sources)
    return kernels


def stays_single(name: str, facts: Facts) -> None:
    """A kernel computes in double no more than it must: the numbers it is passed."""
    if "f8" not in facts.types:
        assert not facts.doubles, f"{name} computes in double: {dict(facts.doubles)}"
    elif "update" not in name:  # optimizers may: adam's corrections
        count = sum(n for word, n in facts.doubles.items() if word.startswith(ARITHMETIC))
        assert count <= 1, f"{name} computes in double: {dict(facts.doubles)}"


@pytest.mark.parametrize(
    "arch",
    [*(pytest.param(arch, marks=pytest.mark.slow) for arch in OLDER), LATEST],
    ids="sm_{0[0]}{0[1]}".format,
)
def test_the_kernels_of_a_network_compile_for_gpus(arch, tmp_path):
    sources = [network_source(str(EXAMPLES / name)) for name in ("digits.net", "lenet5.net")]
    for name, facts in compile_all(sources, tmp_path, arch).items():
        stays_single(name, facts)
        assert (facts.stack, facts.spilled) == (0, 0), f"{name} does not fit into registers"


@pytest.mark.slow
def test_the_kernels_of_every_op_compile_for_gpus(tmp_path):
    sources = [case_source(*case) for case in CASES]
    for name, facts in compile_all(sources, tmp_path, LATEST).items():
        stays_single(name, facts)
        assert facts.spilled == 0, f"{name} has too many registers"
