"""Write the TextMate grammar of the editors' extension: ``python scripts/textmate.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from netdsl.highlight import rules

TARGET = Path(__file__).parent.parent / "grammars/vscode/syntaxes/netdsl.tmLanguage.json"

SCOPES = {
    "comment": "comment.line.number-sign",
    "string": "string.quoted.double",
    "keyword": "keyword.control",
    "constant": "constant.language",
    "word": "keyword.operator.word",
    "declared": "entity.name.type",
    "dims": "constant.numeric.dims",
    "number": "constant.numeric",
    "tensor": "variable.other.tensor",
    "call": "entity.name.function",
    "name": "variable.other",
    "operator": "keyword.operator",
    "bracket": "punctuation.section.brackets",
    "comma": "punctuation.separator.comma",
}


def grammar() -> dict[str, Any]:
    """The grammar as the editors read it."""
    return {
        "name": "netdsl",
        "scopeName": "source.netdsl",
        "fileTypes": ["net"],
        "patterns": [_pattern(match, kinds) for match, kinds in rules()],
    }


def _pattern(match: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    if not kinds[1:]:
        return {"match": match, "name": _scope(kinds[0])}
    named = {str(at): {"name": _scope(kind)} for at, kind in enumerate(kinds, 1) if kind}
    return {"match": match, "captures": named}


def _scope(kind: str) -> str:
    return f"{SCOPES[kind]}.netdsl"


def text() -> str:
    """The file as it must stand."""
    return json.dumps(grammar(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
