"""The connections of the papers: residual (He et al. 2015) and dense (Huang et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from fractions import Fraction
from itertools import islice
from typing import Any

from netdsl.arguments import Count, Rate, Word
from netdsl.elaborate.build import Bound, argument_value, bind
from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Connection, Network
from netdsl.elaborate.nodes import Place
from netdsl.elaborate.scope import (
    LOST,
    Argument,
    BodyValue,
    Given,
    Group,
    Scope,
    TensorValue,
    brief,
)
from netdsl.elaborate.values import arguments
from netdsl.errors import ShapeError, nearest
from netdsl.ir import Region
from netdsl.op import Layer, Parameter
from netdsl.syntax import ast
from netdsl.tensor import Tensor

POLICIES = ("identity", "project", "pad")
SHORTCUT = Parameter("shortcut", Any, Word("identity"))
DROP = Parameter("drop", Rate, 0.0)
STEPS = Parameter("n", Count, MISSING)


def residual(
    network: Network, wrap: ast.Wrap, current: TensorValue, scope: Scope, names: Names
) -> TensorValue:
    """``residual(shortcut=identity, drop=0) { body }``: ``y = body(x) + shortcut(x)``.

    ``identity`` wants equal shapes; ``project`` is a 1x1 convolution without bias and a batch
    normalisation where they differ (option B of the paper), with the file's defaults for them;
    ``pad`` is the identity, subsampled, with zero channels (option A); a body in braces is itself
    the shortcut. ``drop`` is stochastic depth.
    """
    bound = _bind(wrap, (SHORTCUT, DROP), scope)
    at = Place(wrap.name.span, scope, names)
    since = len(network.nodes.made)
    made = network.inside(wrap.body, current, scope, at.names)
    shortcut = _shortcut(network, bound, current, made, since, at)
    if LOST in (made, shortcut):
        return LOST
    if made.tensor != shortcut.tensor:
        message = f"residual body gives {made.tensor}, shortcut gives {shortcut.tensor}"
        help = _help(bound, made.tensor, shortcut.tensor)
        raise ShapeError("E204", message, at.span, help, scope.frames)
    if "drop" in bound:
        rate = argument_value("residual", DROP, bound["drop"], scope, network.registry)
        made = network.nodes.add(_layer(network, "drop_path", rate), (made,), at) if rate else made
    return network.nodes.add(_layer(network, "add"), (made, shortcut), at)


def _shortcut(
    network: Network,
    bound: Bound,
    current: TensorValue,
    made: TensorValue,
    since: int,
    at: Place,
) -> TensorValue:
    """What is added to what the body, all nodes but the first ``since``, made of the current."""
    policy = bound["shortcut"].value if "shortcut" in bound else SHORTCUT.default
    if isinstance(policy, BodyValue):
        region = Region("shortcut", "shortcut", at.span)
        return network.inside(policy.body, current, policy.scope, at.names.inner(region))
    if not isinstance(policy, Word) or policy.name not in POLICIES:
        message = f"shortcut of residual must be one of {', '.join(POLICIES)}, or a body in braces"
        help = nearest(str(policy), POLICIES)
        if isinstance(policy, Given):
            help = f"write shortcut={{ {policy} }}"
        elif policy is None or isinstance(policy, bool):
            help = f"write shortcut={'project' if policy else 'identity'}"
        place = bound["shortcut"].span
        raise at.scope.error("E114", f"{message}, not {brief(policy)}", place, help)
    if LOST in (made, current) or policy.name == "identity" or made.tensor == current.tensor:
        return current
    channels, stride = made.tensor.channels, _stride(network, made, current, since, at)
    if policy.name == "pad":
        return network.nodes.add(_layer(network, "zero_channels", channels, stride), (current,), at)
    fixed = {"channels": channels, "window": 1, "stride": stride, "pad": 0, "dilation": 1}
    own = _given(at, **fixed, groups=1, bias=False)
    defaults = at.scope.default
    made = network.layer("conv", (*defaults("conv"), own), (current,), at.called("project"))
    return network.layer("bn", defaults("bn"), (made,), at.called("project_bn"))


def _help(bound: Bound, made: Tensor, shortcut: Tensor) -> str:
    """The way out where body and shortcut differ."""
    policy = str(bound["shortcut"].value) if "shortcut" in bound else "identity"
    smaller = made.spatial != shortcut.spatial and len(made.dims) == len(shortcut.dims)
    if smaller and all(a <= b for a, b in zip(made.dims, shortcut.dims, strict=True)):
        lost = "the body's windows cut the border off: give its layers pad=same"
        if policy != "identity" or made.channels == shortcut.channels:
            return f"{lost}, or set default conv(pad=same)"
    if policy == "identity":
        return (
            "use residual(shortcut=project) for a 1x1 projection, or make the body keep the shape"
        )
    if policy == "pad":
        return "pad adds channels and takes every other position: use residual(shortcut=project)"
    return "make the body and the shortcut end with the same channels and sizes"


def _stride(
    network: Network, made: TensorValue, entering: TensorValue, since: int, at: Place
) -> int | tuple[int, ...]:
    """The stride of a shortcut: how far the body moves in what enters, from place to place."""
    steps = _steps(network, made.node, entering, since) if made.tensor.spatial else None
    if steps is None or len(made.tensor.dims) != len(entering.tensor.dims):
        message = f"residual body gives {made.tensor}, {entering.tensor} enters:"
        help = "give the shortcut in braces: residual(shortcut={ dense(10) }) { ... }"
        raise ShapeError(
            "E204", f"{message} no convolution joins them", at.span, help, at.scope.frames
        )
    strides = tuple(max(1, int(step)) for step in steps)
    return strides[0] if len(set(strides)) == 1 else strides


def _steps(network: Network, name: str, entering: TensorValue, since: int) -> list[Fraction] | None:
    """The strides from what enters to a node, along the first way that leads there, or None."""
    nodes = network.nodes.made
    body = list(islice(reversed(nodes), len(nodes) - since))
    steps = {entering.node: [Fraction(1)] * len(entering.tensor.spatial)}
    for node in (nodes[made] for made in reversed(body)):
        source = next((source for source in node.inputs if source in steps), None)
        sights = node.layer.sees(nodes[source].tensor) if source else None
        if source and sights is not None and len(steps[source]) == len(sights):
            pairs = zip(steps[source], sights, strict=True)
            steps[node.name] = [before * Fraction(s.step, s.over) for before, s in pairs]
    return steps.get(name)


def dense_block(
    network: Network, wrap: ast.Wrap, current: TensorValue, scope: Scope, names: Names
) -> TensorValue:
    """``dense_block(n) { body }``: every step gets the concatenation of all earlier outputs.

    The same as ``concat [id, { body }] * n``.
    """
    bound = _bind(wrap, (STEPS,), scope)
    steps = argument_value("dense_block", STEPS, bound["n"], scope, network.registry)
    at = Place(wrap.name.span, scope, names)
    with names.repeated():
        for _ in range(steps):
            scope.spend(at.span)
            made = network.inside(wrap.body, current, scope, at.names)
            current = network.nodes.add(_layer(network, "concat"), (current, made), at)
            if current is LOST:
                break
    return current


def _layer(network: Network, name: str, *args: Any, **named: Any) -> Layer:
    op: Any = network.layers[name]
    return op(*args, **named)


def _given(at: Place, **values: Any) -> Group:
    """Arguments that a connection gives a layer of its own, over the defaults of the file."""
    return tuple(Argument(ast.Name(at.span, n), value, at.span) for n, value in values.items())


def _bind(wrap: ast.Wrap, formal: tuple[Parameter, ...], scope: Scope) -> Bound:
    args = arguments(wrap.args, scope)
    return bind(wrap.name.text, formal, (args,), wrap.name.span, scope)


CONNECTIONS: Mapping[str, Connection] = {"residual": residual, "dense_block": dense_block}
