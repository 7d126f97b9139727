"""How one layer comes about: its formulas with their numbers, its weights, what it sees."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from textwrap import wrap

from netdsl.errors import Frame, MeaningError, nearest
from netdsl.ir import Graph, Node, Region
from netdsl.op import Layer, Weight, call_text, value_text
from netdsl.report.fields import Field, Fields
from netdsl.report.figures import Measured
from netdsl.report.numbers import human, size_text
from netdsl.report.summary import COLUMNS, axes_text, begins, cells
from netdsl.report.table import WIDTH, table
from netdsl.report.tree import Block, Row, rows, tree
from netdsl.sight import Sight
from netdsl.source import Span
from netdsl.tensor import dims_text
from netdsl.windows import by_axis

LEAST = 40
"""An explanation is never narrower."""
MOST_NAMES = 6
"""So many names are listed, and how many more there are."""

Lines = Iterator[tuple[str, str]]
"""What a line is about (nothing: the same as above; indented: a part of it), and what it says."""


def explain(measured: Measured, name: str, width: int = WIDTH) -> str:
    """Everything about the layer or the block of that name, or of the only one that ends so.

    Of equal blocks that the summary shows in one row, ``bottleneck2..3``, the first is explained.
    MeaningError E170 if there is none, E171 if there are several.
    """
    graph, width = measured.graph, max(width, LEAST)
    equal = _range(graph, name) if ".." in name else None
    full = equal.path if equal else find(graph, name)
    if full in graph:
        node = graph[full]
        lines = [*_layer(measured, node)]
        head = _head(full, call_text(node.layer), node.span, width)
        return "\n".join((*head, *_aligned(lines, width)))
    block = _block(tree(graph), full)
    assert block.region is not None
    inner = [cells(measured, row, 1) for row in rows(block, 0)]
    lines = [*_region(measured, block, block.region)]
    if equal:
        lines.insert(0, ("equal", f"{equal.times} blocks, {_whole(equal)}; this is the first"))
    head = _head(full, block.region.call, block.region.span, width)
    return "\n".join((*head, *_aligned(lines, width), "", *table(COLUMNS, inner, width)))


def find(graph: Graph, name: str) -> str:
    """The full name of a layer or a block: the name itself, or the only one that ends with it."""
    names = [*(node.name for node in graph), *graph.regions]
    if found := _only(graph, name, names):
        return found
    ends = dict.fromkeys((*names, *(full.split(".")[-1] for full in names)))
    help = nearest(name, ends) or f"netdsl summary shows them: {_listed(names)}"
    raise MeaningError("E170", f"{graph.name} has no layer or block '{name}'", help=help)


def _range(graph: Graph, name: str) -> Row | None:
    """The row of that name, as the summary shows several equal blocks."""
    found = {_whole(row): row for row in rows(tree(graph), None) if row.times > 1}
    full = _only(graph, name, [*found])
    return found[full] if full else None


def _whole(row: Row) -> str:
    """The name of a row with those of the blocks around it."""
    around = row.path.rpartition(".")[0]
    return f"{around}.{row.name}" if around else row.name


def _only(graph: Graph, name: str, names: list[str]) -> str | None:
    """The name among those known, or the only one that ends with it; E171 if several do."""
    if name in names:
        return name
    found = [full for full in names if full.endswith(f".{name}")]
    if len(found) > 1:
        message = f"'{name}' may be {len(found)} layers or blocks of {graph.name}"
        raise MeaningError("E171", message, help=f"say more of its name: {_listed(found)}")
    return found[0] if found else None


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def _block(block: Block, path: str) -> Block:
    for item in block.items:
        if isinstance(item, Block) and f"{path}.".startswith(f"{item.path}."):
            return _block(item, path)
    return block


def _head(name: str, call: str, span: Span, width: int) -> list[str]:
    text = f"{name} = {call}   at {span.source.name}:{span.line}"
    return wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)


def _aligned(lines: list[tuple[str, str]], width: int) -> list[str]:
    """Two columns; what a line is too short for goes on below."""
    margin = max(len(about) for about, _ in lines)
    return [
        f"  {'' if number else about:<{margin}}  {part}"
        for about, text in lines
        for number, part in enumerate(wrap(text, width - margin - 4, subsequent_indent="  "))
    ]


# ---- a layer -----------------------------------------------------------------------------------


def _layer(measured: Measured, node: Node) -> Lines:
    graph, layer = measured.graph, node.layer
    formulas = layer.formulas(*graph.tensors(node))
    macs = formulas.pop("MACs", "")
    yield "computes", layer.law().replace("``", "")
    yield from _calls(node.frames)
    if node.side:
        yield "side", "only training computes it"
    yield from _arguments(layer)
    yield from _reads(graph, node.inputs)
    yield "output", f"{node.tensor}, {node.tensor.size:,} numbers"
    yield from ((f"  {what}", formula) for what, formula in formulas.items())
    yield from _weights(graph, node)
    for name, state in graph.state(node).items():
        start = f"from {state.value:g}, kept from step to step, not learnt"
        yield f"  {name}", f"{dims_text(state.dims)}, {start}"
    if graph.macs(node):
        yield "MACs", macs or f"{graph.macs(node):,} a sample"
    memory = measured[node].memory
    yield "memory", f"{size_text(memory)} a sample, forward" if memory else "that of its input"
    yield from _seen(measured, node)
    yield from _readers(graph, node)


def _calls(frames: tuple[Frame, ...]) -> Lines:
    for number, frame in enumerate(frames):
        place = f"{frame.call.source.name}:{frame.call.line}"
        yield "" if number else "in", f"{frame.what}, called at {place}: {frame.call.text}"


def _arguments(layer: Layer) -> Lines:
    """What was said, by the step or by a ``default`` above it, and what the op says itself."""
    said: list[str] = []
    unsaid: list[str] = []
    for parameter in layer.parameters():
        value = getattr(layer, parameter.name)
        own = not parameter.required and value == parameter.default
        text = f"{parameter.name}={value_text(value, parameter.kind)}"
        (unsaid if own else said).append(text)
    if said:
        yield "arguments", ", ".join(said)
    if unsaid:
        yield "" if said else "arguments", f"by default: {', '.join(unsaid)}"


def _reads(graph: Graph, names: tuple[str, ...]) -> Lines:
    for number, name in enumerate(names):
        yield "" if number else "reads", f"{name}: {graph[name].tensor}"


def _readers(graph: Graph, node: Node) -> Lines:
    users = [user.name for user in graph.users(node.name)]
    if users:
        yield "read by", _listed(users)
    if node.name in graph.outputs:
        yield "gives", f"an output of {graph.name}"


def _weights(graph: Graph, node: Node) -> Lines:
    weights = graph.weights(node)
    if not weights:
        yield "parameters", "none"
        return
    counts = " + ".join("*".join(map(str, weight.dims)) or "1" for weight in weights.values())
    total = sum(weight.tensor.size for weight in weights.values())
    text = f"{counts} = {total:,}" if counts != str(total) else counts
    shared = "" if graph.owns(node) else f", those of {node.owner}: counted there"
    yield "parameters", text + shared
    for name, weight in weights.items():
        yield f"  {name}", f"{dims_text(weight.dims)}, {_beginning(weight)}"


def _beginning(weight: Weight) -> str:
    """``kaiming: uniform in ±0.2041 (std 0.1179), fan_in 144, fan_out 576``."""
    distribution, number = weight.init.draw(weight.fan_in, weight.fan_out)
    call = begins(weight.init)
    fans = f"fan_in {weight.fan_in:,}, fan_out {weight.fan_out:,}"
    if distribution == "uniform":
        return f"{call}: uniform in ±{number:.4g} (std {number / sqrt(3):.4g}), {fans}"
    return f"{call}: normal with std {number:.4g}, {fans}" if distribution == "normal" else call


# ---- what it sees ------------------------------------------------------------------------------


def _seen(measured: Measured, node: Node) -> Lines:
    if not node.inputs:
        return
    for number, (source, axes) in enumerate(measured.fields[node.name].items()):
        text = f"{axes_text(axes)} of {source}"
        if any(axis.step for axis in axes):
            text += f", moving by {'x'.join(_number(axis) for axis in axes)}"
        yield "" if number else "receptive field", text
        if steps := _recurrence(measured, node, source):
            told = by_axis(steps) if measured.graph[source].tensor.spatial else {"along": steps[0]}
            yield from ((f"  {names}", step) for names, step in told.items())


def _number(axis: Field) -> str:
    return "?" if axis.stride is None else str(axis.stride)


def _recurrence(measured: Measured, node: Node, source: str) -> tuple[str, ...]:
    """How the field comes about along each axis of an input; empty where nothing changes."""
    graph, axes = measured.graph, measured.fields[node.name][source]
    before: list[Fields] = [measured.fields[name] for name in node.inputs]
    entering = [fields[source] for fields in before if source in fields]
    if len(entering) > 1:
        hulls = (
            " and ".join(dict.fromkeys(map(_span, each))) for each in zip(*entering, strict=True)
        )
        made = zip(hulls, axes, strict=True)
        return tuple(f"{hull}: together {_span(axis)}" for hull, axis in made)
    sights = node.layer.sees(*graph.tensors(node)[:1])
    if sights == () or entering[0] == axes:
        return ()
    if sights is None or len(sights) != len(axes):
        spread = f"all positions of {graph[node.inputs[0]].tensor}"
        return tuple(f"{spread}: {axis.size} of {axis.extent}" for axis in axes)
    return tuple(map(_step, entering[0], sights, axes))


def _step(x: Field, sight: Sight, y: Field) -> str:
    """``11 + (3 - 1)*4 = 19, step 4*2 = 8, from -5 - 1*4 = -9``."""
    if sight.over > 1 or len(x.spans) > 1 or x.stride is None:
        return f"{_span(x)} every {_number(x)}, {_ratio(sight)}: {_span(y)} every {_number(y)}"
    width = sight.last - sight.first + 1
    sign, ahead = ("-", -sight.first) if sight.first < 0 else ("+", sight.first)
    return (
        f"{x.size} + ({width} - 1)*{x.step} = {y.size}, step {x.step}*{sight.step} = {y.step}, "
        f"from {x.start} {sign} {ahead}*{x.step} = {y.start}"
    )


def _ratio(sight: Sight) -> str:
    return f"moved by {sight.step}/{sight.over}"


def _span(axis: Field) -> str:
    start = axis.start
    return "nothing" if start is None else f"{axis.size} from {start}"


# ---- a block -----------------------------------------------------------------------------------


def _region(measured: Measured, block: Block, region: Region) -> Lines:
    graph = measured.graph
    frames = block.nodes[0].frames
    outer = [number for number, frame in enumerate(frames) if frame.call == region.span]
    yield from _calls(frames[: outer[0]] if outer else frames)
    if region.label:
        yield "label", region.label
    yield from _reads(graph, block.entering)
    last, total = block.last, measured.total(block.nodes)
    yield "output", f"{last.tensor}, of {last.name}"
    yield "layers", f"{len(block.nodes):,}"
    yield "parameters", f"{total.parameters:,}"
    yield "MACs", f"{human(total.macs)} a sample ({total.macs:,})"
    yield "memory", f"{size_text(total.memory)} a sample, forward"
    seen = measured.fields[last.name].items()
    yield "receptive field", ", ".join(f"{axes_text(axes)} of {name}" for name, axes in seen)
    names = {node.name for node in block.nodes}
    readers = [
        user.name
        for node in block.nodes
        for user in graph.users(node.name)
        if user.name not in names
    ]
    if readers:
        yield "read by", _listed(list(dict.fromkeys(readers)))
