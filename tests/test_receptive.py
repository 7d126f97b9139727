"""Receptive fields: what is computed against what is published, and against what is measured."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from op_cases import case, examples

from netdsl.compiler import load_source
from netdsl.interpret import layer_forward
from netdsl.ir import Graph, Node
from netdsl.report.fields import Field, receptive_fields
from netdsl.sight import Sight
from netdsl.source import Source
from netdsl.tensor import DType


def load(text: str, net: str | None = None) -> Graph:
    return load_source(Source("a.net", text), net).graph


# ---- published ---------------------------------------------------------------------------------

PLAIN = """
net AlexNet { input image(3x227x227)
  conv(8, 11, stride=4) -> maxpool(3, stride=2) -> conv(8, 5) -> maxpool(3, stride=2)
  conv(8, 3) -> conv(8, 3) -> conv(8, 3) -> maxpool(3, stride=2) as last }
net VGG16 { input image(3x224x224)
  for n in [2, 2, 3, 3, 3] { conv(4, 3, pad=1) * n -> maxpool(2) } -> id as last }
"""
# The stride of a stage in its last unit, as TensorFlow-Slim has it and the article measures it.
RESNET = """
default conv(pad=same, bias=false)
net ResNet(layers=[3, 4, 6, 3]) { input image(3x224x224)
  conv(4, 7, stride=2) -> maxpool(3, stride=2, pad=1)
  for n in 0..3 { unit(1) * (layers[n] - 1) -> unit(2 if n < 3 else 1) } -> id as last }
block unit(stride) {
  residual(shortcut=project) { conv(4, 1) -> conv(4, 3, stride=stride) -> conv(8, 1) } }
