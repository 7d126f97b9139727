"""Calls of other systems, put into ours: ``Conv2d(3, 64, 3)`` is ``conv(64, 3)``.

Only what surely means the same is put so, for the user may copy it: an argument that has no
counterpart leaves the whole call as it is. What a call leaves out takes the defaults of this
language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from netdsl.arguments import Word, accept
from netdsl.elaborate.foreign import AXES, FREE, INITIALIZERS, LAYERS, NEUTRAL, ORDERS, UNLIKE
from netdsl.elaborate.mistakes import walk
from netdsl.errors import Problem
from netdsl.op import Layer
from netdsl.syntax import ast
from netdsl.syntax.scene import WORDS

ACTIVATIONS = {"relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "gelu", "leaky_relu"}

_RECURRENT = {"lstm", "gru", "rnn"}
_TORCH = {"input_size", "hidden_size", "batch_first", "num_layers", "bidirectional", "nonlinearity"}
_NO_VALUE = (ast.Fn, ast.ListExpr, ast.BodyExpr, ast.TensorRef, ast.Index, ast.Ternary)


class Untold(Exception):
    """Part of a call has no counterpart here."""


@dataclass(frozen=True)
class Given:
    """An argument of their call: their name of it, ours if there is one, and its value."""

    name: str
    ours: str
    value: ast.Expr
    named: bool


@dataclass
class Steps:
    """The steps that a call becomes: a layer's arguments, and what stands after it."""

    op: type[Layer]
    theirs: str
    meant: dict[str, ast.Expr]
    given: list[str] = field(default_factory=list)
    filled: set[str] = field(default_factory=set)
    after: str = ""
    label: str = ""

    def add(self, name: str, text: str, named: bool) -> None:
        """Give a parameter a value; it stands without its name only where that is its place."""
        if name in self.filled:
            raise Untold
        named |= any("=" in one for one in self.given)
        named |= _names(self.op).index(name) != len(self.given)
        self.given.append(f"{name}={text}" if named else text)
        self.filled.add(name)

    def __str__(self) -> str:
        inside = f"({', '.join(self.given)})" if self.given else ""
        return f"{self.op.name}{inside}{self.after}{self.label}"


def translated(call: ast.Call, op: type[Layer]) -> str | None:
    """The steps that a call of another system means; None where part of it has no counterpart."""
    try:
        return _joined(call, op) if op.join else str(_steps(call, op))
    except Untold:
        return None


def _joined(call: ast.Call, op: type[Layer]) -> str:
    """A join of tensors: ``Concatenate(axis=-1)``, ``cat([@a, @b])``."""
    branches: list[ast.Expr] = []
    for arg in call.args:
        if arg.name and ("join", arg.name.text, _text(arg.value)) not in AXES:
            raise Untold
        if not arg.name:
            value = arg.value
            several = value.items if isinstance(value, ast.ListExpr | ast.TupleExpr) else (value,)
            branches += several
    if any(not isinstance(branch, ast.Var | ast.TensorRef) for branch in branches):
        raise Untold
    texts = ["@" + branch.span.text.removeprefix("@") for branch in branches]
    return f"{op.name} [ {', '.join(texts) or 'a, b'} ]"


def _steps(call: ast.Call, op: type[Layer]) -> Steps:
    theirs = call.name.text
    if re.sub(r"[123]d$", "", theirs.lower().replace("_", "")) in UNLIKE:
        raise Untold
    args = _arguments(call, op)
    steps = Steps(op, theirs, {arg.ours: arg.value for arg in args if arg.ours})
    for arg in args:
        _argument(arg, steps)
    if op.name in _RECURRENT and _torch(call):
        steps.add("returns", "all", named=True)  # PyTorch gives all positions, and Keras the last
    if not steps.filled and "Pooling" in theirs and "window" in _names(op):
        steps.add("window", "2", named=False)  # what Keras takes where nothing is said
    if not set(_required(op)) <= steps.filled:
        raise Untold
    return steps


def _names(op: type[Layer]) -> list[str]:
    return [parameter.name for parameter in op.parameters()]


def _required(op: type[Layer]) -> list[str]:
    return [parameter.name for parameter in op.parameters() if parameter.required]


