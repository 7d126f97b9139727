"""What people who know other systems write, and what it is called here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from netdsl.arguments import Word
from netdsl.elaborate.scope import Scope, TensorValue, brief
from netdsl.errors import MeaningError, nearest
from netdsl.syntax import ast

LAYERS = {
    "linear": "dense", "fullyconnected": "dense", "fc": "dense", "innerproduct": "dense",
    "maxpooling": "maxpool", "avgpooling": "avgpool", "averagepooling": "avgpool",
    "batchnormalization": "bn", "batchnorm": "bn", "convolution": "conv", "convolutional": "conv",
    "globalaveragepooling": "global_avgpool", "globalavgpool": "global_avgpool",
    "adaptiveavgpool": "global_avgpool", "concatenate": "concat", "cat": "concat",
    "identity": "id", "leakyrelu": "leaky_relu", "multiply": "mul", "sum": "add",
    "average": "mean", "maximum": "max", "reshape": "flatten", "shortcut": "residual",
    "upsampling": "upsample", "upsamplingnearest": "upsample", "upsamplingbilinear": "upsample",
    "adaptivemaxpool": "global_maxpool", "globalmaxpooling": "global_maxpool",
    "convtranspose": "upconv", "conv2dtranspose": "upconv", "deconv": "upconv",
    "deconvolution": "upconv", "layernormalization": "layer_norm", "localresponsenorm": "lrn",
    "multiheadattention": "attention", "selfattention": "attention", "cropping": "crop",
    "prelu": "leaky_relu", "stochasticdepth": "drop_path",
    "simplernn": "rnn", "elman": "rnn", "cudnnlstm": "lstm", "cudnngru": "gru",
}  # fmt: skip

STEPS = {
    "activation": "write the activation itself as a step: -> relu",
    "zeropadding": "padding belongs to the layer: conv(64, 3, pad=1)",
    "pad": "padding belongs to the layer: conv(64, 3, pad=1)",
    "depthwiseconv": "every channel is a group of its own: conv(in.c, 3, groups=in.c)",
    "separableconv": "write it as two: conv(in.c, 3, groups=in.c) -> conv(64, 1)",
    "permute": "channels come first, everywhere: leave it out",
    "sequential": "steps in series stand between braces: { conv(6, 5) -> relu }",
    "input": "an input is a statement: input image(1x28x28)",
    "bidirectional": "join two directions: concat [lstm(64), lstm(64, reverse=true)]",
    "timedistributed": "a dense layer at every position is a convolution of one: conv(10, 1)",
}

_NO_SIZES = "what enters is known: leave it out"

ARGUMENTS = {
    "activation": "an activation is a step of its own: write -> relu after it",
    "act": "an activation is a step of its own: write -> relu after it",
    "input_shape": "write input image(1x28x28) at the top of the net, and leave it out here",
    "input_dim": _NO_SIZES, "in_channels": _NO_SIZES, "in_features": _NO_SIZES,
    "num_features": _NO_SIZES, "name": "write as x after the step to name what it makes",
    "dim": "layers work over the channels: leave it out",
    "axis": "layers work over the channels: leave it out",
    "shuffle": "samples come in another order every epoch: leave it out",
    "inplace": "no layer works in place: leave it out",
    "learning_rate": "it belongs to the optimizer: optimizer = sgd(lr=0.1)",
    "lr": "it belongs to the optimizer: optimizer = sgd(lr=0.1)",
    "data_format": "channels always come first: leave it out",
}  # fmt: skip


OPS = {
    "he": "kaiming", "glorot": "xavier", "randomnormal": "normal", "gaussian": "normal",
    "randomuniform": "uniform", "crossentropyloss": "cross_entropy", "nll": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy", "sparsecategoricalcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy", "bcewithlogitsloss": "binary_cross_entropy",
    "meansquarederror": "mse", "mseloss": "mse", "l2": "mse", "acc": "accuracy",
    "steplr": "step", "multistep": "step", "cosineannealing": "cosine", "momentum": "sgd",
}  # fmt: skip


def layer_help(name: str, known: Iterable[str]) -> str | None:
    """What a step of an unknown name may have meant."""
    plain = name.lower().replace("_", "")
    for dimension in ("1d", "2d", "3d"):
        plain = plain.removesuffix(dimension)
    if plain in STEPS:
        return STEPS[plain]
    ours = {other.lower().replace("_", ""): other for other in known}
    near = ours.get(plain) or LAYERS.get(plain)
    return f"did you mean '{near}'?" if near else nearest(name, ours.values())


def op_help(name: str, known: Iterable[str]) -> str | None:
    """What an optimizer, a loss … of an unknown name may have meant."""
    plain = name.lower().replace("_", "")
    ours = {other.replace("_", ""): other for other in known}
    near = ours.get(plain) or OPS.get(plain)
    near = near if near in ours.values() else None
    return f"did you mean '{near}'?" if near else nearest(name.lower(), ours.values())


def argument_help(name: str, known: list[str], synonyms: Mapping[str, str]) -> str:
    """What an argument of an unknown name may have meant."""
    if name in synonyms:
        return f"did you mean '{synonyms[name]}'?"
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    listed = f"it has {', '.join(known)}" if known else "it has no parameters"
    return nearest(name, known) or listed


def no_layer(
    name: ast.Name,
    scope: Scope,
    layers: Collection[str],
    nets: Collection[str],
) -> MeaningError:
    """The error for a name that is neither a layer nor a block."""
    text = name.text
    help = layer_help(text, (*layers, *scope.blocks))
    help = help or f"there are {', '.join(sorted({*layers, *scope.blocks} - {'input'}))}"
    found, value = scope.find(text)
    if text in scope.labels or isinstance(value, TensorValue):
        help = f"write @{text} for the tensor of that name"
    elif found:
        help = f"here it is {brief(value)}"
    elif text in nets:
        help = "that is a net, with inputs of its own: a step is a layer or a block"
    return scope.error("E130", f"no layer or block is called '{text}'", name.span, help)


def surplus_help(called: str, extra: Any, given: list[Any]) -> str | None:
    """What an argument too many may have meant."""
    if called == "input" and all(isinstance(value, int) for value in given):
        return f"write the sizes as one: {'x'.join(map(str, given))}"
    if isinstance(extra, TensorValue):
        return f"what enters stands before the step: @{extra.node} -> {called}"
    if isinstance(extra, Word):
        return f"what enters stands before the step: @{extra.name} -> {called}"
    return None