net ResNet101 = ResNet(layers=[3, 4, 23, 3])
net ResNet152 = ResNet(layers=[3, 8, 36, 3])
net ResNet200 = ResNet(layers=[3, 24, 36, 3])
"""
PUBLISHED = [
    # Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks"
    # (Distill, doi 10.23915/distill.00021), table 1: receptive field and stride.
    (PLAIN, "AlexNet", 195, 32),
    (PLAIN, "VGG16", 212, 32),
    (RESNET, "ResNet", 483, 32),
    (RESNET, "ResNet101", 1027, 32),
    (RESNET, "ResNet152", 1507, 32),
    (RESNET, "ResNet200", 1763, 32),
]


@pytest.mark.parametrize(("text", "net", "size", "stride"), PUBLISHED)
def test_published(text: str, net: str, size: int, stride: int) -> None:
    graph = load(text, net)
    for axis in receptive_fields(graph)[graph.outputs[0]]["image"]:
        assert (axis.size, axis.stride) == (size, stride)


# ---- measured: every layer ---------------------------------------------------------------------


@pytest.mark.parametrize(("call", "shapes"), [each for each in examples("layer") if each[1]])
def test_a_layer_sees_what_changes_it(call: str, shapes: tuple[str, ...]) -> None:
    made = case(call, shapes)
    for which, x in enumerate(made.inputs):
        y = made.layer.shape(*made.inputs)
        gate = made.layer.join and x.spatial != y.spatial
        if gate:
            continue
        sights = made.layer.sees(x) if made.layer.join else made.layer.sees(*made.inputs)
        for axis, seen in enumerate(layer_seen(made, which)):
            sizes = [len(places) for places in seen]
            if sights == ():
                assert max(sizes) <= 1, "more than one place is seen"
            elif sights is None:
                # Of a vector it may be several features, such as the pieces of maxout.
                assert max(sizes) >= (x.spatial[axis] if x.spatial else min(2, x.size))
            else:
                size = (x.spatial or x.dims)[axis]
                told = [clipped(sights[axis], i, size) for i in range(len(seen))]
                assert all(places <= set(span) for places, span in zip(seen, told, strict=True))
                assert max(map(extent, seen)) == max(map(len, told))


def clipped(sight: Sight, i: int, size: int) -> range:
    first = max(0, -((-i * sight.step - sight.first) // sight.over))
    return range(first, min(size - 1, (i * sight.step + sight.last) // sight.over) + 1)


def extent(places: set[int]) -> int:
    return max(places) - min(places) + 1 if places else 0


def hull(places: set[int]) -> tuple[int, int] | None:
    return (min(places), max(places)) if places else None


def layer_seen(made, which: int) -> list[list[set[int]]]:
    """For each axis and position of the output the positions of an input that change it."""
    x = made.inputs[which]
    spatial = bool(x.spatial)
    axes = len(x.spatial) or len(x.dims)
    base = forward(made, made.xs)
    outer = 2 if base.ndim > 2 else 1  # the first axis of positions in the output
    found = []
    for axis in range(axes):
        along = outer + axis if outer + axis < base.ndim else None
        count = base.shape[along] if along is not None else 1
        flat = along is None or base.ndim - outer != axes
        seen = [set() for _ in range(base[0].size if flat else count)]
        at = (2 if spatial else 1) + axis
        for place, change in product(range(made.xs[which].shape[at]), (10, -10, 0.3)):
            changed = differs(made, which, base, at, place, change)
            rest = changed[0] if flat else np.moveaxis(changed, along, 0)
            for i in np.flatnonzero(rest.reshape(len(seen), -1).any(axis=1)):
                seen[i].add(place)
        found.append(seen)
    return found


def differs(made, which: int, base, at: int, place: int, change: float):
    xs = [x.copy() for x in made.xs]
    index = (slice(None),) * at + (place,)
    whole = made.layer.takes is DType.INT
    xs[which][index] = (
        (xs[which][index] + 1) % made.layer.bound() if whole else xs[which][index] + change
    )
    return forward(made, xs) != base


def forward(made, xs):
    return layer_forward(made.layer, xs, made.weights, made.state, train=False)["y"]


# ---- measured: networks ------------------------------------------------------------------------

NETS = {
    "windows": """
        input x(1x44)
        conv(2, 5, stride=2) -> maxpool(3, stride=1) -> conv(1, 3, dilation=3)""",
    "branches": """
        input x(1x40)
        concat [
          conv(1, 1)
          conv(1, 1) -> conv(1, 3, pad=1)
          conv(1, 5, pad=2)
          maxpool(3, stride=1, pad=1)
        ]
        conv(1, 3, stride=2, pad=1)""",
    "unequal offsets": """
        input x(1x40)
        add [ conv(1, 4), crop(37) -> conv(1, 4, pad=same_upper), conv(1, 3) -> conv(1, 2) ]""",
    "residual": """
        input x(2x61)
        residual { conv(2, 3, pad=1) -> tanh -> conv(2, 3, pad=1) }
        residual(shortcut=pad) { conv(3, 3, stride=2, pad=1) }
        residual(shortcut=project) { conv(4, 5, stride=2, pad=2) }""",
    "u": """
        input x(1x92)
        conv(1, 3) as a -> maxpool(2) -> conv(1, 3) as b -> avgpool(2) -> conv(1, 3)
        upconv(1, 2, stride=2) as c
        concat [ @b -> crop(@c), id ] -> conv(1, 3) -> upconv(1, 3, stride=2) as d
        concat [ @a -> crop(@d), id ] -> conv(1, 3) -> conv(1, 2, stride=2)""",
    "up": """
        input x(1x34)
        conv(1, 3, stride=2) -> upsample(2, bilinear) -> conv(1, 2)
        upsample(3) -> conv(1, 4, stride=4)""",
    "gaps": """
        input x(1x26)
        conv(1, 3) -> upconv(1, 1, stride=2) -> conv(1, 2) -> upconv(1, 5, stride=3, pad=2)""",
    "two steps": """
        input x(1x31)
        concat [ conv(1, 3, stride=2), crop(15) ] -> conv(1, 3)""",
    "two inputs": """
        input x(1x20)
        input y(1x24)
        @x -> conv(1, 5) as a
        add [ @a, @y -> conv(1, 9) ] -> conv(1, 3)""",
    "flat": """
        input x(2x12)
        conv(1, 3) -> flatten -> dense(3) -> tanh""",
    "unseen": """
        input x(1x12)
        conv(1, 2, stride=4) -> global_avgpool""",
    "gate": """
        input x(2x12)
        conv(2, 3) -> mul [ id, global_avgpool -> dense(2) -> sigmoid ]""",
    "positions": """
        input x(3x8)
        conv(6, 3) -> attention -> conv(1, 1)""",
    "plane": """
        input x(1x13x12)
        conv(1, 3x2, stride=2x1, dilation=1x2) -> maxpool(2x3, stride=1)""",
    "space": """
        input x(1x6x5x4)
        conv(1, 2x3x1) -> avgpool(2x1x2, stride=1x1x2)""",
}


@pytest.mark.parametrize("name", NETS)
def test_a_network_sees_what_changes_it(name: str) -> None:
    graph = load(f"net A {{{NETS[name]}\n}}")
    fields = receptive_fields(graph)
    exact = 0
    for source in graph.inputs:
        for axis in range(len(source.tensor.spatial)):
            values = perturbed(graph, source, axis)
            for node in graph:
                told = fields[node.name].get(source.name)
                seen = changes(values[node.name], axis, node)
                if told is None:
                    assert not any(seen)
                else:
                    exact += agree(told[axis], seen)
    assert exact > len(graph.nodes)


def test_places_that_are_counted_otherwise() -> None:
    steps = "conv(2, 3, stride=2) -> sequence -> class_token -> conv(3, 1) as a -> conv(3, 3) as b"
    fields = receptive_fields(load(f"net A {{\n  input x(1x9x9)\n  {steps}\n}}"))
    assert [axis.size for axis in fields["a"]["x"]] == [3, 3]
    assert [axis.size for axis in fields["b"]["x"]] == [9, 9]


def agree(field: Field, seen: list[set[int]]) -> int:
    """How many positions see exactly what is told; none may see more.

    At the ends some see less: what lies in the padding of a layer between sees nothing.
    """
    if field.step == 0 or len(seen) == 1:
        places = set().union(*seen)
        assert hull(places) == (field.spans[0] if field.step == 0 else hull(places))
        return len(seen)
    count = 0
    for i, places in enumerate(seen):
        span = field.at(i)
        assert not places or (span and span[0] <= min(places) and max(places) <= span[1])
        inner = span is None or (span[0] >= 0 and span[1] < field.extent)
        if inner and len(seen) // 3 <= i <= len(seen) * 2 // 3:
            assert hull(places) == span
            count += 1
    assert count or field.size > field.extent // 2
    return count


def perturbed(graph: Graph, source: Node, axis: int) -> dict[str, np.ndarray]:
    """Every tensor, for a sample and for the same with each position changed in turn."""
    rng = np.random.default_rng(3)
    count = source.tensor.spatial[axis]
    values: dict[str, np.ndarray] = {}
    for node in graph:
        if not node.inputs:
            x = np.repeat(rng.normal(size=(1, *node.tensor.dims)), 2 * count + 1, axis=0)
            if node is source:
                for sample in range(2 * count):
                    index = (sample + 1, slice(None), *[slice(None)] * axis, sample % count)
                    x[index] += 9 if sample < count else -9
            values[node.name] = x
            continue
        weights = {n: rng.uniform(0.2, 1, w.dims) for n, w in graph.weights(node).items()}
        xs = [values[name] for name in node.inputs]
        state = {n: np.full(s.dims, s.value) for n, s in graph.state(node).items()}
        values[node.name] = layer_forward(node.layer, xs, weights, state, train=False)["y"]
    return values


def changes(values: np.ndarray, axis: int, node: Node) -> list[set[int]]:
    """For each position of a tensor the positions of the input that change it."""
    count = (len(values) - 1) // 2
    changed = values[1:] != values[:1]
    if not node.tensor.spatial:
        places = np.flatnonzero(changed.reshape(2 * count, -1).any(axis=1))
        return [{int(place) % count for place in places}]
    rows = np.moveaxis(changed, 2 + axis, 1).reshape(2 * count, node.tensor.spatial[axis], -1)
    return [{int(p) % count for p in np.flatnonzero(row)} for row in rows.any(axis=2).T]
