"""Statements and steps to text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from netdsl.syntax import ast
from netdsl.syntax import format_values as values
from netdsl.syntax.comments import Comment, Notes
from netdsl.syntax.layout import Bracket, Doc, Row, Series, seq, size


def format_statement(notes: Notes, statement: ast.Statement) -> Doc:
    """A statement as a piece."""
    return _statement(notes, statement).doc


def _statement(notes: Notes, statement: ast.Statement) -> Row:
    match statement:
        case ast.Input(name=name, args=args, span=span):
            return Row(seq(f"input {name.text}", _wanted(notes, name, args, span.end)))
        case ast.Output(names=names):
            return Row(f"output {', '.join(name.text for name in names)}")
        case ast.Let(name=name, value=value):
            return Row(seq(f"let {name.text} = ", values.format_value(notes, value)))
        case ast.Default(name=name, args=args, span=span):
            return Row(seq(f"default {name.text}", _wanted(notes, name, args, span.end)))
        case ast.Shared(name=name, pipe=pipe):
            return Row(seq(f"shared {name.text} = ", _pipe(notes, pipe).doc))
        case ast.Side(pipe=pipe):
            return Row(seq("side ", _pipe(notes, pipe).doc))
        case ast.Pipe():
            return _pipe(notes, statement)


def _wanted(notes: Notes, name: ast.Name, args: tuple[ast.Arg, ...], end: int) -> Doc:
    """The arguments of a statement that has parentheses even without any."""
    return values.format_args(notes, args, name.span.end, end) or "()"


def format_body(
    notes: Notes, body: ast.Body, early: Iterable[Comment] = (), joined: bool = False
) -> Doc:
    """``{ ... }``, one statement a line; on one line if the user wrote its one statement so."""
    start, end, statements = body.span.start, body.span.end, body.statements
    commented = notes.within(start, end)

    def write(statement: ast.Statement) -> Row:
        return _statement(notes, statement)

    rows, aside = notes.rows(statements, write, start, end, early=early, loose=True)
    one = len(rows) == 1 and not rows[0].remark and not size(rows[0].doc).tall
    flat = one and (joined or notes.joined(start, statements[0].span.start))
    forced = commented or (bool(rows) and not flat)
    return Bracket("{", rows, "}", " ", comma="", aside=aside, forced=forced)


def _pipe(notes: Notes, pipe: ast.Pipe) -> Row:
    """On one line if it fits, else broken after each arrow; comments between steps break it."""
    pieces = [_step(notes, step) for step in pipe.steps]
    head, label = _head(pipe.steps[0]), pieces[0].label
    if len(pieces) == 1:
        return replace(pieces[0], head=head)
    made = iter(pieces)
    steps = pipe.steps
    forced = any(notes.within(one.span.end, other.span.start) for one, other in pairwise(steps))
    if forced:
        start, end = steps[0].span.start, steps[-1].span.end
        rows, _ = notes.rows(steps, lambda _: next(made), start, end, strays=False)
        return Row(Series(rows, True))
    arrow = size(pieces[0].doc).first
    return Row(Series(tuple(pieces), False), head=head, label=label, arrow=arrow)


def _head(step: ast.Step) -> str:
    """What a pipe begins with, by which its line is compared with its neighbours."""
    match step.atom:
        case ast.Call(name=name):
            return name.text
        case ast.Ref():
            return "@"
        case _:
            return ""


def _step(notes: Notes, step: ast.Step) -> Row:
    doc = _atom(notes, step.atom)
    if step.count is not None:
        doc = seq(doc, " * ", _count(notes, step.count))
    if step.label is None:
        return Row(doc)
    return Row(seq(doc, f" as {step.label.text}"), label=size(doc).first)


def _count(notes: Notes, count: ast.Expr) -> Doc:
    doc = values.format_value(notes, count)
    whole = isinstance(count, ast.Literal) and values.is_whole(count.value)
    return doc if whole or isinstance(count, ast.Var) else seq("(", doc, ")")


def _atom(notes: Notes, atom: ast.Atom) -> Doc:
    match atom:
        case ast.Call(name=name, args=args, span=span):
            return seq(name.text, values.format_args(notes, args, name.span.end, span.end))
        case ast.Merge():
            return _merge(notes, atom)
        case ast.Wrap(name=name, args=args, body=body):
            head = values.format_args(notes, args, name.span.end, body.span.start)
            return seq(name.text, head, " ", format_body(notes, body))
        case ast.Ref(name=name):
            return f"@{name}"
        case ast.Body():
            return format_body(notes, atom)
        case ast.If():
            return _if(notes, atom)
        case ast.For(names=names, values=listed, body=body):
            head = f"for {', '.join(name.text for name in names)} in "
            return seq(head, values.format_value(notes, listed), " ", format_body(notes, body))


def _merge(notes: Notes, merge: ast.Merge) -> Doc:
    """One branch a line; on one line if the user began the first branch behind the bracket."""
    first, end = merge.branches[0].span.start, merge.span.end
    start = merge.name.span.end
    head: Doc = ""
    if merge.args:
        start = notes.closing(merge.args[-1].span.end)
        head = values.format_args(notes, merge.args, merge.name.span.end, start)
    commented = notes.within(start, end)
    rows, aside = notes.rows(merge.branches, lambda one: _pipe(notes, one), start, end, loose=True)
    flat = notes.joined(start, first) and not any(size(row.doc).tall for row in rows)
    return seq(
        merge.name.text,
        head,
        " ",
        Bracket("[", rows, "]", comma="", aside=aside, forced=commented or not flat),
    )


def _if(notes: Notes, one: ast.If) -> Doc:
    """``else if`` in a row; comments before an ``else`` go into its braces."""
    parts: list[Doc] = []
    early: list[Comment] = []
    while True:
        parts += ["if ", values.format_value(notes, one.condition), " "]
        parts.append(format_body(notes, one.then, early))
        if one.otherwise is None:
            return seq(*parts)
        early = notes.take(one.then.span.end, one.otherwise.span.start)
        parts.append(" else ")
        match one.otherwise.statements:
            case (ast.Pipe(steps=(ast.Step(atom=ast.If() as inner, count=None, label=None),)),):
                if not _braced(notes, one.otherwise, inner):
                    one = inner
                    continue
            case _:
                pass
        return seq(*parts, format_body(notes, one.otherwise, early))


def _braced(notes: Notes, body: ast.Body, inner: ast.If) -> bool:
    """Whether comments inside its braces keep ``else { if ... }`` from being ``else if``."""
    return notes.within(body.span.start, inner.span.start) or notes.within(
        inner.span.end, body.span.end
    )
