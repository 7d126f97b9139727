"""What a target computes is what the interpreter says: every op, every example, every target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from op_cases import examples
from target_cases import Arrays, expected, process, run

from netdsl.op import REGISTRY

ACCURACY = 1e-5
LAYERS = [(c, s) for c, s in examples("layer") if not c.startswith("input")]
OPTIMIZERS = [
    *examples("optimizer"),
    ("sgd(lr=0.1, weight_decay=0.1, decay_bn=false)", ()),
    ("adam(0.02, weight_decay=0.1, decay_bn=false)", ()),
]
CASES = [
    *(("layer", *example) for example in LAYERS),
    *(("loss", *example) for example in examples("loss")),
    *(("optimizer", *example) for example in OPTIMIZERS),
]

Run = Callable[[str, str, tuple[str, ...]], list[Arrays]]


@pytest.fixture(
    scope="module", params=["cpu", "simulator", pytest.param("gpu", marks=pytest.mark.cuda)]
)
def on_target(request: pytest.FixtureRequest) -> Iterator[Run]:
    """``on_target(kind, call, shapes)`` runs a case on the target, in one process for all."""
    if request.param != "cpu" and find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    pool: ProcessPoolExecutor
    with process(request.param) as pool:
        yield lambda *case: pool.submit(run, request.param, *case).result()


@pytest.mark.parametrize(
    ("kind", "call", "shapes"), CASES, ids=[" ".join((c, *s)) for _, c, s in CASES]
)
def test_a_target_agrees_with_the_interpreter_and_with_itself(on_target, kind, call, shapes):
    first, *again = on_target(kind, call, shapes)
    wanted = expected(kind, call, shapes)
    assert first.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = max(np.abs(array).max(), 1e-3)
        np.testing.assert_allclose(
            first[name].reshape(array.shape), array, rtol=0, atol=ACCURACY * scale, err_msg=name
        )
    for other in again:
        assert {name: a.tobytes() for name, a in other.items()} == {
            name: a.tobytes() for name, a in first.items()
        }, "the same run gave other bits"


def test_every_op_has_a_case():
    for kind in ("layer", "loss", "optimizer"):
        tried = {call.partition("(")[0] for k, call, _ in CASES if k == kind}
        assert tried == set(REGISTRY[kind]) - {"input"}
