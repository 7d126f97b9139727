"""The tree of a ``.net`` file: one frozen dataclass for each rule of the grammar.

The tree knows no layer's name. Every node carries the span it was read from.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.source import Span


@dataclass(frozen=True)
class Tree:
    """Anything that was read from a source."""

    span: Span


@dataclass(frozen=True)
class Name(Tree):
    """An identifier where it is declared or used as a keyword argument."""

    text: str


# ---- values ------------------------------------------------------------------


@dataclass(frozen=True)
class Expr(Tree):
    """A value known when the file is compiled."""


@dataclass(frozen=True)
class Literal(Expr):
    """``3``, ``0.5``, ``3x3`` (a tuple), ``"text"``, ``true``, ``false``, ``none``."""

    value: int | float | tuple[int, ...] | str | bool | None


@dataclass(frozen=True)
class Var(Expr):
    """A bare name: a parameter, a ``let``, or a word such as ``same``."""

    name: str


@dataclass(frozen=True)
class Fn(Expr):
    """``sgd(lr=0.1)``: a call in a value."""

    name: Name
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class TensorRef(Expr):
    """``@x`` in a value; ``@in`` has the name ``in``."""

    name: str


@dataclass(frozen=True)
class In(Expr):
    """``in``: the tensor that enters the enclosing block, for ``in.c``."""


@dataclass(frozen=True)
class Attr(Expr):
    """``in.c``."""

    value: Expr
    name: Name


@dataclass(frozen=True)
class Index(Expr):
    """``layers[0]``."""

    value: Expr
    index: Expr


@dataclass(frozen=True)
class Unary(Expr):
    """``-x`` or ``not x``."""

    op: str
    value: Expr


@dataclass(frozen=True)
class Binary(Expr):
    """``a op b``, op one of ``+ - * / // % ** == != < <= > >= and or ..`` (inclusive range)."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Ternary(Expr):
    """``then if condition else otherwise``."""

    then: Expr
    condition: Expr
    otherwise: Expr


@dataclass(frozen=True)
class TupleExpr(Expr):
    """``(1, 2)``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class ListExpr(Expr):
    """``[3, 4, 6, 3]``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class BodyExpr(Expr):
    """``{ ... }`` as an argument: a series handed to a block."""

    body: Body


@dataclass(frozen=True)
class Arg(Tree):
    """An argument, positional if ``name`` is None."""

    name: Name | None
    value: Expr


# ---- steps -------------------------------------------------------------------


@dataclass(frozen=True)
class Call(Tree):
    """``conv(64, 3)`` or ``relu``: a layer or a block, told apart by the compiler."""

    name: Name
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Merge(Tree):
    """``concat [ a, b ]``: branches from the same input, joined."""

    name: Name
    args: tuple[Arg, ...]
    branches: tuple[Pipe, ...]


@dataclass(frozen=True)
class Wrap(Tree):
    """``residual(shortcut=project) { ... }``."""

    name: Name
    args: tuple[Arg, ...]
    body: Body


@dataclass(frozen=True)
class Ref(Tree):
    """``@x`` as a step: go on from a named tensor; ``@in`` has the name ``in``."""

    name: str


@dataclass(frozen=True)
class If(Tree):
    """``if c { } else { }``; an ``else if`` is a body with one pipe of one step."""

    condition: Expr
    then: Body
    otherwise: Body | None


@dataclass(frozen=True)
class For(Tree):
    """``for a, b in list { }``."""

    names: tuple[Name, ...]
    values: Expr
    body: Body


@dataclass(frozen=True)
class Body(Tree):
    """``{ ... }``: statements in series."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Step(Tree):
    """An atom, repeated ``count`` times, its output called ``label``."""

    atom: Atom
    count: Expr | None
    label: Name | None


@dataclass(frozen=True)
class Pipe(Tree):
    """``a -> b -> c``."""

    steps: tuple[Step, ...]


# ---- statements --------------------------------------------------------------


@dataclass(frozen=True)
class Input(Tree):
    """``input image(3x224x224)``."""

    name: Name
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Output(Tree):
    """``output a, b``."""

    names: tuple[Name, ...]


@dataclass(frozen=True)
class Let(Tree):
    """``let x = value``."""

    name: Name
    value: Expr


@dataclass(frozen=True)
class Default(Tree):
    """``default conv(pad=same)``: what later calls of that name take unless they say otherwise."""

    name: Name
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Shared(Tree):
    """``shared tower = conv(20, 5) -> relu``: one set of weights."""

    name: Name
    pipe: Pipe


@dataclass(frozen=True)
class Side(Tree):
    """``side pipe``: a branch that does not continue the main flow."""

    pipe: Pipe


# ---- the file ----------------------------------------------------------------


@dataclass(frozen=True)
class Param(Tree):
    """A parameter of a block or a net, with its default."""

    name: Name
    default: Expr | None


@dataclass(frozen=True)
class Block(Tree):
    """``block f(a, b=1) { }``."""

    name: Name
    params: tuple[Param, ...]
    body: Body


@dataclass(frozen=True)
class Net(Tree):
    """``net F(classes=10) { }``."""

    name: Name
    params: tuple[Param, ...]
    body: Body


@dataclass(frozen=True)
class Alias(Tree):
    """``net G = F(layers=[3, 8, 36, 3])``."""

    name: Name
    base: Name
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Import(Tree):
    """``import f from "x.net"``."""

    names: tuple[Name, ...]
    path: str


@dataclass(frozen=True)
class Setting(Tree):
    """``optimizer.lr = 0.1``: ``key`` is the dotted name."""

    key: Name
    value: Expr


@dataclass(frozen=True)
class Train(Tree):
    """``train paper { key = value }``; ``name`` is None for the unnamed recipe."""

    name: Name | None
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Sweep(Tree):
    """``sweep { key = choices }``."""

    name: Name | None
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class File(Tree):
    """A whole file. ``version`` is that of its ``netdsl 1`` line, or None if it has none."""

    version: int | None
    items: tuple[Item, ...]


Atom = Call | Merge | Wrap | Ref | Body | If | For
Statement = Input | Output | Let | Default | Shared | Side | Pipe
Item = Import | Let | Default | Block | Net | Alias | Train | Sweep
