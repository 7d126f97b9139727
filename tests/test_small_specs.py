"""Architectures made narrow and shallow: their layers run together, and they learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdsl.compiler import load_source
from netdsl.source import Source

SPECS = Path(__file__).parent.parent / "specs"
BATCH = 4
CLASSES = 3
STEPS = 6
TRAIN = """
train small {
  optimizer = sgd(lr=0.02, momentum=0.9)
  loss = cross_entropy(@logits)
}
"""
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "SEResNet50": ("senet", {"layers": [1, 2, 1, 1], "width": 4}),
    "MobileNet": ("mobilenet", {"width": 2, "size": 64}),
    "MobileNetV2": (
        "mobilenet",
        {"rows": [[1, 4, 1, 1], [3, 6, 2, 2], [3, 8, 1, 2]], "last": 16, "size": 32},
    ),
    "Xception": ("xception", {"entry": [4, 4, 8], "repeats": 1, "exit": [12, 16, 24]}),
    "SqueezeNet": ("squeezenet", {}),
    "FCN32s": ("fcn", {"width": 1, "hidden": 8}),
    "FCN8s": ("fcn", {"width": 1, "hidden": 8}),
    "FractalNet": ("fractalnet", {"widths": [4, 4, 4, 8, 8]}),
    "ViTB16": ("vit", {"c": 12, "heads": 3, "layers": 2, "patch": 4, "size": 16}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_version_learns(name: str) -> None:
    file, parameters = SMALL[name]
    text = (SPECS / f"{file}.net").read_text() + TRAIN
    net = load_source(Source(f"{file}.net", text), name, classes=CLASSES, **parameters)
    engine = net.compile("cpu", batch=BATCH, seed=1).engine
    generator = np.random.default_rng(1)
    (image,) = net.graph.inputs
    pictures = generator.normal(size=(BATCH, *image.tensor.dims))
    (logits,) = (net.graph[output].tensor for output in net.graph.outputs)
    labels = generator.integers(0, CLASSES, (BATCH, 1, *logits.spatial))
    losses = [engine.train_step(pictures, labels) for _ in range(STEPS)]
    assert losses[0] == pytest.approx(np.log(CLASSES), abs=1.5)
    assert losses[-1] < losses[0]
    predicted = engine.forward(pictures)
    assert predicted.shape == (BATCH, *logits.dims)
    assert np.isfinite(predicted).all()
