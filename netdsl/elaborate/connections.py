"""The connections of the papers: residual (He et al. 2015) and dense (Huang et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.arguments import Count, Rate, Word, spell
from netdsl.elaborate.build import bind, convert
from netdsl.elaborate.network import Connection, Names, Network
from netdsl.elaborate.values import Argument, BodyValue, Scope, TensorValue, arguments
from netdsl.errors import Problem, ShapeError
from netdsl.op import Parameter
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import Tensor

POLICIES = ("identity", "project", "pad")


def residual(
    network: Network, wrap: ast.Wrap, current: TensorValue, scope: Scope, names: Names
) -> TensorValue:
    """``residual(shortcut=identity, drop=0) { body }``: ``y = body(x) + shortcut(x)``.

    ``identity`` wants equal shapes; ``project`` is a 1x1 convolution with batch normalisation where
    they differ (option B of the paper); ``pad`` is the identity, subsampled, with zero channels
    (option A); a body in braces is itself the shortcut. ``drop`` is stochastic depth.
    """
    formal = [Parameter("shortcut", Any, Word("identity")), Parameter("drop", Rate, 0.0)]
    given = _bind("residual", formal, wrap, scope)
    inner = Names(f"{names.fresh('residual')}.")
    made = network.body(wrap.body, current, scope, inner) or current
    shortcut = _shortcut(
        network, given.get("shortcut"), current, made, wrap.name.span, scope, inner
    )
    if "drop" in given and (rate := _value(given["drop"], Rate, "residual", scope, network)):
        layer = network.layers["drop_path"](rate)
        made = network.add(layer, (made,), wrap.name.span, scope, inner.fresh("drop_path"))
    add = network.layers["add"]()
    return network.add(add, (made, shortcut), wrap.name.span, scope, inner.fresh("add"))


def _shortcut(
    network: Network,
    policy: Argument | None,
    current: TensorValue,
    made: TensorValue,
    span: Span,
    scope: Scope,
    names: Names,
) -> TensorValue:
    """What is added to the body's output."""
    value = policy.value if policy else Word("identity")
    if isinstance(value, BodyValue):
        inner = Names(f"{names.path}shortcut.")
        made_too = network.body(value.body, current, value.scope, inner) or current
        return _equal(made, made_too, span, scope, "make them equal")
    place = policy.span if policy else span
    if str(value) not in POLICIES:
        message = f"shortcut must be {', '.join(POLICIES)} or a body in braces, not {spell(value)}"
        raise scope.error("E114", message, place)
    if str(value) == "identity" or made.tensor == current.tensor:
        help = (
            "use residual(shortcut=project) for a 1x1 projection, or make the body keep the shape"
        )
        return _equal(made, current, span, scope, help)
    stride = _stride(made.tensor, current.tensor, span, scope)
    if str(value) == "pad":
        layer = network.layers["zero_channels"](made.tensor.channels, stride)
        shortcut = network.add(layer, (current,), span, scope, names.fresh("zero_channels"))
        return _equal(made, shortcut, span, scope, "use residual(shortcut=project)")
    conv = network.layers["conv"](made.tensor.channels, 1, stride=stride, bias=False)
    shortcut = network.add(conv, (current,), span, scope, f"{names.path}project")
    normal = network.layers["bn"]()
    shortcut = network.add(normal, (shortcut,), span, scope, f"{names.path}project_bn")
    return _equal(made, shortcut, span, scope, "give the shortcut as a body in braces")


def _equal(
    made: TensorValue, shortcut: TensorValue, span: Span, scope: Scope, help: str
) -> TensorValue:
    if made.tensor != shortcut.tensor:
        message = f"residual body gives {made.tensor}, shortcut gives {shortcut.tensor}"
        raise ShapeError("E204", message, span, help, scope.frames)
    return shortcut


def _stride(made: Tensor, entering: Tensor, span: Span, scope: Scope) -> tuple[int, ...]:
    """The stride by which a shortcut must subsample to meet the body."""
    if len(made.dims) != len(entering.dims) or not made.spatial:
        message = f"residual body gives {made}, {entering} enters: no projection joins them"
        raise ShapeError("E204", message, span, "give the shortcut in braces", scope.frames)
    return tuple(-(-a // b) for a, b in zip(entering.spatial, made.spatial, strict=True))


def dense_block(
    network: Network, wrap: ast.Wrap, current: TensorValue, scope: Scope, names: Names
) -> TensorValue:
    """``dense_block(n) { body }``: every step gets the concatenation of all earlier outputs.

    The same as ``concat [id, { body }] * n``.
    """
    given = _bind("dense_block", [Parameter("n", Count, None)], wrap, scope)
    if "n" not in given:
        raise scope.error("E111", "dense_block needs n", wrap.name.span, "write dense_block(n)")
    steps = _value(given["n"], Count, "dense_block", scope, network)
    inner = Names(f"{names.fresh('dense_block')}.")
    for _ in range(steps):
        made = network.body(wrap.body, current, scope, inner) or current
        join = network.layers["concat"]()
        name = inner.fresh("concat")
        current = network.add(join, (current, made), wrap.name.span, scope, name)
    return current


def _bind(
    called: str, formal: list[Parameter], wrap: ast.Wrap, scope: Scope
) -> dict[str, Argument]:
    args = (*scope.default(called), *arguments(wrap.args, scope))
    return bind(called, formal, args, wrap.name.span, scope)


def _value(argument: Argument, kind: Any, called: str, scope: Scope, network: Network) -> Any:
    try:
        return convert(kind, argument.value, argument.span, scope, network.registry)
    except Problem as problem:
        message = f"an argument of {called} {problem.message}"
        raise scope.error("E114", message, argument.span, problem.help) from problem


CONNECTIONS: Mapping[str, Connection] = {"residual": residual, "dense_block": dense_block}
