"""What the kernels of convolutions do along in prediction: normalisations, sums and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.cpu import CPU


class Judge:
    """The layers of a network in double precision, by the names of their weights."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = {name: array.astype(float) for name, array in arrays.items()}

    def conv(self, name: str, x: np.ndarray) -> np.ndarray:
        weight = self.arrays[f"{name}.weight"][:, :, 0, 0]
        made = np.einsum("oc,nchw->nohw", weight, x)
        return made + self.arrays.get(f"{name}.bias", np.zeros(len(weight)))[:, None, None]

    def bn(self, name: str, x: np.ndarray) -> np.ndarray:
        at = {part: self.arrays[f"{name}.{part}"][:, None, None] for part in PARTS}
        normal = (x - at["running_mean"]) / np.sqrt(at["running_var"] + 1e-5)
        return at["weight"] * normal + at["bias"]

    def both(self, number: int, x: np.ndarray, inside: str = "") -> np.ndarray:
        """A convolution and the normalisation behind it."""
        return self.bn(f"{inside}bn{number}", self.conv(f"{inside}conv{number}", x))


PARTS = ("weight", "bias", "running_mean", "running_var")
Case = tuple[str, Callable[[Judge, np.ndarray], np.ndarray], list[str]]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def folded(j: Judge, x: np.ndarray) -> np.ndarray:
    return np.clip(j.both(2, relu(j.both(1, x))), 0, 6)


def deep(j: Judge, x: np.ndarray) -> np.ndarray:
    x = relu(j.conv("conv1", x))
    return j.conv("conv2", relu(x + j.both(2, relu(j.both(1, x, "residual1.")), "residual1.")))


def short(j: Judge, x: np.ndarray) -> np.ndarray:
    x = relu(j.conv("conv1", x))
    return j.conv("conv2", relu(x + j.both(1, x, "residual1.")))


def project(j: Judge, x: np.ndarray) -> np.ndarray:
    x = relu(j.conv("conv1", x))
    along = j.bn("residual1.project_bn", j.conv("residual1.project", x))
    return j.conv("conv2", relu(along + j.both(1, x, "residual1.")))


def again(j: Judge, x: np.ndarray) -> np.ndarray:
    x = relu(j.conv("conv1", x))
    more = x + j.both(2, relu(j.both(1, x, "b.")), "b.")
    return np.concatenate([x, more], 1)


def given(j: Judge, x: np.ndarray) -> np.ndarray:
    return j.conv("conv1", x + j.both(2, relu(j.both(1, x, "residual1.")), "residual1."))


BODY = "residual { conv(20, 1) -> bn -> relu -> conv(20, 1, bias=false) -> bn }"
CASES: dict[str, Case] = {
    "folded": ("conv(9, 1) -> bn -> relu -> conv(20, 1) -> bn -> relu6", folded, ["conv"] * 2),
    "over the branch": (f"conv(20, 1) -> relu -> {BODY} -> relu -> conv(5, 1)", deep, ["conv"] * 4),
    "over what is read": (
        "conv(20, 1) -> relu -> residual { conv(20, 1) -> bn } -> relu -> conv(5, 1)",
        short,
        ["conv", "conv", "combine", "conv"],
    ),
    "over the other one": (
        "conv(20, 1) -> relu -> residual(shortcut=project) { conv(9, 1) -> bn } -> relu"
        " -> conv(5, 1)",
        project,
        ["conv"] * 4,
    ),
    "read again": (
        f"conv(20, 1) -> relu as a\n  {BODY} as b\n  concat [ @a, @b ]",
        again,
        ["conv", "conv", "conv", "combine"],
    ),
    "over a copy of what is given": (f"{BODY} -> conv(5, 1)", given, ["conv"] * 3),
}


@pytest.mark.parametrize("name", CASES)
def test_prediction_is_made_in_fewer_kernels(name: str) -> None:
    text, judge, kernels = CASES[name]
    channels = 20 if name == "over a copy of what is given" else 3
    net = netdsl.loads(f"netdsl 1\nnet A {{\n  input x({channels}x5x4)\n  {text}\n}}\n")
    lowered = CPU.lower(net.schedule(), "f4")
    made = [call.kernel.makes.removesuffix("_forward") for call in lowered.predict]
    assert [kernel for kernel in made if kernel != "to_last"] == kernels
    engine: Any = net.compile("cpu", batch=3).engine
    rng = np.random.default_rng(1)
    arrays = {**engine.parameters(), **engine.statistics()}
    arrays = {n: a + rng.uniform(0.1, 0.5, a.shape).astype("f4") for n, a in arrays.items()}
    engine.restore(arrays)
    x = rng.standard_normal((7, channels, 5, 4)).astype("f4")
    for _ in range(2):  # what is given, and what is prepared, is there the second time too
        np.testing.assert_allclose(
            engine.forward(x), judge(Judge(arrays), x.astype(float)), rtol=2e-5, atol=2e-5
        )
