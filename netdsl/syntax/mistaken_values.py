"""Mistakes in values, arguments, parameters and settings."""

from __future__ import annotations

from netdsl.errors import SyntaxFault
from netdsl.syntax.scene import Scene, begins_value, ends_value, spell

_INFIX = frozenset(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "..",
        "and",
        "or",
        "=",
        ".",
        "not",
    ]
)
_IN_COMMAS = {"args", "params", "list", "paren"}
_CLOSERS = frozenset([")", "]", "}"])


def _missing_comma(scene: Scene) -> SyntaxFault | None:
    """``conv(6 5)``."""
    if scene.around.kind not in _IN_COMMAS:
        return None
    if scene.around.kind == "list" and scene.word.type == "_NL":
        return SyntaxFault("E030", "missing comma at the end of the line", scene.span())
    if scene.word in ("(", "[", "{", "-", "if", "for", "not") or not begins_value(scene.word):
        return None
    if not ends_value(scene.before):
        return None
    message = f"missing comma between {scene.unit_before()} and {scene.unit_after()}"
    return SyntaxFault("E030", message, scene.span())


def _bad_comma(scene: Scene) -> SyntaxFault | None:
    """``conv(6,,5)``, ``conv(, 5)``."""
    kind = scene.around.kind
    if scene.word != ",":
        return None
    if kind == "settings":
        message = "settings stand one a line, without commas"
        return SyntaxFault("E031", message, scene.span(), "drop the comma")
    if kind in _IN_COMMAS | {"merge"} and scene.before in (",", "(", "["):
        what = "between these commas" if scene.before == "," else "before the comma"
        message = f"nothing stands {what}"
        return SyntaxFault(
            "E031", message, scene.span(), "drop one comma, or write what is missing"
        )
    if kind == "index":
        message = "an index is one value"
        return SyntaxFault("E031", message, scene.span(), "write layers[0][1] to go deeper")
    return None


def _keyword(scene: Scene) -> SyntaxFault | None:
    """``conv(6 = 5)``, ``[a = 3]``, ``if a = 3 {``."""
    if scene.word != "=" or scene.in_steps:
        return None
    if scene.around.kind in ("args", "params"):
        if scene.at >= 2 and scene.words[scene.at - 2] == "=":
            message = "an argument has one ="
            return SyntaxFault("E034", message, scene.span(), "write == to compare")
        message = "only a plain name may stand before ="
        return SyntaxFault("E034", message, scene.span(), "write NAME=VALUE; == compares")
    if scene.around.kind == "settings" and not scene.begins and not _in_key(scene):
        return SyntaxFault("E034", "a setting has one =", scene.span(), "write == to compare")
    if scene.first in ("if", "let") or scene.around.kind in ("list", "paren", "index", "value"):
        message = "= does not compare"
        return SyntaxFault("E063", message, scene.span(), "write == to compare")
    return None


def _params(scene: Scene) -> SyntaxFault | None:
    """``block f(3)``, ``net F(3x3)``."""
    if scene.around.kind != "params" or scene.word in (",", ")", "="):
        return None
    if scene.before not in ("(", ","):
        return None
    message = f"a parameter is a name, and {scene.unit_after()} is not"
    return SyntaxFault("E053", message, scene.span(), "write NAME or NAME=DEFAULT")


def _series(scene: Scene) -> SyntaxFault | None:
    """``residual(shortcut=a -> b)``."""
    if scene.word != "->" or scene.in_steps:
        return None
    if scene.around.kind not in _IN_COMMAS | {"index", "settings", "value", "file", "body"}:
        return None
    message = "a series of steps is no value"
    return SyntaxFault("E064", message, scene.span(), "put it into braces: { a -> b }")


def _chain(scene: Scene) -> SyntaxFault | None:
    """``1 < x < 3``."""
    if scene.word.type != "CMP" and scene.word != "..":
        return None
    if scene.in_steps or not ends_value(scene.before):
        return None
    if scene.word == "..":
        message = "a range has two ends"
        return SyntaxFault(
            "E062", message, scene.span(), "write (a..b) where one is meant as a value"
        )
    message = "comparisons do not chain"
    return SyntaxFault("E062", message, scene.span(), "write 1 < x and x < 3")


def _tensor(scene: Scene) -> SyntaxFault | None:
    """``@`` alone, ``@3``."""
    if scene.before != "@":
        return None
    message = "@ needs the name of a tensor"
    return SyntaxFault("E046", message, scene.span(scene.at - 1), "write @NAME, or @in")


