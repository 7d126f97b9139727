"""What is refused, where, and in which words: the table ``mistakes.txt`` and random breakages."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from test_syntax import HERE, PROGRAMS, refuse

from netdsl.errors import NetError
from netdsl.source import Source
from netdsl.syntax.parse import parse, parse_expr


def _mistakes() -> list[tuple[str, str]]:
    """For each error ``line:column code message``, then the text behind bars."""
    entries = (HERE / "mistakes.txt").read_text().strip().split("\n\n")
    return [_mistake(entry.split("\n")) for entry in entries]


def _mistake(lines: list[str]) -> tuple[str, str]:
    shown = [line[2:] for line in lines if line.startswith("|")]
    return "\n".join(shown), "\n".join(lines[: -len(shown)])


def said(fault: NetError) -> str:
    return "\n".join(
        f"{each.span.place.split(':', 1)[1]} {each.code} {each.message}"
        for each in fault.each()
        if each.span
    )


@pytest.mark.parametrize(("text", "expected"), _mistakes())
def test_mistakes_are_named_at_their_place(text: str, expected: str) -> None:
    assert said(refuse(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 E060 a value is missing"),
        ("3 4", "1:3 E048 4 is left over after 3"),
        ("[1, 2", "1:1 E020 missing ']': the '[' on line 1 is not closed"),
        ("conv(6 5)", "1:8 E030 missing comma between 6 and 5"),
        ("a = 3", "1:3 E063 = does not compare"),
    ],
)
def test_mistakes_in_one_value(text: str, expected: str) -> None:
    assert said(refuse(text, parse_expr)) == expected


def test_mistakes_as_people_see_them(golden: Callable[[str, str], None]) -> None:
    golden("syntax/mistakes.txt", "\n\n".join(str(refuse(text)) for text, _ in _mistakes()) + "\n")


def test_no_message_lists_token_names() -> None:
    shouted = re.compile(r"\b(LPAR|RPAR|LBRACE|RBRACE|LSQB|RSQB|EQUAL|_NL|__ANON\w*|[$]END)\b")
    for text, _ in _mistakes():
        assert not shouted.search(str(refuse(text)))


def test_broken_programs_give_errors_with_a_place_and_nothing_else() -> None:
    """Words dropped, doubled and exchanged at random."""
    chance = random.Random(1)
    words = [re.findall(r'\w+|"[^"]*"|->|\n *|[^\w\s]| ', text) for text in PROGRAMS.values()]
    pool = [word for text in words for word in text]
    refused = vague = 0
    for _ in range(1000):
        broken = list(chance.choice(words))
        at = chance.randrange(len(broken))
        broken[at : at + chance.randrange(2)] = [" ", chance.choice(pool), " "][
            : chance.choice([0, 3])
        ]
        text = "".join(broken)
        try:
            parse(Source("f.net", text))
        except NetError as error:
            refused += 1
            vague += any(each.code == "E099" for each in error.each())
            assert error.span is not None
            assert 0 <= error.span.start <= error.span.end <= len(text)
            assert error.span.place in str(error)
    assert refused > 400
    assert vague < refused / 50, "nearly every mistake is known by its name"


def test_one_mistake_has_no_others_for_its_consequences() -> None:
    """A word dropped or put in anywhere: one error, since all else is right."""
    chance = random.Random(2)
    for text in PROGRAMS.values():
        words = re.findall(r'#[^\n]*|\w+|"[^"]*"|->|\n *|[^\w\s]| +', text)
        for _ in range(60):
            at = chance.randrange(len(words))
            words_left = [
                *words[:at],
                chance.choice(["", "conv ", "3 ", ", ", "= "]),
                *words[at + 1 :],
            ]
            try:
                parse(Source("f.net", "".join(words_left)))
            except NetError as error:
                assert len(error.each()) == 1, str(error)


def test_at_most_twenty_mistakes_are_told_and_few_of_a_kind() -> None:
    alike = refuse("net A {\n" + "  conv(6);\n" * 30 + "}")
    assert len(alike.each()) == 3
    several = refuse("net A {\n" + "".join(f"  conv({i} 5)\n" for i in range(60)) + "}")
    assert len(several.each()) == 20
    assert str(several).count("error[E030]") == 20
