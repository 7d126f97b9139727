"""Calls of other systems, put into ours: ``Conv2d(3, 64, 3)`` is ``conv(64, 3)``.

Only what surely means the same is put so, for the user may copy it. What a call leaves out takes
the defaults of this language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from netdsl.elaborate.foreign import ARGUMENTS, INITIALIZERS, LAYERS
from netdsl.op import Layer
from netdsl.syntax import ast

TOLD = {"conv", "upconv", "dense", "bn", "layer_norm", "lstm", "gru", "rnn"}
"""Layers that PyTorch tells first how many channels enter."""

ACTIVATIONS = {"relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "gelu", "leaky_relu"}


class Untold(Exception):
    """Part of a call has no counterpart here."""


@dataclass
class Steps:
    """The steps that a call becomes: a layer's arguments, and what stands after it."""

    op: type[Layer]
    given: list[str] = field(default_factory=list)
    filled: set[str] = field(default_factory=set)
    after: str = ""
    label: str = ""

    def add(self, name: str, text: str, named: bool) -> None:
        """Give a parameter a value."""
        self.given.append(f"{name}={text}" if named else text)
        self.filled.add(name)

    def __str__(self) -> str:
        inside = f"({', '.join(self.given)})" if self.given else ""
        return f"{self.op.name}{inside}{self.after}{self.label}"


def translated(call: ast.Call, op: type[Layer]) -> str | None:
    """The steps that a call of another system means; None where part of it has no counterpart."""
    if op.join:
        branches = ", ".join(
            arg.value.span.text.strip("[]() ") for arg in call.args if not arg.name
        )
        return f"{op.name} [ {branches or 'a, b'} ]"
    steps = Steps(op)
    try:
        _positional(call, steps)
        for arg in call.args:
            if arg.name:
                _named(arg.name.text, arg.value, steps, call)
    except Untold:
        return None
    if not steps.filled and "Pooling" in call.name.text and "window" in _names(op):
        steps.add("window", "2", named=False)  # what Keras takes where nothing is said
    lacking = {parameter.name for parameter in op.parameters() if parameter.required}
    return str(steps) if lacking <= steps.filled else None


def _names(op: type[Layer]) -> list[str]:
    return [parameter.name for parameter in op.parameters()]


def _positional(call: ast.Call, steps: Steps) -> None:
    values = [arg.value for arg in call.args if arg.name is None]
    names, ours = _names(steps.op), steps.op.name
    if ours == "global_avgpool" and [_text(value) for value in values] not in ([], ["1"], ["1x1"]):
        raise Untold
    if not names:
        return  # relu(True), softmax(1): nothing of it is to be said
    if _told(call, ours, values):
        if isinstance(values[0], ast.ListExpr | ast.TupleExpr):
            raise Untold  # LayerNorm([3, 32, 32]) looks at space too
        values = values[1:]
    if len(values) > (1 if ours in ("lstm", "gru", "rnn") else len(names)):
        raise Untold
    for name, value in zip(names, values, strict=False):
        if ours == "dense" and _plain(value) in ACTIVATIONS:
            steps.after = f" -> {_plain(value)}"
        else:
            _value(name, value, steps, call, named=False)


def _told(call: ast.Call, ours: str, values: list[ast.Expr]) -> bool:
    """Whether the first number is that of the channels that enter, as PyTorch wants it."""
    theirs = call.name.text
    if ours not in TOLD or not values:
        return False
    if theirs in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm"):
        return True
    named = {arg.name.text for arg in call.args if arg.name}
    count = len(values) + len(named & {"out_channels", "out_features", "hidden_size"})
    if theirs in ("Linear", "LSTM", "GRU", "RNN"):
        return count >= 2
    torch = theirs.endswith(("1d", "2d", "3d")) and theirs[0].isupper()
    return torch and count + ("kernel_size" in named) >= 3


def _named(name: str, value: ast.Expr, steps: Steps, call: ast.Call) -> None:
    """An argument with a name."""
    op = steps.op
    ours = name if name in _names(op) else op.synonyms.get(name, "")
    if name in ("activation", "act") and not ours:
        _activation(_plain(value), steps)
    elif name == "momentum" and call.name.text.startswith("BatchNormalization"):
        # Keras counts the part that stays; the paper and PyTorch that of the new batch.
        number = value.value if isinstance(value, ast.Literal) else None
        if not isinstance(number, float):
            raise Untold
        steps.add("momentum", f"{1 - number:.4g}", named=True)
    elif name == "name" and _plain(value).isidentifier():
        steps.label = f" as {_plain(value)}"
    elif ours:
        _value(ours, value, steps, call, named=True, renamed=name != ours)
    elif name != "input_shape" and not ARGUMENTS.get(name.lower(), "").endswith("leave it out"):
        raise Untold


def _activation(name: str, steps: Steps) -> None:
    known = name if name in ACTIVATIONS else LAYERS.get(name.replace("_", ""), "")
    if name in ("linear", "none") or (steps.op.name in ("lstm", "gru") and name == "tanh"):
        return
    if known not in ACTIVATIONS or steps.op.name in ("lstm", "gru"):
        raise Untold
    steps.after = f" -> {known}"


def _value(
    name: str, value: ast.Expr, steps: Steps, call: ast.Call, named: bool, renamed: bool = False
) -> None:
    """A parameter of ours and its value."""
    text = _text(value)
    if name == "pad" and not text[0].isdigit():
        if text == "valid":
            return
        if text != "same" or steps.op.name == "upconv":
            raise Untold
        text = _same(call, steps.op)
    elif name == "returns" and renamed:
        if text != "true":
            return
        text = "all"
    elif name.endswith("init"):
        if text.replace("_", "") not in INITIALIZERS:
            raise Untold
        text = INITIALIZERS[text.replace("_", "")]
    steps.add(name, text, named)


def _same(call: ast.Call, op: type[Layer]) -> str:
    """Keras pads more at the end than before, which shows with strides and with even windows."""
    names = [op.synonyms.get(arg.name.text, arg.name.text) if arg.name else "" for arg in call.args]
    places = zip(_names(op), call.args, strict=False)
    given = {name: arg.value for name, arg in places if arg.name is None}
    given |= {name: arg.value for name, arg in zip(names, call.args, strict=True) if name}
    window = re.findall(r"\d+", _text(given["window"])) if "window" in given else []
    odd = window and all(int(size) % 2 for size in window)
    still = "stride" in given and _text(given["stride"]) in ("1", "1x1")
    still = still or ("stride" not in given and op.name == "conv")
    return "same" if odd and still else "same_upper"


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
