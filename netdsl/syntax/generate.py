"""The tables of the grammar, made by Lark: ``python -m netdsl.syntax.generate`` writes them.

States are numbered in the order in which they can be reached, so the tables depend on the grammar
alone, and not on Lark's version.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from netdsl.syntax.table import GRAMMAR, TABLE, digest

STARTS = ["start", "value"]
# How Lark writes a terminal that is one of several signs.
_CHOICE = re.compile(r"\(\?:([^\w\[\]]+)\)")


def generate(grammar: str) -> dict[str, Any]:
    """The tables of a grammar, as plain data."""
    data, memo = _serialized(grammar)
    parser = data["parser"]["parser"]
    rules = [memo[key] for key in memo if memo[key]["__type__"] == "Rule"]
    numbers = {key: at for at, key in enumerate(k for k in memo if memo[k]["__type__"] == "Rule")}
    names = {key: _plain(name) for key, name in parser["tokens"].items()}
    made = [_rule(rule) for rule in rules]
    walk = _Walk(parser["states"], names, numbers, made)
    starts = {name: walk.state(parser["start_states"][name]) for name in STARTS}
    states = walk.finish()
    for name in STARTS:
        end = walk.state(parser["end_states"][name])
        states[end]["$END"] = end
    terminals = [one for one in memo.values() if one["__type__"] == "TerminalDef"]
    return {
        "grammar": digest(grammar),
        **_lexer(terminals, data["parser"]["lexer_conf"]["ignore"]),
        "rules": [made[number] for number in walk.rules],
        "states": states,
        "starts": starts,
    }


def _serialized(grammar: str) -> tuple[dict[str, Any], dict[Any, Any]]:
    lark = Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=STARTS,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
    return lark.memo_serialize([TerminalDef, Rule])  # type: ignore[return-value]


def _plain(name: str) -> str:
    """Lark numbers the rules that it makes for repetitions; there is one for each of ours."""
    return re.sub(r"(?<=_star)_[0-9]+$", "", name)


def _rule(rule: dict[str, Any]) -> list[Any]:
    origin = _plain(rule["origin"]["name"])
    name = rule["alias"] or origin
    helper = origin.startswith("_") and not rule["alias"]
    thin = bool(rule["options"]["expand1"]) and not rule["alias"]
    return [origin, len(rule["expansion"]), name, helper, thin]


class _Walk:
    """States and rules in the order in which they are met."""

    def __init__(
        self,
        states: dict[Any, Any],
        names: dict[Any, str],
        numbers: dict[Any, int],
        made: list[list[Any]],
    ) -> None:
        self._given, self._names, self._numbers, self._made = states, names, numbers, made
        self._order: dict[Any, int] = {}
        self.rules: dict[int, int] = {}

    def state(self, given: Any) -> int:
        """The new number of a state."""
        return self._order.setdefault(given, len(self._order))

    def finish(self) -> list[dict[str, int]]:
        """All states that can be reached from those met so far."""
        done: list[dict[str, int]] = []
        while len(done) < len(self._order):
            given = list(self._order)[len(done)]
            entries = {self._names[key]: entry for key, entry in self._given[given].items()}
            done.append({name: self._entry(*entries[name]) for name in sorted(entries)})
        return done

    def _entry(self, reduces: int, target: Any) -> int:
        if not reduces:
            return self.state(target)
        number = self._numbers[target["@"]]
        return -1 - self.rules.setdefault(number, len(self.rules))


def _lexer(terminals: list[dict[str, Any]], ignored: list[str]) -> dict[str, Any]:
    """Reserved words, signs, and patterns in the order in which they are tried."""
    words: dict[str, str] = {}
    signs: dict[str, str] = {}
    patterns: list[tuple[int, str, str]] = []
    for one in terminals:
        name, value = one["name"], one["pattern"]["value"]
        choice = _CHOICE.fullmatch(value)
        if one["pattern"]["__type__"] == "PatternStr":
            (words if value.isidentifier() else signs)[value] = name
        elif choice:
            signs |= {text.replace("\\", ""): name for text in choice[1].split("|")}
        else:
            patterns.append((-one["priority"], name, value))
    return {
        "patterns": [[name, value] for _, name, value in sorted(patterns)],
        "words": dict(sorted(words.items())),
        "signs": dict(sorted(signs.items())),
        "ignored": sorted(ignored),
    }


def write(folder: Path) -> None:
    """Write the tables beside the grammar of a folder, one state a line."""
    data = generate((folder / GRAMMAR).read_text(encoding="utf-8"))
    lines = [f'"{key}": {_text(key, value)}' for key, value in data.items()]
    (folder / TABLE).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _text(key: str, value: Any) -> str:
    if key not in ("rules", "states"):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "\n]"


if __name__ == "__main__":
    with files("netdsl.grammars").joinpath(GRAMMAR).open() as found:
        write(Path(found.name).parent)
