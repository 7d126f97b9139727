"""What a rule was read as to a node of the tree, with its exact span."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from netdsl.errors import SyntaxFault
from netdsl.source import Source, Span
from netdsl.syntax import ast
from netdsl.syntax.numbers import NUMBERS, read_number
from netdsl.syntax.words import Word, place

_CONSTANTS = {"true": True, "false": False, "none": None}

Node = TypeVar("Node", bound=ast.Tree)


class Parts:
    """What a rule was read as: its words and the nodes made of its inner rules, in order.

    Mistakes that the grammar lets through go to ``faults``.
    """

    def __init__(
        self, source: Source, children: list[Word | ast.Tree], faults: list[SyntaxFault]
    ) -> None:
        self.source = source
        self.children = children
        self.faults = faults

    @property
    def span(self) -> Span:
        """From the start of the first word to the end of the last."""
        if not self.children:
            return self.source.span(0, 0)
        first, last = self.children[0], self.children[-1]
        start = first.start if isinstance(first, Word) else first.span.start
        end = last.end if isinstance(last, Word) else last.span.end
        return self.source.span(start, end)

    def all(self, kind: type[Node]) -> tuple[Node, ...]:
        """The nodes of a kind."""
        return tuple(child for child in self.children if isinstance(child, kind))

    def one(self, kind: type[Node]) -> Node:
        """The first node of a kind."""
        return next(child for child in self.children if isinstance(child, kind))

    def maybe(self, kind: type[Node]) -> Node | None:
        """The first node of a kind, or None."""
        return next((child for child in self.children if isinstance(child, kind)), None)

    @property
    def words(self) -> list[str]:
        """The texts of the words."""
        return [str(child) for child in self.children if isinstance(child, Word)]

    @property
    def names(self) -> tuple[ast.Name, ...]:
        """The identifiers."""
        return tuple(
            ast.Name(place(self.source, child), str(child))
            for child in self.children
            if isinstance(child, Word) and child.type == "NAME"
        )

    @property
    def name(self) -> ast.Name:
        """The first identifier."""
        return self.names[0]

    @property
    def maybe_name(self) -> ast.Name | None:
        """The first identifier, or None."""
        return next(iter(self.names), None)

    @property
    def args(self) -> tuple[ast.Arg, ...]:
        """The arguments of a call: the positional ones first, no keyword twice."""
        args = self.all(ast.Arg)
        keyword = next((arg for arg in args if arg.name), None)
        late = (arg for arg in args if not arg.name and keyword and keyword.span.end < arg.span.end)
        if keyword and (arg := next(late, None)):
            self.faults.append(_late(arg, keyword))
        self._distinct("E033", "argument", (arg.name for arg in args if arg.name))
        return args

    @property
    def params(self) -> tuple[ast.Param, ...]:
        """The parameters of a block or a net, no name twice."""
        params = self.all(ast.Param)
        self._distinct("E034", "parameter", (param.name for param in params))
        return params

    @property
    def settings(self) -> tuple[ast.Setting, ...]:
        """The settings of a recipe, no key twice."""
        settings = self.all(ast.Setting)
        self._distinct("E035", "setting", (setting.key for setting in settings))
        return settings

    def _distinct(self, code: str, what: str, names: Iterable[ast.Name]) -> None:
        seen: dict[str, ast.Name] = {}
        for name in names:
            first = seen.setdefault(name.text, name)
            if first is not name:
                span = first.span
                help = (
                    f"the first stands at line {span.line}, column {span.column}; keep one of them"
                )
                message = f"{what} '{name.text}' is given twice"
                self.faults.append(SyntaxFault(code, message, name.span, help))


# ---- values ------------------------------------------------------------------


def _literal(parts: Parts) -> ast.Literal:
    token = parts.children[0]
    assert isinstance(token, Word)
    text = str(token)
    if token.type in NUMBERS:
        return ast.Literal(parts.span, read_number(text))
    if token.type == "STRING":
        return ast.Literal(parts.span, text[1:-1])
    return ast.Literal(parts.span, _CONSTANTS[text])


def _binary(parts: Parts) -> ast.Binary:
    left, right = parts.all(ast.Expr)
    return ast.Binary(parts.span, parts.words[0], left, right)


def _unary(parts: Parts) -> ast.Unary:
    return ast.Unary(parts.span, parts.words[0], parts.one(ast.Expr))


def _ternary(parts: Parts) -> ast.Ternary:
    then, condition, otherwise = parts.all(ast.Expr)
    return ast.Ternary(parts.span, then, condition, otherwise)


def _index(parts: Parts) -> ast.Index:
    value, index = parts.all(ast.Expr)
    return ast.Index(parts.span, value, index)


def _paren(parts: Parts) -> ast.Expr:
    """The parentheses belong to the span of what they hold, and leave no node of their own."""
    return replace(parts.one(ast.Expr), span=parts.span)


def _arg(parts: Parts) -> ast.Arg:
    return ast.Arg(parts.span, parts.maybe_name, parts.one(ast.Expr))


# ---- steps -------------------------------------------------------------------


def _step(parts: Parts) -> ast.Step:
    atom = parts.children[0]
    assert isinstance(atom, ast.Atom)
    return ast.Step(parts.span, atom, parts.maybe(ast.Expr), parts.maybe_name)


def _count(parts: Parts) -> ast.Expr:
    if (inner := parts.maybe(ast.Expr)) is not None:
        return replace(inner, span=parts.span)
    return _var(parts) if parts.names else _literal(parts)


def _var(parts: Parts) -> ast.Var:
    return ast.Var(parts.span, parts.words[0])


def _body(parts: Parts) -> ast.Body:
    inner = tuple(child for child in parts.children if isinstance(child, ast.Statement))
    return ast.Body(parts.span, inner)


def _if(parts: Parts) -> ast.If:
    condition, then, *rest = (child for child in parts.children if isinstance(child, ast.Tree))
    assert isinstance(condition, ast.Expr)
    assert isinstance(then, ast.Body)
    otherwise = rest[0] if rest else None
    if isinstance(otherwise, ast.If):
        span = otherwise.span
        step = ast.Step(span, otherwise, None, None)
        otherwise = ast.Body(span, (ast.Pipe(span, (step,)),))
    assert otherwise is None or isinstance(otherwise, ast.Body)
    return ast.If(parts.span, condition, then, otherwise)


# ---- statements and declarations ---------------------------------------------


def _key(parts: Parts) -> ast.Name:
    return ast.Name(parts.span, "".join(parts.words))


def _import(parts: Parts) -> ast.Import:
    return ast.Import(parts.span, parts.names, parts.words[-1][1:-1])


def _file(parts: Parts) -> ast.File:
    version, items = parts.maybe(ast.Literal), parts.children
    value = None if version is None else version.value
    assert value is None or isinstance(value, int)
    return ast.File(parts.span, value, tuple(item for item in items if isinstance(item, ast.Item)))


NODES: dict[str, Callable[[Parts], ast.Tree]] = {
    "start": _file,
    "value": lambda parts: parts.one(ast.Expr),
    "language": lambda parts: ast.Literal(parts.span, int(parts.words[1])),
    "import_": _import,
    "let": lambda parts: ast.Let(parts.span, parts.name, parts.one(ast.Expr)),
    "default": lambda parts: ast.Default(parts.span, parts.name, parts.args),
    "block": lambda parts: ast.Block(parts.span, parts.name, parts.params, parts.one(ast.Body)),
    "net": lambda parts: ast.Net(parts.span, parts.name, parts.params, parts.one(ast.Body)),
    "alias": lambda parts: ast.Alias(parts.span, parts.names[0], parts.names[1], parts.args),
    "train": lambda parts: ast.Train(parts.span, parts.maybe_name, parts.settings),
    "sweep": lambda parts: ast.Sweep(parts.span, parts.maybe_name, parts.settings),
    "setting": lambda parts: ast.Setting(parts.span, parts.one(ast.Name), parts.one(ast.Expr)),
    "key": _key,
    "param": lambda parts: ast.Param(parts.span, parts.name, parts.maybe(ast.Expr)),
    "body": _body,
    "input": lambda parts: ast.Input(parts.span, parts.name, parts.args),
    "output": lambda parts: ast.Output(parts.span, parts.names),
    "shared": lambda parts: ast.Shared(parts.span, parts.name, parts.one(ast.Pipe)),
    "side": lambda parts: ast.Side(parts.span, parts.one(ast.Pipe)),
    "pipe": lambda parts: ast.Pipe(parts.span, parts.all(ast.Step)),
    "step": _step,
    "count": _count,
    "call": lambda parts: ast.Call(parts.span, parts.name, parts.args),
    "merge": lambda parts: ast.Merge(parts.span, parts.name, parts.args, parts.all(ast.Pipe)),
    "wrap": lambda parts: ast.Wrap(parts.span, parts.name, parts.args, parts.one(ast.Body)),
    "ref": lambda parts: ast.Ref(parts.span, parts.words[1]),
    "if_": _if,
    "for_": lambda parts: ast.For(
        parts.span, parts.names, parts.one(ast.Expr), parts.one(ast.Body)
    ),
    "arg": _arg,
    "ternary": _ternary,
    "binary": _binary,
    "unary": _unary,
    "attr": lambda parts: ast.Attr(parts.span, parts.one(ast.Expr), parts.name),
    "index": _index,
    "literal": _literal,
    "var": _var,
    "fn": lambda parts: ast.Fn(parts.span, parts.name, parts.args),
    "tensor": lambda parts: ast.TensorRef(parts.span, parts.words[1]),
    "in_": lambda parts: ast.In(parts.span),
    "paren": _paren,
    "tuple": lambda parts: ast.TupleExpr(parts.span, parts.all(ast.Expr)),
    "list": lambda parts: ast.ListExpr(parts.span, parts.all(ast.Expr)),
    "body_value": lambda parts: ast.BodyExpr(parts.span, parts.one(ast.Body)),
}


# ---- mistakes that the grammar lets through ------------------------------------


def _late(arg: ast.Arg, keyword: ast.Arg) -> SyntaxFault:
    return SyntaxFault(
        "E032",
        f"positional argument {_short(arg.span.text)} after keyword argument "
        f"{_short(keyword.span.text)}",
        arg.span,
        "give it a name, or move it to the front",
    )


def _short(text: str, limit: int = 30) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 4]} ..."
