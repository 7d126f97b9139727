"""Mistakes in series of steps: what connects them, counts them and names them."""

from __future__ import annotations

from netdsl.errors import SyntaxFault
from netdsl.syntax.numbers import NUMBERS
from netdsl.syntax.scene import STATEMENTS, Scene, begins_value, ends_value, spell

FOREIGN = {
    "elif": "write else if",
    "return": "the last step gives the output; drop 'return'",
    "while": "write STEP * n, or for NAME in 1..n { ... }",
    "repeat": "write STEP * n",
    "var": "write let NAME = VALUE",
    "const": "write let NAME = VALUE",
    "def": "blocks stand at the top of the file: block NAME(a, b) { ... }",
}
_ARITHMETIC = frozenset(["+", "-", "*", "/", "//", "%", "**", ".", ".."])


def _count(scene: Scene) -> SyntaxFault | None:
    """``f * n - 1``, ``f * in.c``, ``f * 2.5``, ``f *``."""
    words, at = scene.words, scene.at
    if not scene.in_steps:
        return None
    if scene.before == "*":
        if scene.word.type == "FLOAT":
            message = f"a step is repeated a whole number of times, not {scene.word}"
            return SyntaxFault("E045", message, scene.span())
        if scene.word in ("-", "in", "@") or scene.word.type == "DIMS":
            help = "write STEP * 3, STEP * n or STEP * (n - 1)"
            message = f"{spell(scene.word)} is no count"
            return SyntaxFault("E045", message, scene.span(), help)
        message = "the count is missing after *"
        return SyntaxFault("E045", message, scene.span(at - 1), "write STEP * 3 or STEP * n")
    counted = at >= 2 and words[at - 2] == "*" and at - 2 >= scene.around.start
    if counted and (scene.word in _ARITHMETIC or scene.word in ("[", "(")):
        message = "a count that is computed stands in parentheses"
        count = f"{scene.before} {scene.word} ..."
        if scene.word == "[":
            count = f"{scene.before}[...]"
        return SyntaxFault("E045", message, scene.span(), f"write * ({count})")
    if scene.word == "as" and at >= 2 and words[at - 2] == "as":
        message = f"a step has one name, and {scene.before} is that of this one"
        return SyntaxFault("E045", message, scene.span(), "drop one of the two")
    if scene.word == "*" and at >= 2 and words[at - 2] == "as":
        message = "the count comes before the name"
        help = f"write * {scene.after} as {scene.before}"
        return SyntaxFault("E045", message, scene.span(), help)
    return None


def _label(scene: Scene) -> SyntaxFault | None:
    """``conv(6, 5) as``, ``as x, y``."""
    if not scene.in_steps or scene.before != "as":
        return None
    message = "a name is missing after 'as'"
    return SyntaxFault("E046", message, scene.span(scene.at - 1), "write STEP as NAME")


def _member(scene: Scene) -> SyntaxFault | None:
    """``nn.Conv2d(3, 64, 3)``."""
    if not scene.in_steps or scene.word != ".":
        return None
    if scene.before.type == "NAME" and scene.after.type == "NAME":
        message = f"a layer is one plain name, without '{scene.before}.'"
        span = scene.between(scene.at - 1, scene.at)
        help = (
            f"write {scene.after}(...); what enters a layer is known, so its channels are not given"
        )
        return SyntaxFault("E043", message, span, help)
    return SyntaxFault("E043", "a point has no meaning between steps", scene.span(), "write ->")


def _called(scene: Scene) -> SyntaxFault | None:
    """``Conv2D(6, 5)(x)``."""
    if not scene.in_steps or scene.word != "(":
        return None
    if scene.before == ")":
        unit, call = scene.unit_before(), scene.unit_after()
        message = f"a layer is not called on a tensor: {unit} takes what flows into it"
        name = scene.after if scene.after.type == "NAME" else "x"
        span = scene.between(scene.at, scene.at + _partner(scene))
        return SyntaxFault("E044", message, span, f"drop {call}, or write @{name} -> {unit}")
    if ends_value(scene.before) and not scene.begins:
        return None
    message = "steps are grouped with { }, not ( )"
    return SyntaxFault("E044", message, scene.span(), "write { a -> b }")


def _partner(scene: Scene) -> int:
    """How many words after the refused bracket its partner comes."""
    depth = 0
    for index in range(scene.at, len(scene.words)):
        depth += (scene.words[index] in ("(", "[", "{")) - (scene.words[index] in (")", "]", "}"))
        if depth == 0:
            return index - scene.at
    return 0


def _equals(scene: Scene) -> SyntaxFault | None:
    """``x = conv(6, 5)``, ``conv(6, 5) = relu``, ``conv(6, 5) => relu``."""
    if not scene.in_steps or scene.word not in ("=", "==", ">", ">=", "<", "<="):
        return None
    span = scene.span()
    if scene.word == "=" and scene.after == ">":
        span = scene.between(scene.at, scene.at + 1)
        return SyntaxFault("E041", "'=>' does not connect steps", span, "write ->")
    if scene.word == "=" and scene.at == scene.around.start + 1 and scene.before.type == "NAME":
        name = scene.before
        message = "= does not name a tensor"
        help = f"write STEP as {name} to name what a step gives, or let {name} = ... for a value"
        if scene.after.type in NUMBERS | {"STRING"} or scene.after in ("[", "true", "false"):
            message = f"'{name}' is set, but no statement says so"
            help = f"write let {name} = {scene.after}{' ...' if scene.after == '[' else ''}"
        return SyntaxFault("E041", message, span, help)
    return SyntaxFault("E041", f"{spell(scene.word)} does not connect steps", span, "write ->")


