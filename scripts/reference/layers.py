"""docs/layers.md: every op of the registry, as its own file tells it.

Law and prose are the docstring, the explanations of parameters its lines ``- ``name``: …``, shapes
and counts what the op computes for its examples. A new op needs no change here.
"""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from netdsl.compiler import vocabulary
from netdsl.elaborate.build import build
from netdsl.elaborate.scope import Given, Scope
from netdsl.elaborate.strangers import LAYERS, OPS
from netdsl.elaborate.values import evaluate
from netdsl.op import REGISTRY, Layer, Loss, Op, Parameter, call_text, value_text
from netdsl.source import Source
from netdsl.syntax.parse import parse_expr
from netdsl.tensor import DType, Tensor
from reference.kinds import markdown, takes
from reference.words import GROUPS, INTRO, KINDS, SHARED

EXPLAINED = re.compile(
    r"^- ``(?P<names>\w+(?:``, ``\w+)*)``: (?P<text>.*?)(?=^- ``|\Z)", re.M | re.S
)


def page() -> str:
    """The whole page."""
    vocabulary()
    return INTRO + "".join(map(_kind, _kinds())).rstrip() + "\n"


def explanations(op: type[Op]) -> dict[str, str]:
    """What each parameter means: from the docstring, else from the words that ops share."""
    own = {
        name: " ".join(match["text"].split())
        for match in EXPLAINED.finditer(inspect.getdoc(op) or "")
        for name in match["names"].split("``, ``")
    }
    return SHARED.get(op.kind, {}) | own


# ---- kinds --------------------------------------------------------------------------------------


def _kinds() -> list[str]:
    return [*filter(REGISTRY.__contains__, KINDS), *(k for k in REGISTRY if k not in KINDS)]


def _kind(kind: str) -> str:
    title, about = KINDS.get(kind, (f"{kind.capitalize()}s", ""))
    ops = sorted(REGISTRY[kind].values(), key=lambda op: op.name)
    groups: dict[str, list[type[Op]]] = defaultdict(list)
    for op in ops:
        groups[_group(op)].append(op)
    ordered = [group for group in (*GROUPS, "") if group in groups]
    index = "".join(_index(group, groups[group]) for group in ordered)
    sections = "".join(_section(op) for group in ordered for op in groups[group])
    return f"## {title}\n\n{about}{index if len(ops) > 1 else ''}{sections}"


def _index(group: str, ops: Iterable[type[Op]]) -> str:
    rows = "".join(f"| [`{op.name}`](#{_anchor(op)}) | {markdown(op.law())} |\n" for op in ops)
    return f"| {group.lower() or 'name'} | |\n|---|---|\n{rows}\n"


def _anchor(op: type[Op]) -> str:
    """The link target of an op: a headline that is there already gets a number."""
    kinds = _kinds()
    before = sum(op.name in REGISTRY[kind] for kind in kinds[: kinds.index(op.kind)])
    return f"{op.name}-{before}" if before else op.name


def _group(op: type[Op]) -> str:
    """The sort of a layer, told from its traits, so that a new one has its place."""
    if not issubclass(op, Layer):
        return ""
    if op.join:
        return "Joins"
    if not op.inputs():
        return "Input"
    examples = [_built(op, *example) for example in op.examples]
    if any(len(w.dims) > 1 for layer, xs in examples for w in layer.weights(*xs).values()):
        return "Layers that learn"
    if any(parameter.name == "window" for parameter in op.parameters()):
        return "Pooling"
    if "norm" in (inspect.getmodule(op).__doc__ or "").lower():
        return "Normalisation"
    if op.kernels and not op.alias and all(kernel.scalar for kernel in op.kernels):
        return "Activations"
    return "Other layers"


# ---- one op -------------------------------------------------------------------------------------


def _section(op: type[Op]) -> str:
    law, _, rest = (inspect.getdoc(op) or "").partition("\n")
    prose = EXPLAINED.sub("", rest).strip()
    pieces = [f"### {op.name}" if op.kind != "recipe" else "", markdown(law), markdown(prose)]
    if op.kind != "recipe":
        pieces.append(f"```text\n{_signature(op)}\n```")
    pieces += [_parameters(op), _learns(op), _examples(op), _synonyms(op)]
    return "".join(f"{piece}\n\n" for piece in pieces if piece)


