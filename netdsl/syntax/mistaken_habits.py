"""Mistakes that people bring along from other languages."""

from __future__ import annotations

from netdsl.errors import SyntaxFault
from netdsl.syntax.scene import Scene
from netdsl.syntax.tokens import comment_fault
from netdsl.syntax.words import WRONG


def _comment(scene: Scene) -> SyntaxFault | None:
    """``// a stem``, ``/* a stem */``, ``\"\"\"a stem\"\"\"``."""
    begin = scene.source.text.rfind("\n", 0, scene.word.start) + 1
    at = scene.at
    while at >= 0 and scene.words[at].start >= begin:
        word, after = scene.words[at], scene.words[min(at + 1, len(scene.words) - 1)]
        if word == "//" or (word == "/" and after == "*"):
            return comment_fault(scene.source, word)
        at -= 1
    if scene.word == '""' and scene.after.start == scene.word.end and scene.begins:
        message = "a string is no statement, and comments begin with #"
        return SyntaxFault("E014", message, scene.span(), "write # before each line of it")
    return None


def _other_language(scene: Scene) -> SyntaxFault | None:
    """Python, YAML, JSON, prototxt or sections in brackets: said once, for the whole file."""
    if scene.expression or scene.around.kind != "file":
        return None
    what = _language(scene)
    if not what:
        return None
    help = "write net NAME { ... }, in it one layer a line, such as conv(6, 5) -> relu"
    if scene.first in ("import", "from"):
        help = 'what another .net file holds is taken with import NAME from "file.net"'
    return SyntaxFault("E057", f"a .net file holds declarations, and no {what}", scene.span(), help)


def _language(scene: Scene) -> str | None:
    """What the first words of the statement are a sign of, if it is not ours."""
    start = scene.around.start
    first, second, third, fourth = (scene.words[min(start + i, scene.last)] for i in range(4))
    named = second.type == "NAME"
    python = first in ("class", "def") and "{" not in scene.line
    python |= first == "import" and named and third in (".", "as")
    python |= first == "from" and named and third in (".", "import")
    if python:
        return "Python"
    if not scene.begins:
        return None
    if first == "{" and (second.type == "STRING" or second == "}"):
        return "JSON"
    if first == "-" or (first.type == "NAME" and second == ":"):
        return "YAML"
    if first.type == "NAME" and second == "{" and fourth == ":":
        return "prototxt"
    return "sections in brackets" if first == "[" and named and third == "]" else None


def _colon(scene: Scene) -> SyntaxFault | None:
    """``let x: int``, ``1:3``, ``train:``, ``batch: 64``."""
    if scene.word.type != WRONG or scene.word != ":":
        return None
    before, first = scene.before, scene.first
    message = "':' is not part of the language"
    if scene.around.kind == "settings" or (scene.around.kind == "args" and before.type == "NAME"):
        return SyntaxFault("E010", message, scene.span(), f"write {before} = ...")
    if scene.after.type == "_NL" and scene.around.kind in ("file", "body"):
        return SyntaxFault("E010", message, scene.span(), "what belongs together stands in { }")
    if first in ("let", "block", "net") and before.type == "NAME":
        help = "names have values and no types: leave out what follows the :"
        return SyntaxFault("E010", message, scene.span(), help)
    if before.type == "INT" and scene.after.type in ("INT", "NAME"):
        help = f"write {before}..{scene.after} for a range, both ends included"
        return SyntaxFault("E010", message, scene.span(), help)
    return None


def _bar(scene: Scene) -> SyntaxFault | None:
    """``conv(6, 5) | relu``."""
    if scene.word.type != WRONG or scene.word != "|" or not scene.in_steps:
        return None
    return SyntaxFault("E010", "'|' is not part of the language", scene.span(), "write ->")


def _wrong(scene: Scene) -> SyntaxFault | None:
    """What is no word of the language, wherever it stands."""
    return scene.wrong.get(scene.word.start) if scene.word.type == WRONG else None


HABITS = (_comment, _other_language, _colon, _bar, _wrong)
