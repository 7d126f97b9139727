"""The tables by which texts are read: words, rules, and what to do in each state of the parser.

They are made from ``net.lark`` by ``generate`` and kept beside it as ``net.json``: reading them
takes a few milliseconds, where making them takes Lark a tenth of a second at every start.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any

GRAMMAR = "net.lark"
TABLE = "net.json"


@dataclass(frozen=True)
class Rule:
    """How many values of the stack a rule takes, and what is made of them: a ``name`` of ``build``.

    The values of a ``helper`` rule are handed on to the rule around it as they are; so is the only
    value of a rule that may be ``thin``.
    """

    origin: str
    length: int
    name: str
    helper: bool
    thin: bool

    @cached_property
    def renames(self) -> bool:
        """Whether the rule leaves its only value as it is."""
        return self.length == 1 and (self.helper or self.thin)


@dataclass(frozen=True)
class Table:
    """``pattern`` finds the next word, whose group names its type; ``words`` are reserved.

    It is one of the named ``patterns`` or one of the ``signs``; what is ``ignored`` is no word.

    ``states[state][symbol]`` is the state to go to, or ``-1 - rule`` where a rule ends.
    """

    pattern: re.Pattern[str]
    patterns: dict[str, str]
    words: dict[str, str]
    signs: dict[str, str]
    ignored: frozenset[str]
    rules: tuple[Rule, ...]
    states: list[dict[str, int]]
    starts: dict[str, int]

    @staticmethod
    def of(data: dict[str, Any]) -> Table:
        """The table of what ``generate`` made."""
        patterns = dict(data["patterns"])
        groups = [f"(?P<{name}>{pattern})" for name, pattern in patterns.items()]
        signs = sorted(data["signs"], key=lambda sign: (-len(sign), sign))
        return Table(
            re.compile("|".join([*groups, f"(?P<SIGN>{'|'.join(map(re.escape, signs))})"])),
            patterns,
            data["words"],
            data["signs"],
            frozenset(data["ignored"]),
            tuple(Rule(*rule) for rule in data["rules"]),
            data["states"],
            data["starts"],
        )

    def accepts(self, states: list[int]) -> frozenset[str]:
        """The types of the words that may come next."""
        kinds = self.states[states[-1]]
        return frozenset(kind for kind in kinds if self._takes(list(states), kind))

    def _takes(self, states: list[int], kind: str) -> bool:
        while (action := self.states[states[-1]].get(kind)) is not None:
            if action >= 0:
                return True
            rule = self.rules[-1 - action]
            del states[len(states) - rule.length :]
            states.append(self.states[states[-1]][rule.origin])
        return False


@cache
def load() -> Table:
    """The tables of the grammar; made anew if somebody has changed the grammar since."""
    folder = files("netdsl.grammars")
    grammar = folder.joinpath(GRAMMAR).read_text(encoding="utf-8")
    data = json.loads(folder.joinpath(TABLE).read_text(encoding="utf-8"))
    if data["grammar"] != digest(grammar):
        from netdsl.syntax.generate import generate

        data = generate(grammar)
    return Table.of(data)


def digest(grammar: str) -> str:
    """What tells one grammar from another."""
    return sha256(grammar.encode()).hexdigest()