# ---- what the arguments are ----------------------------------------------------------------------


def _arguments(call: ast.Call, op: type[Layer]) -> list[Given]:
    values = [arg.value for arg in call.args if arg.name is None]
    order = _order(call, op)
    if len(values) > len(order):
        raise Untold
    pairs = [(name, value, False) for name, value in zip(order, values, strict=False)]
    pairs += [(arg.name.text, arg.value, True) for arg in call.args if arg.name]
    return [Given(name, _ours(name, call, op), value, named) for name, value, named in pairs]


def _ours(name: str, call: ast.Call, op: type[Layer]) -> str:
    if name == "size" and call.name.text.startswith("UpSampling"):
        return "factor"  # of Keras; the size of PyTorch is that of the output
    return name if name in _names(op) else op.synonyms.get(name, "")


def _order(call: ast.Call, op: type[Layer]) -> list[str]:
    """Their names of the arguments that have none."""
    general = re.sub(r"[123](?=[dD])", "N", call.name.text)
    if op.name in _RECURRENT and general in ORDERS and not _torch(call):
        return ORDERS["SimpleRNN"].split()[: 1 if general == "RNN" else 2]
    untold = general in ("ConvNd", "ConvTransposeNd", "Linear") and not _told(call, general)
    if general in ORDERS and not untold:
        return ORDERS[general].split()
    # A system that is not known: only what every system has in this order.
    return _required(op) + (["stride"] if op.name in ("maxpool", "avgpool") else [])


def _count(call: ast.Call) -> int:
    """How many numbers stand first, with those that have the names of PyTorch."""
    names = {"out_channels", "out_features", "kernel_size"}
    return sum(not arg.name or arg.name.text in names for arg in call.args)


def _told(call: ast.Call, general: str) -> bool:
    """Whether the first number is that of the channels that enter, as PyTorch wants it."""
    return _count(call) >= (2 if general == "Linear" else 3)


def _torch(call: ast.Call) -> bool:
    """Whether a recurrent layer is one of PyTorch: two sizes, or names that only PyTorch has."""
    values = [arg.value for arg in call.args if arg.name is None]
    texts = len(values) > 1 and (values[1].span.text[0] == '"' or _text(values[1]) == "none")
    named = {arg.name.text for arg in call.args if arg.name}
    return bool(named & _TORCH) or (len(values) > 1 and not texts)


# ---- what they mean ------------------------------------------------------------------------------


def _argument(arg: Given, steps: Steps) -> None:
    """One argument: a parameter of ours, a step of its own, or nothing."""
    text = _text(arg.value)
    if arg.name == "name":
        steps.label = f" as {_label(arg.value)}"
    elif arg.name in ("activation", "act") and not arg.ours:
        _activation(_plain(arg.value), steps)
    elif text in NEUTRAL.get(arg.name, ()):
        return
    elif arg.name == "momentum" and arg.ours:
        steps.add("momentum", _momentum(arg.value, steps), arg.named)
    elif arg.ours:
        _value(arg, steps)
    elif (steps.op.name, arg.name, text) not in AXES and not _free(arg, text):
        raise Untold


def _free(arg: Given, text: str) -> bool:
    """Whether an argument says nothing here, whatever its value."""
    if arg.name in ("inplace", "batch_first"):
        return text in ("true", "false")
    if arg.name == "normalized_shape":  # LayerNorm([3, 32, 32]) looks at space too
        return isinstance(arg.value, ast.Literal | ast.Var) and "x" not in text
    return arg.name in FREE


def _label(value: ast.Expr) -> str:
    name = value.span.text.strip('"')
    if value.span.text == name or not name.isascii() or not name.isidentifier() or name in WORDS:
        raise Untold
    return name


def _momentum(value: ast.Expr, steps: Steps) -> str:
    """Keras counts the part that stays; the paper and PyTorch that of the new batch."""
    number = value.value if isinstance(value, ast.Literal) else None
    if not isinstance(number, float) or not 0 <= number <= 1:
        raise Untold
    if steps.theirs.startswith("BatchNormalization"):
        return f"{1 - number:.12g}"
    if re.fullmatch(r"BatchNorm[123]d", steps.theirs):
        return value.span.text
    raise Untold  # the others do not agree


