"""What ``explain`` says of a layer, and of a block."""

from __future__ import annotations

import re
from pathlib import Path

import networks
import pytest
from op_cases import build, examples

import netdsl
from netdsl import cli
from netdsl.compiler import Net, load_source
from netdsl.errors import MeaningError
from netdsl.source import Source
from netdsl.tensor import DType

SPECS = Path(__file__).parent.parent / "specs"


def net(file: str, name: str | None = None) -> Net:
    return netdsl.load(f"lib:{file}", name)


EXPLAINED = {
    "resnet": ("ResNet50", [
        "conv1", "bn1", "maxpool1", "stage2.bottleneck1.residual1.add1", "logits", "stage2",
        "stage2.bottleneck1.residual1",
    ]),
    "unet": ("UNet", ["up2.u", "up2.crop1", "up2.concat1", "e1"]),
    "lenet5": ("LeNet5", ["image", "flatten1", "dense1"]),
}  # fmt: skip


@pytest.mark.parametrize("file", EXPLAINED)
def test_explained(file: str, golden, monkeypatch) -> None:
    name, layers = EXPLAINED[file]
    monkeypatch.chdir(SPECS)  # lines are broken by their length, whose part a path is
    loaded = netdsl.load(f"{file}.net", name)
    texts = [loaded.explain(layer) for layer in layers]
    # The library's files may get a comment more; the lines of places are told by the test below.
    texts = [re.sub(r"\.net:\d+", ".net:LINE", text) for text in texts]
    golden(f"explain/{name}.txt", "\n\n".join(texts) + "\n")


def test_shared_weights_and_side_heads(golden) -> None:
    loaded = load_source(Source("towers.net", networks.text("towers")))
    texts = map(loaded.explain, ("tower2.conv1", "tower2.bn1", "aux"))
    golden("explain/towers.txt", "\n\n".join(texts) + "\n")


def test_the_numbers_of_the_reference() -> None:
    text = net("resnet", "ResNet50").explain("conv1")
    assert "(224 + 2*3 - 7)/2 + 1 = 112.5, floor 112" in text
    text = load_source(
        Source("a.net", "net A { input x(3x224x224)\n conv(64, 7, stride=2, pad=3) }")
    ).explain("conv1")
    assert "64*3*7*7 + 64 = 9,472" in text


CALLS = [each for each in examples("layer") if each[1] and not each[0].startswith("expect")]


@pytest.mark.parametrize(("call", "shapes"), CALLS)
def test_every_layer_is_explained(call: str, shapes: tuple[str, ...]) -> None:
    loaded = load_source(Source("a.net", program(call, shapes)))
    node = next(node for node in loaded.graph if call.startswith(node.layer.name) and node.inputs)
    text = loaded.explain(node.name)
    # The parameters that the formula ends with are those of the weights.
    found = re.search(r"^  parameters +(?:.*= )?([\d,]+|none)", text, re.M)
    assert found is not None
    told = 0 if found[1] == "none" else int(found[1].replace(",", ""))
    assert told == loaded.graph.parameters(node)
    macs = re.search(r"^  MACs +(?:.*= )?([\d,]+)", text, re.M)
    assert loaded.graph.macs(node) == (int(macs[1].replace(",", "")) if macs else 0)


def program(call: str, shapes: tuple[str, ...]) -> str:
    layer = build("layer", call)
    dtype = ", dtype=int" if layer.takes is DType.INT else ""
    inputs = [f"input x{i}({shape}{dtype})" for i, shape in enumerate(shapes)]
    branches = ", ".join(f"@x{i}" for i in range(len(shapes)))
    step = f"{call} [ {branches} ]" if layer.join else f"@x0 -> {call}"
    return "net A {\n  " + "\n  ".join((*inputs, step)) + "\n}\n"


def test_names() -> None:
    loaded = net("resnet", "ResNet50")
    assert loaded.explain("stage4.bottleneck1.residual1.project_bn").startswith("stage4.")
    assert loaded.explain("stage3.bottleneck2").startswith("stage3.bottleneck2 = bottleneck(c=256")
    # An end that only one has, and a full name that is also the end of others.
    assert loaded.explain("bottleneck6.relu1").startswith("stage3.bottleneck6.relu1 = relu")
    assert loaded.explain("conv1").startswith("conv1 = conv(64, 7")
    with pytest.raises(MeaningError, match="has no layer or block 'convv1'") as raised:
        loaded.explain("convv1")
    assert raised.value.code == "E170" and raised.value.help == "did you mean 'conv1'?"
    with pytest.raises(MeaningError, match="'conv2' may be 16 layers") as raised:
        loaded.explain("conv2")
    assert raised.value.code == "E171" and "and 10 more" in (raised.value.help or "")


def test_an_explanation_has_a_least_width() -> None:
    loaded = net("resnet", "ResNet50")
    assert loaded.explain("conv1", width=5) == loaded.explain("conv1", width=40)
    assert loaded.explain("stage1", width=-1) == loaded.explain("stage1", width=40)


def test_the_names_of_rows_of_equal_blocks() -> None:
    loaded = net("resnet", "ResNet50")
    lines = loaded.explain("stage3.bottleneck2..6").splitlines()
    assert lines[0].startswith("stage3.bottleneck2 = bottleneck(c=256")
    assert re.fullmatch(r"  equal +5 blocks, stage3.bottleneck2..6; this is the first", lines[1])
    assert lines[2:] == loaded.explain("stage3.bottleneck2").splitlines()[1:]
    assert loaded.explain("bottleneck2..6") == loaded.explain("stage3.bottleneck2..6")
    for name, code in (("bottleneck2..3", "E171"), ("stage3.bottleneck1..6", "E170")):
        with pytest.raises(MeaningError) as raised:
            loaded.explain(name)
        assert raised.value.code == code


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["explain", "lib:resnet", "conv1", "--net", "ResNet101"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == net("resnet", "ResNet101").explain("conv1") + "\n"
