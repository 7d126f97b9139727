"""One harness for every op and its examples: is its mathematics what its first line says?

The judges are central differences of the kernels themselves and, where it is installed, PyTorch,
both in double precision.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from op_cases import BATCH, KINDS, build, case, differences, examples, same, tensors

from netdsl.arguments import accept
from netdsl.errors import Problem
from netdsl.interpret import RUN, evaluate, layer_backward, layer_forward
from netdsl.op import REGISTRY, Op, call_text
from netdsl.random import uniform
from netdsl.tensor import DType, Tensor

OPS = [op for kind in KINDS for op in REGISTRY[kind].values()]
LAYERS = [(call, shapes) for call, shapes in examples("layer") if shapes]
KERNEL_LAYERS = [(call, shapes) for call, shapes in LAYERS if not build("layer", call).alias]


def run(c: SimpleNamespace) -> tuple[dict[str, Any], dict[str, Any]]:
    made = layer_forward(c.layer, c.xs, c.weights, c.state)
    return made, layer_backward(c.layer, c.xs, c.weights, {**c.state, **made}, c.dy)


def by_inputs(c: SimpleNamespace, gradients: dict[str, Any]) -> list[np.ndarray]:
    """The gradients by the inputs; there are none by whole numbers."""
    if c.layer.takes is DType.INT:
        return []
    return gradients["dx"] if c.layer.join else [gradients["dx"]]


def bits(values: dict[str, Any]) -> dict[str, list[bytes]]:
    """All bits of what was made."""
    rows = {name: v if isinstance(v, list) else [v] for name, v in values.items()}
    return {name: [array.tobytes() for array in row] for name, row in rows.items()}


# ---- what every op has ---------------------------------------------------------


@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.kind}-{op.name}")
def test_an_op_is_described_and_accepts_its_own_defaults(op: type[Op]):
    assert "``" in op.law()
    assert op.examples
    for parameter in op.parameters():
        if not parameter.required:
            assert accept(parameter.kind, parameter.default) == parameter.default
    names = {parameter.name for parameter in op.parameters()}
    assert set(op.synonyms.values()) <= names
    assert not names & set(op.synonyms)


@pytest.mark.parametrize(("kind", "call"), [(k, c) for k in KINDS for c, _ in examples(k)])
def test_a_call_is_what_its_text_says(kind: str, call: str):
    op = build(kind, call)
    assert build(kind, call_text(op)) == op


# ---- layers --------------------------------------------------------------------


@pytest.mark.parametrize("op", REGISTRY["layer"].values(), ids=lambda op: op.name)
def test_a_layer_has_the_kernels_it_needs_and_no_others(op):
    made = {kernel.makes for kernel in op.kernels}
    if op.alias or not op.inputs():
        assert not made
        return
    known, weights, numbers, needed = set(op.inputs()), set(), set(RUN), {"y"}
    for call, *shapes in op.examples:
        layer, xs = build("layer", call), tensors(tuple(shapes))
        weights |= set(layer.weights(*xs))
        needed |= set(layer.aux(*xs)) | set(layer.state(*xs))
        numbers |= set(layer.numbers(*xs)) | set(layer.part(0, *xs))
        if any(weight.fan_in > 1 for weight in layer.weights(*xs).values()):
            assert layer.macs(*xs) > 0
    gradients = {"dx"} if op.join else {f"d{name}" for name in op.inputs()}
    gradients = set() if op.takes is DType.INT else gradients
    assert made == needed | gradients | {f"d{name}" for name in weights}
    for kernel in op.kernels:
        assert set(kernel.tensors) <= known | weights | needed | {"dy"}
        assert set(kernel.numbers) <= numbers
        assert kernel.fills in (None, kernel.makes)
        assert not (kernel.fills and kernel.makes in gradients), "gradients are added up"
    for when in ("train", "eval"):
        here = [k.makes for k in op.kernels if k.when in ("always", when)]
        assert len(here) == len(set(here)), f"made twice in {when}"
        assert "y" in here


@pytest.mark.parametrize(("call", "shapes"), LAYERS)
def test_the_kernels_fill_the_shapes_of_the_rule_twice_the_same(call, shapes):
    c = case(call, shapes)
    made, gradients = run(c)
    assert made["y"].shape == (BATCH, *c.layer.shape(*c.inputs).dims)
    for name, tensor in c.layer.aux(*c.inputs).items():
        if name in made:
            assert made[name].dtype == (np.int64 if tensor.dtype is DType.INT else np.float64), name
    dxs = by_inputs(c, gradients)
    assert [dx.shape for dx in dxs] == [x.shape for x in c.xs][: len(dxs)]
    assert {n: g.shape for n, g in gradients.items() if n != "dx"} == {
        f"d{name}": weight.shape for name, weight in c.weights.items()
    }
    again, more = run(c)
    assert [bits(made), bits(gradients)] == [bits(again), bits(more)]


@pytest.mark.parametrize(("call", "shapes"), LAYERS)
def test_the_gradients_are_those_of_central_differences(call, shapes):
    c = case(call, shapes)
    _, gradients = run(c)

    def projection() -> float:
        return float((layer_forward(c.layer, c.xs, c.weights, c.state)["y"] * c.dy).sum())

    dxs = by_inputs(c, gradients)
    pairs = [*zip(c.xs[: len(dxs)], dxs, strict=True)]
    pairs += [(weight, gradients[f"d{name}"]) for name, weight in c.weights.items()]
    for x, gradient in pairs:
        np.testing.assert_allclose(gradient, differences(projection, x), rtol=1e-6, atol=1e-8)


BAD = [
    ("add", ("2x3", "2x4"), "add joins equal shapes, not 2x3 and 2x4"),
    ("concat", ("2x3x3", "2x4x3"), "the other sizes must be equal: 2x3x3, 2x4x3"),
    ("global_avgpool", ("5",), "the input is 5"),
    ("dense(3)", ("2x3",), "dense wants a vector, not 2x3"),
    ("mul", ("4x2x2", "2"), "mul joins equal shapes, not 4x2x2 and 2"),
    ("mul", ("4x3", "4x1x1"), "mul joins equal shapes, not 4x3 and 4x1x1"),
    ("mul", ("4x2x2", "1x2x2"), "mul joins equal shapes, not 4x2x2 and 1x2x2"),
    ("mean", ("3x2", "3"), "mean joins equal shapes, not 3x2 and 3"),
    ("take(3)", ("2x3",), "there is no position 3 among 3"),
    ("take(0)", ("3",), "take wants a sequence, channels x positions, not 3"),
    ("class_token", ("3x2x2",), "class_token wants a sequence"),
    ("sequence", ("5",), "sequence wants channels and positions, not 5"),
    ("upsample(2)", ("5",), "1, 2 or 3 spatial axes, not 5"),
    ("crop(2, start=2)", ("1x3x3",), "a crop of 2 from 2 on does not fit into 1x3x3"),
    ("maxpool(2)", ("7",), "1, 2 or 3 spatial axes, not 7"),
    ("maxpool(2, pad=2)", ("1x4x4",), "pad=2 lets a window of 2 lie in the padding alone"),
    ("maxpool(2, dilation=2, pad=1)", ("1x1x4",), "lie in the padding alone"),
    ("avgpool(3, pad=3, count_pad=false)", ("1x4",), "pad=3 lets a window of 3"),
    ("avgpool(5)", ("1x4x4",), "a window of 5 does not fit into 4"),
    ("avgpool(2x2)", ("1x4",), "window has 2 sizes, the input has 1 spatial axes"),
    ("conv(4, 3, groups=2)", ("3x5x5",), "groups=2 does not divide the 3 input channels"),
]


@pytest.mark.parametrize(("call", "shapes", "message"), BAD)
def test_inputs_that_do_not_suit_are_refused(call, shapes, message):
    with pytest.raises(Problem, match=re.escape(message)):
        build("layer", call).shape(*tensors(shapes))


def test_expect_wants_something():
    with pytest.raises(Problem, match="expect wants a shape, or params"):
        build("layer", "expect")
    assert build("layer", "expect(4)").dims == (4,)
    assert build("layer", "expect(4x2)").dims == (4, 2)


def test_an_input_is_what_the_user_feeds():
    assert build("layer", "input(3x4x5)").shape() == Tensor((3, 4, 5))
    assert build("layer", "input(20, dtype=int)").shape() == Tensor((20,), DType.INT)


@pytest.mark.parametrize(
    "call",
    ["relu", "leaky_relu", "sigmoid", "tanh", "maxpool(2)", "max", "mul", "mean", "global_maxpool"],
)
def test_a_nan_is_never_swallowed(call):
    x = np.full((1, 1, 2, 2), -1.0)
    x[0, 0, 1, 0] = np.nan
    layer = build("layer", call)
    xs = [np.ones_like(x), x] if layer.join else [x]
    assert np.isnan(layer_forward(layer, xs, {}, {})["y"]).any()


def test_of_equal_maxima_the_first_gets_the_gradient():
    x = np.array([[[[3.0, 3.0], [1.0, 3.0]]]])
    pool, join = build("layer", "maxpool(2)"), build("layer", "max")
    dy = np.full((1, 1, 1, 1), 5.0)
    dx = layer_backward(pool, [x], {}, layer_forward(pool, [x], {}, {}), dy)["dx"]
    assert dx.tolist() == [[[[5, 0], [0, 0]]]]
    first, second = layer_backward(join, [x, x], {}, {}, x)["dx"]
    assert first.tolist() == x.tolist()
    assert not second.any()


@pytest.mark.parametrize("call", ["sigmoid", "softmax", "tanh"])
def test_large_values_do_not_overflow(call):
    x = np.array([[-2000.0, 0.0, 2000.0]])
    y = layer_forward(build("layer", call), [x], {}, {})["y"][0].tolist()
    assert y == {"sigmoid": [0, 0.5, 1], "softmax": [0, 0, 1], "tanh": [-1, 0, 1]}[call]


def test_the_oracle_refuses_an_index_below_0():
    (kernel,) = (k for k in REGISTRY["layer"]["concat"].kernels if k.makes == "dx")
    with pytest.raises(IndexError, match="below 0"):
        evaluate(kernel, (1, 2, 1), {"dy": np.ones((1, 2, 1))}, {"first": -1})


# ---- PyTorch as the judge ------------------------------------------------------


def torch_layer(
    c: SimpleNamespace, torch: Any, xs: list[Any], w: dict[str, Any], train: bool
) -> Any:
    """What PyTorch makes of a layer; in training it renews the state of ``w`` in place."""
    f, op, x = torch.nn.functional, c.layer, xs[0]
    rank = len(c.inputs[0].spatial)
    axes = op.windows(c.inputs[0]).axes if hasattr(op, "windows") else ()
    window, stride, before, dilation = (
        tuple(getattr(axis, what) for axis in axes)
        for what in ("window", "stride", "before", "dilation")
    )

    def conv() -> Any:
        pads = [pad for axis in reversed(axes) for pad in (axis.before, axis.after)]
        conv_ = getattr(f, f"conv{rank}d")
        padded = f.pad(x, pads)
        return conv_(padded, w["weight"], w.get("bias"), stride, 0, dilation, op.groups)

    def avgpool() -> Any:
        rest = (op.ceil, op.count_pad)
        return getattr(f, f"avg_pool{rank}d")(x, window, stride, before, *rest)

    def bn() -> Any:
        rest = (w.get("weight"), w.get("bias"), train, op.momentum, op.eps)
        return f.batch_norm(x, w["running_mean"], w["running_var"], *rest)

    def dropped(*masked: int) -> Any:
        keep = [uniform(1, 1, 1, e) >= op.p for e in range(int(np.prod(masked)))]
        mask = torch.tensor(keep, dtype=x.dtype).reshape(masked) / (1 - op.p)
        return x * mask.reshape(*masked, *[1] * (x.dim() - len(masked))) if train else x

    def zero_channels() -> Any:
        strides = (op.stride,) * rank
        y = x[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
        return f.pad(y, [0, 0] * rank + [0, op.channels - x.shape[1]])

    def upconv() -> Any:
        sizes = op.sizes(c.inputs[0])
        rest = (sizes["stride"], sizes["pad"], sizes["extra"])
        return getattr(f, f"conv_transpose{rank}d")(x, w["weight"], w.get("bias"), *rest)

    def crop() -> Any:
        sizes = op.shape(*c.inputs).spatial
        starts = op.starts(*c.inputs)
        middle = (slice(a, a + n) for a, n in zip(starts, sizes, strict=True))
        return x[(slice(None), slice(None), *middle)]

    def layer_norm() -> Any:
        rest = (w.get("weight"), w.get("bias"), op.eps)
        return f.layer_norm(x.movedim(1, -1), (x.shape[1],), *rest).movedim(-1, 1)

    def mean() -> Any:
        if not train:
            return torch.stack(xs).mean(0)
        numbers = range(len(xs))
        luck = [[uniform(1, 1, 1, n * len(xs) + i) for i in numbers] for n in range(BATCH)]
        stay = torch.tensor([[u >= min(op.drop, max(row)) for u in row] for row in luck])
        weight = (stay / stay.sum(1, keepdim=True)).to(x.dtype)
        return sum(x_ * weight[:, i].reshape(-1, *[1] * rank, 1) for i, x_ in enumerate(xs))

    def mul() -> Any:
        made = torch.ones_like(max(xs, key=lambda x: (x.numel(), x.dim())))
        for gate in xs:
            made = made * gate.reshape(*gate.shape, *[1] * (made.dim() - gate.dim()))
        return made

    def upsample() -> Any:
        mode = ("linear", "bilinear", "trilinear")[rank - 1] if op.mode == "bilinear" else op.mode
        return f.interpolate(x, scale_factor=op.factors(c.inputs[0]), mode=mode)

    def embedding() -> Any:
        vectors = f.embedding(x, w["weight"])
        return torch.where(x[..., None] == op.numbers(*c.inputs)["pad"], 0, vectors).movedim(-1, 1)

    def recurrent() -> Any:
        kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[op.name]
        more = {"nonlinearity": op.activation} if op.name == "rnn" else {}
        module = kind(c.inputs[0].channels, op.units, bias=op.bias, **more).double()
        theirs = {f"{'bias_ih' if n == 'bias' else n}_l0": value for n, value in w.items()}
        if "bias" in w:
            theirs["bias_hh_l0"] = torch.zeros_like(w["bias"])
        sequence = x.permute(2, 0, 1)
        sequence = sequence.flip(0) if op.reverse else sequence
        made = torch.func.functional_call(module, theirs, (sequence,))[0]
        if op.returns == "last":
            return made[-1]
        return (made.flip(0) if op.reverse else made).permute(1, 2, 0)

    def attention() -> Any:
        parts = x.reshape(BATCH, 3, op.heads, -1, x.shape[-1]).transpose(-1, -2).unbind(1)
        return f.scaled_dot_product_attention(*parts).transpose(-1, -2).flatten(1, 2)

    table = {
        "attention": attention,
        "class_token": lambda: torch.cat([w["weight"].expand(BATCH, -1)[..., None], x], 2),
        "crop": crop,
        "embedding": embedding,
        "gru": recurrent,
        "lstm": recurrent,
        "rnn": recurrent,
        "elu": lambda: f.elu(x, op.alpha),
        "gelu": lambda: f.gelu(x),
        "layer_norm": layer_norm,
        "lrn": lambda: f.local_response_norm(x, op.size, op.alpha, op.beta, op.k),
        "maxout": lambda: x.unflatten(1, (-1, op.pieces)).amax(2),
        "position": lambda: x + w["weight"],
        "relu6": lambda: f.relu6(x),
        "take": lambda: x[:, :, op.at],
        "upconv": upconv,
        "upsample": upsample,
        "add": lambda: sum(xs),
        "avgpool": avgpool,
        "bn": bn,
        "concat": lambda: torch.cat(xs, 1),
        "conv": conv,
        "dense": lambda: f.linear(x, w["weight"], w.get("bias")),
        "drop_path": lambda: dropped(BATCH),
        "dropout": lambda: dropped(*x.shape),
        "global_avgpool": lambda: x.flatten(2).mean(2),
        "global_maxpool": lambda: x.flatten(2).amax(2),
        "leaky_relu": lambda: f.leaky_relu(x, op.slope),
        "max": lambda: torch.stack(xs).amax(0),
        "maxpool": lambda: getattr(f, f"max_pool{rank}d")(
            x, window, stride, before, dilation, op.ceil
        ),
        "mean": mean,
        "mul": mul,
        "relu": lambda: f.relu(x),
        "sigmoid": lambda: f.sigmoid(x),
        "softmax": lambda: f.softmax(x, 1),
        "tanh": lambda: f.tanh(x),
        "zero_channels": zero_channels,
    }
    if op.name not in table:
        pytest.skip(f"nobody has said what {op.name} is called in PyTorch")
    return table[op.name]()


@pytest.mark.parametrize(("call", "shapes"), KERNEL_LAYERS)
def test_a_layer_agrees_with_pytorch(call, shapes):
    torch = pytest.importorskip("torch")
    c = case(call, shapes)
    for train in (True, False):
        xs = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in c.xs]
        w = {n: torch.tensor(v, requires_grad=True) for n, v in c.weights.items()}
        w |= {n: torch.tensor(v) for n, v in c.state.items()}
        theirs = torch_layer(c, torch, xs, w, train)
        ours = layer_forward(c.layer, c.xs, c.weights, c.state, train)
        same(ours["y"], theirs)
        for name in c.state:
            same(ours.get(name, c.state[name]), w[name])
        if train:
            theirs.backward(torch.tensor(c.dy))
            gradients = layer_backward(c.layer, c.xs, c.weights, {**c.state, **ours}, c.dy)
            dxs = by_inputs(c, gradients)
            for x, dx in zip(xs[: len(dxs)], dxs, strict=True):
                same(dx, x.grad)
            for name in c.weights:
                same(gradients[f"d{name}"], w[name].grad)