def _arrow(scene: Scene) -> SyntaxFault | None:
    """``-> relu``, ``relu -> -> tanh``, ``relu ->``, ``a - > b``."""
    if not scene.in_steps:
        return None
    word, before = scene.word, scene.before
    if word == "-" and scene.after == ">":
        span = scene.between(scene.at, scene.at + 1)
        return SyntaxFault("E041", "-> is one word, without a blank inside", span, "write ->")
    if before == "->" and (word in ("->", "}", "]", ",") or word.type in ("_NL", "$END")):
        span = scene.span(scene.at - 1)
        return SyntaxFault("E042", "-> leads nowhere: a step is missing after it", span)
    headed = before == "side" or (before == "=" and scene.first == "shared")
    if headed and (word.type in ("_NL", "$END") or word == "}"):
        message = f"a step is missing after {before}"
        return SyntaxFault("E042", message, scene.span(scene.at - 1))
    if word == "->" and not ends_value(before):
        message = "-> comes from nowhere: a step is missing before it"
        help = "what enters the block flows into its first step by itself"
        return SyntaxFault("E042", message, scene.span(), help)
    return None


def _statement(scene: Scene) -> SyntaxFault | None:
    """``relu -> side f``, ``add [ let x = 3 ]``."""
    word = scene.word
    if not scene.in_steps or word not in STATEMENTS or scene.before == "as":
        return None
    if scene.around.kind == "merge":
        message = f"a branch holds steps, and {word} is a statement"
        return SyntaxFault(
            "E047", message, scene.span(), f"write {{ {word} ... }} around the branch"
        )
    message = f"{word} begins a statement and stands on its own line"
    return SyntaxFault("E047", message, scene.span(), f"write {word} on a new line")


def _orphan(scene: Scene) -> SyntaxFault | None:
    """``else`` without ``if``; ``elif``."""
    if scene.word == "else" and scene.around.kind in ("body", "merge"):
        message = "else has no if before it"
        return SyntaxFault("E049", message, scene.span(), "write if CONDITION { ... } else { ... }")
    if scene.before in FOREIGN and scene.at - 1 == scene.around.start:
        message = f"'{scene.before}' is not a word of the language"
        return SyntaxFault("E049", message, scene.span(scene.at - 1), FOREIGN[str(scene.before)])
    return None


def _unconnected(scene: Scene) -> SyntaxFault | None:
    """``conv(6, 5) relu``, ``maxpool 3``."""
    word, before = scene.word, scene.before
    if not scene.in_steps or not ends_value(before) or scene.begins:
        return None
    if before.type == "NAME" and word.type in NUMBERS | {"STRING"}:
        message = f"missing parentheses around the arguments of {before}"
        return SyntaxFault("E040", message, scene.span(), f"write {before}({_arguments(scene)})")
    if word.type in NUMBERS | {"STRING"} or word == "-" or not begins_value(word):
        return None
    message = f"missing -> or newline between {scene.unit_before()} and {scene.unit_after()}"
    argument = before.type == "NAME" and word.type == "NAME" and scene.after != "("
    help = f"write {before}({word}) if {word} is an argument" if argument else None
    return SyntaxFault("E040", message, scene.span(), help)


def _arguments(scene: Scene) -> str:
    """From the refused word to the end of the line, with the commas that arguments need."""
    text = ""
    line = scene.span().line
    for word in scene.words[scene.at :]:
        if scene.source.span(word.start, word.end).line != line:
            break
        if word not in (",", "=") and word.type not in NUMBERS | {"NAME", "STRING"}:
            break
        if not text or text.endswith("=") or word in (",", "="):
            text += word
        else:
            text += f" {word}" if text.endswith(",") else f", {word}"
    return text.rstrip(",=")


def _no_step(scene: Scene) -> SyntaxFault | None:
    """A number, a string, a list or an operator where a step should be."""
    word = scene.word
    if not scene.in_steps:
        return None
    if scene.begins and word in ("as", "*"):
        what = "names" if word == "as" else "repeats"
        message = f"{word} {what} the step before it, on the same line"
        return SyntaxFault("E046", message, scene.span(), "move it to the end of the line before")
    if word == ",":
        message = "a comma does not connect steps"
        return SyntaxFault("E031", message, scene.span(), "write -> or begin a new line")
    if word == "[" and not ends_value(scene.before):
        message = "branches need the layer that joins them"
        return SyntaxFault("E042", message, scene.span(), "write add [ ... ] or concat [ ... ]")
    if word == "]" and scene.before == "[":
        return SyntaxFault("E042", "[ ] holds no branch", scene.between(scene.at - 1, scene.at))
    follows = ends_value(scene.before) and not scene.begins
    if follows and word.type not in NUMBERS | {"STRING"}:
        if word in _ARITHMETIC or word.type == "PLUS":
            help = "write add [ a, b ] to add the outputs of steps" if word == "+" else None
            message = f"{spell(word)} does not connect steps"
            return SyntaxFault("E041", message, scene.span(), help)
        return None
    if word.type in NUMBERS | {"STRING"} or word in ("true", "false", "none", "in", "-", "+"):
        message = f"a step is a layer or a block, and {spell(word)} is neither"
        help = "write @in for the tensor that enters" if word == "in" else None
        help = f"write STEP * {word} to repeat a step" if scene.after == "*" else help
        help = "steps stand one a line, without a mark" if word == "-" else help
        return SyntaxFault("E042", message, scene.span(), help)
    return None


STEP_RULES = (
    _orphan,
    _count,
    _label,
    _member,
    _called,
    _equals,
    _arrow,
    _statement,
    _unconnected,
    _no_step,
)