def _activation(name: str, steps: Steps) -> None:
    if name in ("linear", "none") or (steps.op.name in ("lstm", "gru") and name == "tanh"):
        return
    known = name if name in ACTIVATIONS else LAYERS.get(name.replace("_", ""), "")
    if known not in ACTIVATIONS or steps.op.name in ("lstm", "gru"):
        raise Untold
    if known == "leaky_relu":
        if name != "leaky":
            raise Untold  # every system has a slope of its own
        known = "leaky_relu(0.1)"  # of darknet
    steps.after = f" -> {known}"


def _value(arg: Given, steps: Steps) -> None:
    """A parameter of ours and its value."""
    name, text, synonym = arg.ours, _text(arg.value), arg.ours != arg.name
    if name == "pad" and steps.op.name != "embedding":
        _pad(arg, text, steps)
        return
    if name == "returns" and synonym:
        if text not in ("true", "false"):
            raise Untold
        if text == "true":
            steps.add(name, "all", arg.named)
        return
    if name.endswith("init"):
        if text.replace("_", "") not in INITIALIZERS:
            raise Untold
        text = INITIALIZERS[text.replace("_", "")]
    else:
        _check(name, arg.value, text, steps.op)
    steps.add(name, text, arg.named)


def _pad(arg: Given, text: str, steps: Steps) -> None:
    """Padding: as a number everywhere, as a word in Keras and for convolutions of PyTorch."""
    if text == "valid":
        return
    if text == "same" and steps.op.name != "upconv":
        steps.add("pad", _same(steps), arg.named)
        if steps.op.name == "avgpool":
            steps.add("count_pad", "false", named=True)  # Keras averages over what is there
        return
    window = steps.meant.get("window")
    if steps.theirs == "convolutional" and not (window and _text(window) == "3" and text == "1"):
        raise Untold  # darknet says whether to pad, and not how much
    if not text[0].isdigit():
        raise Untold
    _check("pad", arg.value, text, steps.op)
    steps.add("pad", text, arg.named)


def _same(steps: Steps) -> str:
    """Keras pads more at the end than before, which shows with strides and with even windows."""
    given = {name: _text(value) for name, value in steps.meant.items()}
    window = re.findall(r"\d+", given.get("window", ""))
    odd = window and all(int(size) % 2 for size in window)
    still = given.get("stride") in ("1", "1x1")
    still = still or ("stride" not in given and steps.op.name == "conv")
    return "same" if odd and still else "same_upper"


# ---- values --------------------------------------------------------------------------------------


def _check(name: str, value: ast.Expr, text: str, op: type[Layer]) -> None:
    """A value that our parameter does not take, or that runs code, is no translation."""
    for tree in walk(value):
        foreign = isinstance(tree, ast.Attr) and not isinstance(tree.value, ast.In)
        if foreign or isinstance(tree, _NO_VALUE):
            raise Untold
    constant = text in ("true", "false", "none") or re.fullmatch(r"\d+(x\d+)+", text)
    if re.fullmatch(r"-[\d.].*", text):
        raise Untold  # sizes and rates have no sign
    if not constant and not isinstance(value, ast.Literal):
        return  # it is seen when the line is read
    kind = next(parameter.kind for parameter in op.parameters() if parameter.name == name)
    try:
        accept(kind, _meaning(text, value))
    except Problem:
        raise Untold from None


def _meaning(text: str, value: ast.Expr) -> object:
    if text in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text]
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(int(size) for size in text.split("x"))
    plain = isinstance(value, ast.Literal) and not isinstance(value.value, str)
    return value.value if plain and isinstance(value, ast.Literal) else Word(text)


def _plain(value: ast.Expr) -> str:
    """A word with or without its quotes, in lower case."""
    return value.span.text.strip('"').lower()


def _text(value: ast.Expr) -> str:
    """A value as it is written here: words without quotes, sizes as sizes."""
    text = value.span.text
    if text in ("True", "False", "None"):
        return text.lower()
    if isinstance(value, ast.TupleExpr) and re.fullmatch(r"\(\s*\d+(\s*,\s*\d+)+\s*\)", text):
        return "x".join(item.span.text for item in value.items)
    return _plain(value) if re.fullmatch(r'"\w+"', text) else text