def _member(scene: Scene) -> SyntaxFault | None:
    """``layers.0``."""
    if scene.before != "." or scene.around.kind in ("body", "merge"):
        return None
    if scene.around.kind == "settings" and "EQUAL" not in scene.accepts and _in_key(scene):
        return SyntaxFault("E061", "a key is made of names joined by points", scene.span())
    if scene.word.type == "INT":
        help = f"write [{scene.word}] to take an element of a list"
        return SyntaxFault("E060", "a name belongs after the point", scene.span(), help)
    return SyntaxFault("E060", "a name is missing after the point", scene.span())


def _in_key(scene: Scene) -> bool:
    return "=" not in scene.words[scene.around.start : scene.at]


def _choice(scene: Scene) -> SyntaxFault | None:
    """``a if b``, ``if a else b``, ``a for a in b``."""
    word = scene.word
    value = scene.around.kind in _IN_COMMAS | {"index", "settings", "value"} or scene.first == "let"
    if not value or scene.in_steps or scene.after == "=" or scene.before == "let":
        return None
    if word == "for":
        message = "for makes no list"
        return SyntaxFault("E065", message, scene.span(), "write the list out, or a range: 1..n")
    unfinished = "ELSE" in scene.accepts and ends_value(scene.before) and not begins_value(word)
    if word in ("if", "else") or unfinished:
        message = "a choice is written: a if condition else b"
        return SyntaxFault("E065", message, scene.span())
    return None


def _missing_value(scene: Scene) -> SyntaxFault | None:
    """``conv(6, stride=)``, ``let x =``, ``a +``, ``conv(6, * 2)``."""
    if scene.in_steps or scene.around.kind == "merge":
        return None
    word, before = scene.word, scene.before
    if scene.around.kind in ("file", "body") and scene.first not in ("let", "if", "for"):
        return None
    after_infix = before in _INFIX or before in ("if", "in", "else")
    ends = word.type in ("_NL", "$END") or word in _CLOSERS or word == ","
    if after_infix and (ends or word in _INFIX or word == "{"):
        return SyntaxFault("E060", f"a value is missing after {spell(before)}", scene.span())
    if word in _INFIX - {"=", "not"} and not ends_value(before):
        return SyntaxFault("E060", f"a value is missing before {spell(word)}", scene.span())
    if word == ")" and before == "(":
        message = "( ) holds no value"
        return SyntaxFault(
            "E060", message, scene.between(scene.at - 1, scene.at), "write [] or none"
        )
    if word == "]" and before == "[":
        return SyntaxFault("E060", "an index is missing between [ and ]", scene.span())
    if scene.expression and scene.begins:
        return SyntaxFault("E060", "a value is missing", scene.span())
    return None


def _setting(scene: Scene) -> SyntaxFault | None:
    """``batch 64``, ``= 3``, ``sgd(lr=1)`` in ``train { }``."""
    if scene.around.kind != "settings":
        return None
    word = scene.word
    if scene.begins:
        message = f"a setting is key = value, and {spell(word)} is no key"
        return SyntaxFault("E061", message, scene.span())
    if "EQUAL" in scene.accepts:
        key = scene.between(scene.around.start, scene.at - 1).text
        if word == "==":
            message = "== compares two values; one = gives a setting its value"
            return SyntaxFault("E061", message, scene.span())
        if word.type == "_NL" or word == "}" or word == "(":
            message = f"the setting {key} has no value"
            return SyntaxFault("E061", message, scene.span(), f"write {key} = VALUE")
        message = f"missing = between {key} and {scene.unit_after()}"
        return SyntaxFault("E061", message, scene.span())
    if begins_value(word) and ends_value(scene.before):
        message = f"missing newline between {scene.unit_before()} and {scene.unit_after()}"
        return SyntaxFault("E040", message, scene.span(), "settings stand one a line")
    return None


def _leftover(scene: Scene) -> SyntaxFault | None:
    """``let x = 3 4``; ``3 4`` on the command line."""
    if not (begins_value(scene.word) and ends_value(scene.before)) or scene.in_steps:
        return None
    if scene.expression:
        rest = scene.between(scene.at, len(scene.words) - 2)
        message = f"{scene.unit_after()} is left over after {scene.unit_before()}"
        return SyntaxFault("E048", message, rest, "one value is wanted; a list is [a, b]")
    if scene.around.kind in ("paren", "list", "args", "index") or scene.first == "let":
        between = f"{scene.unit_before()} and {scene.unit_after()}"
        message = f"an operator or a comma is missing between {between}"
        if scene.around.kind in ("file", "body"):
            message = f"an operator or a newline is missing between {between}"
        return SyntaxFault("E048", message, scene.span())
    return None


VALUE_RULES = (
    _tensor,
    _bad_comma,
    _params,
    _setting,
    _keyword,
    _series,
    _choice,
    _missing_comma,
    _member,
    _missing_value,
    _chain,
    _leftover,
)
