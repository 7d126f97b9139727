"""docs/errors.md: the prose of docs/errors.in.md, with an example for every code.

Examples are the golden files of tests/mistakes; the parser's come from tests/mistakes.txt.
"""

from __future__ import annotations

import re

from netdsl.errors import NetError
from netdsl.source import Source
from netdsl.syntax.parse import parse
from reference.pages import DOCS, ROOT

SECTION = re.compile(r"^### (?P<code>[EW]\d{3}): (?P<title>.+)$", re.MULTILINE)
MOST_EXAMPLES = 2
NOTE = "<!-- Made by `make reference` from errors.in.md and tests/mistakes. -->\n\n"


def codes() -> set[str]:
    """Every code that the sources raise."""
    sources = [*(ROOT / "netdsl").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]
    return {code for path in sources for code in re.findall(r'"([EW]\d{3})"', path.read_text())}


def sections() -> list[str]:
    """The codes of the sections of docs/errors.in.md, in their order."""
    return [match["code"] for match in SECTION.finditer(_prose())]


def described() -> dict[str, str]:
    """The codes that docs/errors.in.md has a section for, with the titles."""
    return {m["code"]: m["title"] for m in SECTION.finditer(_prose())}


def page() -> str:
    """The whole page."""
    prose = _prose()
    found = list(SECTION.finditer(prose))
    pieces = [NOTE, prose[: found[0].start()].replace("<!-- index -->", _index())]
    parser = _parser_examples()
    ends = [match.start() for match in found[1:]] + [len(prose)]
    for match, end in zip(found, ends, strict=True):
        # The headline of the next family stands at the end of a section.
        section, headline, rest = prose[match.start() : end].partition("\n## ")
        shown = _examples(match["code"]) or parser.get(match["code"], "")
        pieces.append(f"{section.rstrip()}\n\n{shown}{headline and '## '}{rest}")
    return "".join(pieces).rstrip() + "\n"


def _prose() -> str:
    return (DOCS / "errors.in.md").read_text()


def _index() -> str:
    rows = [
        f"| [{code}](#{code.lower()}-{_anchor(title)}) | {title} |"
        for code, title in described().items()
    ]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def _anchor(title: str) -> str:
    """The link target that a headline gets."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _examples(code: str) -> str:
    """Up to two golden mistakes of a code, the shortest first, those of other commands last."""
    goldens = (ROOT / "tests" / "mistakes").glob(f"{code}-*.txt")
    pairs = [(path.with_suffix(".net").read_text(), path.read_text()) for path in goldens]
    # Two examples of one message teach nothing: the second has another.
    told: dict[str, tuple[str, str]] = {}
    for pair in sorted(pairs, key=lambda pair: ("# $" in pair[0], len("".join(pair)), pair)):
        told.setdefault(_message(pair[1]), pair)
    return "".join(_shown(*pair) for pair in [*told.values()][:MOST_EXAMPLES])


def _message(told: str) -> str:
    """The first line of what is told, without what is quoted from the file."""
    return re.sub(r"'[^']*'|\d+", "", told.split("\n", 1)[0].partition("]: ")[2])


def _parser_examples() -> dict[str, str]:
    """The first example of each code in tests/mistakes.txt, with what the parser says of it."""
    examples: dict[str, str] = {}
    for piece in (ROOT / "tests" / "mistakes.txt").read_text().split("\n\n"):
        lines = re.findall(r"^\| ?(.*)$", piece, re.MULTILINE)
        try:
            parse(Source("a.net", "\n".join(lines)))
        except NetError as error:
            examples.setdefault(error.code, _shown("\n".join(lines), str(error)))
    return examples


def _shown(net: str, told: str) -> str:
    net, told = net.strip("\n"), told.strip("\n")
    return f"```net\n{net}\n```\n```text\n{told}\n```\n\n"
