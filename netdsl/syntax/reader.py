"""Words to tree: an LALR parser that reads on after a mistake, to find the others as well.

After a word that does not fit, its statement is left out, up to the end of the line or brace that
it stands in, and the parser is put back to where the statement began. So a mistake has no
consequences elsewhere, but what else is wrong in its statement stays unsaid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from netdsl.errors import NetError, SyntaxFault
from netdsl.source import Source
from netdsl.syntax import ast
from netdsl.syntax.build import NODES, Parts
from netdsl.syntax.mistakes import explain
from netdsl.syntax.newlines import CLOSERS, CLOSING
from netdsl.syntax.scene import Scene
from netdsl.syntax.table import Rule, Table
from netdsl.syntax.tokens import Wrong
from netdsl.syntax.words import END, Word

MAX_HEIGHT = 300
MAX_FAULTS = 20
MAX_ALIKE = 3
# What is said once: the places that follow are the same mistake again.
_ONCE = frozenset(["E051", "E052"])
# A text in another language has no mistakes in this one.
_HOPELESS = frozenset(["E057"])
_OPERATIONS = (ast.Binary, ast.Unary, ast.Ternary, ast.Attr, ast.Index)
_TRACKED = frozenset(["LPAR", "RPAR", "LSQB", "RSQB", "LBRACE", "RBRACE", "_NL"])

Value = Word | ast.Tree | list[Word | ast.Tree]


@dataclass
class _Open:
    """An open bracket, or the file: how high the stack was before its current statement."""

    brace: bool
    height: int
    first: bool = True


class Reader:
    """One reading of the words of a source, which end with one of the type ``$END``."""

    def __init__(
        self, source: Source, table: Table, words: list[Word], start: str, wrong: Wrong
    ) -> None:
        self._source, self._table, self._words, self._wrong = source, table, words, wrong
        self._expression = start == "value"
        self._states = [table.starts[start]]
        self._values: list[Value] = []
        self._heights: list[int] = []
        self._open = [_Open(True, 1)]
        self._faults: list[SyntaxFault] = []

    def read(self) -> ast.Tree:
        """The tree; a ``SyntaxFault`` with all mistakes if there are any."""
        at = 0
        while at < len(self._words):
            at = at + 1 if self._shift(self._words[at]) else self._recover(at)
        if self._faults:
            raise together(self._faults)
        tree = self._values[-2]
        assert isinstance(tree, ast.Tree)
        return tree

    def _shift(self, word: Word) -> bool:
        """Take a word, after the rules that end before it; False if it does not fit."""
        kind = word.type
        states, rows, rules = self._states, self._table.states, self._table.rules
        while (action := rows[states[-1]].get(kind)) is not None:
            if action < 0:
                rule = rules[-1 - action]
                if rule.renames:
                    states[-1] = rows[states[-2]][rule.origin]
                else:
                    self._reduce(rule)
                continue
            states.append(action)
            self._values.append(word)
            self._heights.append(0)
            if kind in _TRACKED:
                self._track(kind)
            return True
        return False

    def _reduce(self, rule: Rule) -> None:
        cut = len(self._values) - rule.length
        taken = self._values[cut:]
        height = max(self._heights[cut:], default=0)
        joined = _joined(taken, rule.helper)
        value: Value = joined
        if rule.thin and len(joined) == 1:
            value = joined[0]
        elif not rule.helper:
            value = NODES[rule.name](Parts(self._source, joined, self._faults))
            height += 2 if isinstance(value, _OPERATIONS) else 1
            if height > MAX_HEIGHT:
                raise together([*self._faults, _too_high(value)])
        del self._values[cut:], self._heights[cut:], self._states[cut + 1 :]
        self._values.append(value)
        self._heights.append(height)
        self._states.append(self._table.states[self._states[-1]][rule.origin])

    def _track(self, kind: str) -> None:
        """Remember where statements begin."""
        if kind == "_NL":
            if self._open[-1].brace:
                self._open[-1] = _Open(True, len(self._states) - 1, False)
        elif kind[0] == "L":
            self._open.append(_Open(kind == "LBRACE", len(self._states)))
        else:
            self._open.pop()

    def _recover(self, at: int) -> int:
        """Note the mistake, leave its statement out, and return the index of the word after it."""
        self._note(self._explain(at))
        hopeless = self._faults[-1].code in _HOPELESS
        if self._expression or hopeless or len(self._faults) >= MAX_FAULTS:
            raise together(self._faults)
        depth = 0
        while not self._open[-1].brace:
            self._open.pop()
            depth += 1
        now = self._open[-1]
        del self._states[now.height :], self._values[now.height - 1 :]
        del self._heights[now.height - 1 :]
        at = self._end_of_statement(at, depth)
        return at + 1 if now.first and self._words[at].type == "_NL" else at

    def _explain(self, at: int) -> SyntaxFault:
        accepts = self._table.accepts(self._states)
        scene = Scene(self._source, self._words, at, accepts, self._expression, self._wrong)
        return explain(scene)

    def _note(self, fault: SyntaxFault) -> None:
        if fault.code not in _ONCE or all(fault.code != one.code for one in self._faults):
            self._faults.append(fault)

    def _end_of_statement(self, at: int, depth: int) -> int:
        for index in range(at, len(self._words)):
            word = self._words[index]
            # A brace on the next line was to be the body of what is left out.
            ends = word.type == "_NL" and self._words[index + 1] != "{"
            if word.type == END or (depth == 0 and (ends or word in CLOSING)):
                return index
            depth += (word in CLOSERS) - (word in CLOSING)
        raise AssertionError("the words have an end")


def together(faults: Iterable[SyntaxFault]) -> NetError:
    """The mistakes of a text as one error, in the order of the text, few of a kind."""
    said: Counter[tuple[str, str]] = Counter()
    kept: list[SyntaxFault] = []
    for fault in sorted(faults, key=lambda fault: fault.span.start if fault.span else 0):
        said[fault.code, fault.message] += 1
        if said[fault.code, fault.message] <= MAX_ALIKE and len(kept) < MAX_FAULTS:
            kept.append(fault)
    return NetError.together(kept)


def _joined(values: list[Value], helper: bool) -> list[Word | ast.Tree]:
    """The values in one list. That of a repetition grows in place, so that all of it is linear."""
    if helper and values and isinstance(values[0], list):
        joined, rest = values[0], values[1:]
    else:
        joined, rest = [], values
    for value in rest:
        if isinstance(value, list):
            joined += value
        else:
            joined.append(value)
    return joined


def _too_high(node: ast.Tree) -> SyntaxFault:
    return SyntaxFault(
        "E005",
        "this is nested too deeply: a chain of operators, of 'else if', or parts inside parts",
        replace(node.span, end=node.span.start + 1),
        "give a part a name: let x = ... or block f { ... }",
    )