def _signature(op: type[Op]) -> str:
    shown = ", ".join(
        p.name if p.required else f"{p.name}={value_text(p.default, p.kind)}"
        for p in op.parameters()
    )
    inside = f"({shown})" if shown else ""
    if issubclass(op, Layer) and op.join:
        return f"{op.name}{inside} [ a, b, ... ]"
    if issubclass(op, Layer) and not op.inputs():
        return f"{op.name} NAME{inside}"
    return f"{op.name}{inside}"


def _parameters(op: type[Op]) -> str:
    if not op.parameters():
        return ""
    known = explanations(op)
    rows = [
        f"| `{p.name}` | {takes(p.kind)} | {_default(p)} | {markdown(known.get(p.name, ''))} |"
        for p in op.parameters()
    ]
    return "\n".join(["| parameter | takes | default | meaning |", "|---|---|---|---|", *rows])


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    return f"`{value_text(parameter.default, parameter.kind)}`"


def _learns(op: type[Op]) -> str:
    """The weights and the state, with their sizes in the first example."""
    if not issubclass(op, Layer) or not op.examples:
        return ""
    layer, xs = _built(op, *op.examples[0])
    told = []
    for word, found in (("Learns", layer.weights(*xs)), ("Keeps", layer.state(*xs))):
        if found:
            sizes = ", ".join(f"`{name}` {w.tensor}" for name, w in found.items())
            told.append(f"{word} {sizes}")
    call = call_text(layer)
    return f"{'; '.join(told)} (sizes of `{call}`, {_shapes(xs)})." if told else ""


def _examples(op: type[Op]) -> str:
    if not op.examples:
        return ""
    if issubclass(op, Layer):
        rows = [_layer_row(op, *example) for example in op.examples]
        return "\n".join(
            ["| example | in | out | parameters | MACs |", "|---|---|---|--:|--:|", *rows]
        )
    if issubclass(op, Loss):
        rows = [_loss_row(op, *example) for example in op.examples]
        return "\n".join(["| example | prediction | target |", "|---|---|---|", *rows])
    return "Written " + ", ".join(f"`{call}`" for call, *_ in op.examples) + "."


def _layer_row(op: type[Layer], call: str, *shapes: str) -> str:
    layer, xs = _built(op, call, *shapes)
    learnt = sum(weight.tensor.size for weight in layer.weights(*xs).values())
    made, macs = layer.shape(*xs), layer.macs(*xs)
    return f"| `{call}` | {_shapes(xs)} | {_shapes([made])} | {learnt:,} | {macs:,} |"


def _loss_row(op: type[Loss], call: str, shape: str) -> str:
    x = Tensor(_dims(shape))
    target = build_call(op, call).target(x)
    what = "classes" if target.dtype is DType.INT else "numbers"
    return f"| `{call}` | {x} | {target} {what} |"


def _shapes(xs: Iterable[Tensor]) -> str:
    texts = [f"{x}{' int' if x.dtype is DType.INT else ''}" for x in xs]
    return ", ".join(texts) or "-"


def _synonyms(op: type[Op]) -> str:
    names = LAYERS if op.kind == "layer" else OPS
    ours: dict[str, list[str]] = defaultdict(list)
    for other in (other for other, name in names.items() if name == op.name):
        ours[op.name].append(f"`{other}`")
    for other, name in op.synonyms.items():
        ours[name].append(f"`{other}`")
    pairs = "; ".join(f"`{name}` as {', '.join(others)}" for name, others in ours.items())
    return f"Known elsewhere: {pairs}." if pairs else ""


# ---- examples -----------------------------------------------------------------------------------


def _built(op: type[Layer], call: str, *shapes: str) -> tuple[Layer, tuple[Tensor, ...]]:
    """A layer and its inputs from an example."""
    return build_call(op, call), tuple(Tensor(_dims(shape), op.takes) for shape in shapes)


def build_call(op: type[Any], call: str) -> Any:
    """The op that a call of the language makes."""
    # The name is known, and input is no name but a word of the language.
    expr, scope = parse_expr(Source("an example", f"_{call}")), Scope()
    given = evaluate(expr, scope)
    args = given.args if isinstance(given, Given) else ()
    return build(op, args, expr.span, scope, REGISTRY)


def _dims(shape: str) -> tuple[int, ...]:
    return tuple(map(int, shape.split("x")))
