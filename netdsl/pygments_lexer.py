"""A lexer for Pygments, which finds it by itself once netdsl is installed: ``pygmentize a.net``."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    _TokenType,
)

from netdsl.highlight import rules

TOKENS: dict[str, _TokenType] = {
    "": Text.Whitespace,
    "comment": Comment.Single,
    "string": String.Double,
    "keyword": Keyword,
    "constant": Keyword.Constant,
    "word": Operator.Word,
    "declared": Name.Class,
    "dims": Number.Integer.Dims,
    "number": Number,
    "tensor": Name.Variable,
    "call": Name.Function,
    "name": Name,
    "operator": Operator,
    "bracket": Punctuation,
    "comma": Punctuation,
}


class NetLexer(RegexLexer):
    """Shows ``.net`` files as the tables of the grammar read them."""

    name = "netdsl"
    aliases: ClassVar = ["netdsl"]
    filenames: ClassVar = ["*.net"]
    mimetypes: ClassVar = ["text/x-netdsl"]
    url = ""

    tokens: ClassVar = {
        "root": [
            *(
                (pattern, bygroups(*map(TOKENS.get, kinds)) if kinds[1:] else TOKENS[kinds[0]])
                for pattern, kinds in rules()
            ),
            (r"\s+", Text.Whitespace),
        ]
    }
