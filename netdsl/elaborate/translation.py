"""Calls of other systems, put into ours: ``Conv2d(3, 64, 3)`` is ``conv(64, 3)``.

Only what is the same is put so: the user may copy it.
"""

from __future__ import annotations

import re

from netdsl.elaborate.foreign import ARGUMENTS, LAYERS
from netdsl.op import Layer
from netdsl.syntax import ast

TOLD = {"conv", "upconv", "dense", "bn", "layer_norm", "lstm", "gru", "rnn"}
"""Layers that PyTorch tells first how many channels enter."""

ACTIVATIONS = {
    "relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "gelu", "leaky_relu",
}  # fmt: skip


def translated(call: ast.Call, op: type[Layer]) -> str | None:
    """The steps that a call of another system means, if nothing of it is lost.

    None where an argument has no counterpart, or means something else.
    """
    theirs = call.name.text
    positional = [arg.value for arg in call.args if arg.name is None]
    if _told(theirs, op.name, positional, call):
        positional = positional[1:]
    if op.name == "global_avgpool" and [_text(v) for v in positional] in (["1"], ["1x1"]):
        positional = []
    names = [parameter.name for parameter in op.parameters()]
    given: list[str] = []
    after = ""
    for place, value in enumerate(positional):
        if isinstance(value, ast.Literal) and _plain(value) in ACTIVATIONS and place:
            after = f" -> {_plain(value)}"
        elif place >= len(names):
            return None
        else:
            given.append(_text(value))
    filled = set(names[: len(given)])
    for arg in call.args:
        if arg.name is None:
            continue
        told = _keyword(arg.name.text, arg.value, op, theirs)
        if told is None:
            return None
        if told.startswith(" -> "):
            after = told
        elif told:
            given.append(told)
            filled.add(told.partition("=")[0])
    if not filled and "window" in names and "Pooling" in theirs:
        given, filled = ["2"], {"window"}  # what Keras takes where nothing is said
    if any(parameter.required and parameter.name not in filled for parameter in op.parameters()):
        return None
    inside = f"({', '.join(given)})" if given else ""
    return f"{op.name}{inside}{after}"


def _told(theirs: str, ours: str, positional: list[ast.Expr], call: ast.Call) -> bool:
    """Whether the first number is that of the channels that enter, as PyTorch wants it."""
    if ours not in TOLD or not positional:
        return False
    if theirs in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm"):
        return True
    named = {arg.name.text for arg in call.args if arg.name}
    count = len(positional) + len(named & {"out_channels", "out_features", "hidden_size"})
    if theirs in ("Linear", "LSTM", "GRU", "RNN"):
        return count >= 2
    torch = theirs.endswith(("1d", "2d", "3d")) and theirs[0].isupper()
    return torch and count + ("kernel_size" in named) >= 3


def _keyword(name: str, value: ast.Expr, op: type[Layer], theirs: str) -> str | None:
    """An argument as it is written here; "" if it is left out, None if there is none."""
    mine = {parameter.name for parameter in op.parameters()}
    if name in ("activation", "act") and name not in mine:
        plain = _plain(value)
        if op.name in ("lstm", "gru"):
            return "" if plain == "tanh" else None
        known = plain if plain in ACTIVATIONS else LAYERS.get(plain.replace("_", ""))
        return "" if plain in ("linear", "none") else f" -> {known}" if known else None
    if name == "momentum" and theirs.startswith("BatchNormalization"):
        # Keras counts the part that stays, the paper's code and PyTorch what is new.
        number = value.value if isinstance(value, ast.Literal) else None
        return f"momentum={1 - number:.4g}" if isinstance(number, float) else None
    ours = op.synonyms.get(name, name if name in mine else "")
    if not ours:
        return "" if ARGUMENTS.get(name.lower(), "").endswith("leave it out") else None
    if ours == "pad" and _plain(value) == "valid":
        return ""
    if ours == "returns" and name != ours:
        return "returns=all" if _plain(value) == "true" else ""
    return f"{ours}={_text(value)}"


def _plain(value: ast.Expr) -> str:
    """A word with or without its quotes, in lower case."""
    return value.span.text.strip('"').lower()


def _text(value: ast.Expr) -> str:
    """A value as it is written here: words without quotes, equal sizes as one size."""
    text = value.span.text
    if text in ("True", "False", "None"):
        return text.lower()
    if isinstance(value, ast.TupleExpr) and re.fullmatch(r"\(\s*\d+(\s*,\s*\d+)+\s*\)", text):
        return "x".join(item.span.text for item in value.items)
    return _plain(value) if re.fullmatch(r'"\w+"', text) else text
