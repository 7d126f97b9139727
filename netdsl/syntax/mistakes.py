"""What the parser refuses, said as a sentence: one rule for each kind of mistake.

A rule looks at the scene and names the mistake, or returns None; the first that knows wins.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.errors import SyntaxFault, nearest
from netdsl.syntax.mistaken_habits import HABITS
from netdsl.syntax.mistaken_steps import STEP_RULES
from netdsl.syntax.mistaken_values import VALUE_RULES
from netdsl.syntax.numbers import NUMBERS
from netdsl.syntax.scene import (
    DECLARATIONS,
    STATEMENTS,
    WORDS,
    Scene,
    begins_value,
    ends_value,
    spell,
)

Rule = Callable[[Scene], SyntaxFault | None]

FORMS = {
    "netdsl": "netdsl 1",
    "import": 'import NAME from "file.net"',
    "block": "block NAME(a, b=1) { ... }",
    "net": "net NAME { ... }",
    "train": "train { key = value }",
    "sweep": "sweep { key = [choices] }",
    "let": "let NAME = VALUE",
    "default": "default NAME(key=value)",
    "input": "input NAME(3x224x224)",
    "output": "output NAME, NAME",
    "shared": "shared NAME = STEP -> STEP",
    "side": "side STEP -> STEP",
    "if": "if CONDITION { ... } else { ... }",
    "for": "for NAME in VALUES { ... }",
}


_NAMED = ("let", "net", "block", "as", "@", ".", "input", "shared", "for", "default")
_LIKE = {"def": "block", "fn": "block", "function": "block", "class": "net", "model": "net"}


def explain(scene: Scene) -> SyntaxFault:
    """The mistake at the word that the parser refused."""
    for rule in RULES:
        if fault := rule(scene):
            return fault
    return _misfit(scene)


def _reserved(scene: Scene) -> SyntaxFault | None:
    """``conv(6, 5) as in``; ``conv(if=3)``."""
    word, at = scene.word, scene.at
    if word == "=" and scene.before in WORDS and scene.around.kind in ("args", "settings"):
        word, at = scene.before, at - 1
    elif word not in WORDS or "NAME" not in scene.accepts:
        return None
    elif word in ("and", "or", "else", "as", "from") and scene.after != "=":
        if scene.before not in _NAMED:
            return None
    elif (
        scene.in_steps and scene.before != "as" and word in STATEMENTS | DECLARATIONS | {"in"}
    ) or (word in ("if", "for") and scene.after != "=" and scene.before not in _NAMED):
        return None
    message = f"'{word}' is a word of the language and cannot be a name"
    return SyntaxFault("E050", message, scene.span(at), f"choose another, such as {word}_")


def _outside(scene: Scene) -> SyntaxFault | None:
    """``conv(6, 5)`` at the top of a file."""
    if scene.around.kind != "file" or not scene.begins:
        return None
    word = scene.word
    if word == "netdsl":
        message = "the netdsl line is the first of the file, and there is one"
        return SyntaxFault("E055", message, scene.span(), "move it to the top, or drop it")
    if word in ("input", "output", "shared", "side"):
        message = f"{word} stands inside a net or a block"
        return SyntaxFault("E051", message, scene.span(), "write it inside net NAME { ... }")
    if word.type == "NAME" and scene.after == "=":
        help = f"write let {word} = ... for a value, or put a setting inside train {{ ... }}"
        return SyntaxFault("E051", f"'{word}' is set outside of any section", scene.span(), help)
    if word.type == "NAME" and scene.after.type == "NAME":
        known = _LIKE.get(word.lower())
        guess = f"did you mean '{known}'?" if known else nearest(word.lower(), DECLARATIONS)
        guess = guess or "a file holds net, block, let, default, train, sweep and import"
        return SyntaxFault("E051", f"'{word}' begins no declaration", scene.span(), guess)
    if word.type == "NAME" or word in ("@", "{", "if", "for", "->"):
        message = "a layer stands inside net NAME { ... }"
        if word in ("if", "for"):
            message = f"{word} stands inside net NAME {{ ... }} or a block"
        return SyntaxFault("E051", message, scene.span(), "put it into a net or a block")
    if word == "else":
        help = "an if and its else stand inside a net or a block: if a { ... } else { ... }"
        return SyntaxFault("E049", "else has no if before it", scene.span(), help)
    if word in ("%", "-"):
        return SyntaxFault("E014", "comments begin with #", scene.span())
    help = "a file holds net, block, let, default, train, sweep and import"
    return SyntaxFault("E051", f"{spell(word)} begins no declaration", scene.span(), help)


def _inside(scene: Scene) -> SyntaxFault | None:
    """``net A { block f { } }``."""
    if scene.around.kind not in ("body", "merge", "settings") or not scene.begins:
        return None
    word = scene.word
    if word not in DECLARATIONS or scene.after == "=":
        return None
    return SyntaxFault(
        "E052",
        f"{word} stands at the top level of the file, not inside {{ }}",
        scene.span(),
        "move it out of the braces, or look for a missing }",
    )


def _nameless(scene: Scene) -> SyntaxFault | None:
    """``net {``."""
    word, before = scene.word, scene.before
    if before not in ("net", "block", "let", "shared", "input", "output", "default", "import"):
        return None
    if scene.at - 1 != scene.around.start:
        return None
    form = FORMS[str(before)]
    if word.type in NUMBERS | {"STRING"} and before != "import":
        message = f"a name begins with a letter, and {spell(word)} does not"
        return SyntaxFault("E053", message, scene.span(), f"write {form}")
    if word.type == "NAME":
        return None
    verb = "names what it takes" if before == "import" else "needs a name"
    span = scene.span(scene.at - 1)
    return SyntaxFault("E053", f"{before} {verb}: {form}", span)


def _crowded(scene: Scene) -> SyntaxFault | None:
    """``netdsl 1 net A { }``, ``netdsl``: two declarations on a line, or half of one."""
    if scene.around.kind != "file" or scene.begins:
        return None
    if scene.word == "else" and scene.before == "}":
        return SyntaxFault("E049", "else has no if before it", scene.span(), FORMS["if"])
    whole = scene.before in ("}", ")") or ends_value(scene.before)
    if scene.word in DECLARATIONS | {"let", "default"} and whole:
        message = f"{scene.word} begins on a new line"
        return SyntaxFault("E040", message, scene.span(), f"break the line before {scene.word}")
    if scene.first == "netdsl" and scene.before == "netdsl":
        message = "the version is missing after netdsl"
        return SyntaxFault("E055", message, scene.span(scene.at - 1), "write netdsl 1")
    return None


def _alias(scene: Scene) -> SyntaxFault | None:
    """``net A = { }``, ``net A = B { }``."""
    start = scene.around.start
    if scene.around.kind != "file" or scene.first != "net" or scene.at < start + 3:
        return None
    if scene.words[start + 2] != "=":
        return None
    name = scene.words[start + 1]
    message = f"net {name} = takes another net with other parameters"
    help = f"write net {name} = NET(key=value), or net {name} {{ ... }} for a new one"
    return SyntaxFault("E056", message, scene.span(), help)


def _bodiless(scene: Scene) -> SyntaxFault | None:
    """``net A`` with no brace on its line."""
    first, word = scene.first, scene.word
    headed = first in ("net", "block", "train", "sweep") and not scene.begins
    headed |= scene.around.kind == "body" and not scene.begins and first in ("if", "for")
    if not headed or "LBRACE" not in scene.accepts:
        return None
    head = scene.between(scene.around.start, scene.at - 1).text
    head = " ".join(head.split())
    if first in ("if", "for") and scene.before == "}":
        message = f"the braces were read as the value of {first}; its body {{ ... }} is missing"
        return SyntaxFault("E054", message, scene.span(), f"write {FORMS[str(first)]}")
    if word.type == "_NL" and scene.after == "{":
        at = scene.at + 1
        message = f"the {{ of {head} belongs on the same line"
        return SyntaxFault("E054", message, scene.span(at), f"write {head} {{")
    if word.type in ("_NL", "$END"):
        message = f"{head} has no body: {{ ... }} is missing"
        return SyntaxFault("E054", message, scene.span(), f"write {head} {{ ... }}")
    if first in ("if", "for") or scene.before.type != "NAME" or word.type != "NAME":
        message = f"missing {{ between {head} and {spell(word)}"
        return SyntaxFault("E054", message, scene.span(), f"write {FORMS[str(first)]}")
    message = f"the name of a {first} is one word, and {spell(word)} is a second"
    return SyntaxFault("E053", message, scene.span(), f"write {scene.before}_{word}")


def _quoteless(scene: Scene) -> SyntaxFault | None:
    """``import f from resnet.net``."""
    if scene.first != "import" or scene.begins:
        return None
    if scene.before == "from":
        message = "the file of an import stands in quotes"
        return SyntaxFault("E055", message, scene.span(), f"write {FORMS['import']}")
    if "FROM" in scene.accepts:
        message = f"an import says where from: {FORMS['import']}"
        return SyntaxFault("E055", message, scene.span())
    return None


def _formless(scene: Scene) -> SyntaxFault | None:
    """``let x 3``, ``default conv``, ``for i 1..3 { }``: the form of the statement, as a whole."""
    first, word = scene.first, scene.word
    if scene.begins or first not in FORMS or scene.around.kind not in ("file", "body"):
        return None
    if scene.in_steps and first not in ("let", "for", "if"):
        return None
    if first in ("let", "shared") and "EQUAL" in scene.accepts:
        message = f"missing = after {scene.before}"
        if word == "==":
            message = "== compares two values; one = gives a name its value"
        return SyntaxFault("E061", message, scene.span(), f"write {FORMS[str(first)]}")
    if first == "for" and word == "(" and scene.before == "for":
        message = "for stands without parentheses"
        return SyntaxFault("E055", message, scene.span(), f"write {FORMS['for']}")
    if first == "for" and word == "=" and "IN" in scene.accepts:
        return SyntaxFault("E055", "for takes 'in', not =", scene.span(), f"write {FORMS['for']}")
    if first == "for" and "IN" in scene.accepts and word != "," and scene.before.type == "NAME":
        message = f"missing 'in' between {scene.before} and {spell(word)}"
        return SyntaxFault("E055", message, scene.span(), f"write {FORMS['for']}")
    if first in ("default", "input") and "LPAR" in scene.accepts:
        message = f"missing ( after {first} {scene.before}"
        return SyntaxFault("E055", message, scene.span(), f"write {FORMS[str(first)]}")
    if word == "->" and first in ("input", "output", "default"):
        message = f"{first} stands on a line of its own"
        return SyntaxFault("E047", message, scene.span(), "begin a new line instead of ->")
    if first == "output" and word.type == "NAME":
        message = f"missing comma between {scene.before} and {word}"
        return SyntaxFault("E030", message, scene.span())
    return None


def _wants_name(scene: Scene) -> SyntaxFault | None:
    """``output x, 2``, ``for 2 in list``."""
    if scene.accepts != frozenset({"NAME"}):
        return None
    message = f"a name belongs after {spell(scene.before)}, and {spell(scene.word)} is none"
    return SyntaxFault("E053", message, scene.span())


def _out_of_place(scene: Scene) -> SyntaxFault | None:
    """``conv(as, 3)``, ``f(a[1]) { }``, a comma that separates nothing."""
    word = scene.word
    if word in WORDS and "NAME" in scene.accepts:
        message = f"'{word}' is a word of the language and cannot be a name"
        return SyntaxFault("E050", message, scene.span(), f"choose another, such as {word}_")
    if scene.around.kind == "params":
        message = f"a parameter is a name with or without a default, and {spell(word)} is neither"
        return SyntaxFault("E053", message, scene.span(), "write NAME or NAME=DEFAULT")
    if word == ",":
        message = f"a comma separates nothing after {spell(scene.before)}"
        return SyntaxFault("E031", message, scene.span(), "drop the comma")
    return None


def _misfit(scene: Scene) -> SyntaxFault:
    """Anything else: the words that do not go together, and the form of the statement."""
    word, before = scene.word, scene.before
    starts = begins_value(word) or word in STATEMENTS | DECLARATIONS
    if starts and "_NL" in scene.accepts and not scene.begins:
        return SyntaxFault("E040", f"missing newline before {scene.unit_after()}", scene.span())
    message = f"{spell(word)} does not fit here"
    if before.type not in ("$START", "_NL") and not scene.begins:
        message = f"{spell(word)} cannot follow {spell(before)}"
    form = None if scene.expression else FORMS.get(str(scene.first))
    return SyntaxFault("E099", message, scene.span(), f"the form is: {form}" if form else None)


RULES: tuple[Rule, ...] = (
    *HABITS,
    _inside,
    _outside,
    _reserved,
    _nameless,
    _crowded,
    _alias,
    _quoteless,
    _formless,
    *VALUE_RULES,
    *STEP_RULES,
    _bodiless,
    _wants_name,
    _out_of_place,
)
