"""The pages of docs/ and their code blocks.

The first word after the fence is the language. ``net`` is a whole file, or, with ``in=3x32x32``,
steps of a net that such a tensor enters. Words after it:

- ``in=3x32x32``, ``in=int:200``: the block holds steps; `Block.source` puts a net around them
- ``file=lenet.net``: later blocks of the page find it under that name
- ``draw=Large``: the net that the picture shows, if not the first
- ``error=E204``, ``warning=W201``: what the compiler says of it
- ``slow``: run by the slow tests alone
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = ("layers.md", "errors.md")
"""Pages that are made as a whole; what they show is tested where it comes from."""

_BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"\s*!\[[^\]]*\]\(pictures/(?P<name>[a-z0-9_]+)\.svg\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the words after it, its text and its line.

    ``start`` and ``end`` bound the text in the page; ``picture`` names the drawing that follows.
    """

    page: str
    language: str
    words: tuple[str, ...]
    text: str
    line: int
    start: int
    end: int
    picture: str = ""

    def word(self, key: str) -> str:
        """The value of ``key=value`` among the words, or nothing."""
        return next((w.partition("=")[2] for w in self.words if w.startswith(f"{key}=")), "")

    @property
    def slow(self) -> bool:
        """Whether only the slow tests run it."""
        return "slow" in self.words

    @property
    def source(self) -> str:
        """A net block as a complete file."""
        entering = self.word("in")
        if not entering:
            return self.text
        dtype, _, sizes = entering.rpartition(":")
        dtype = f", dtype={dtype}" if dtype else ""
        steps = "".join(f"  {line}".rstrip() + "\n" for line in self.text.splitlines())
        return f"net Example {{\n  input x({sizes}{dtype})\n{steps}}}\n"


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        picture = _PICTURE.match(text, match.end())
        found.append(
            Block(
                page, language, tuple(words), match["text"], line, *match.span("text"),
                picture["name"] if picture else "",
            )
        )  # fmt: skip
    return found


def written() -> dict[str, Path]:
    """The pages that people write, by name; README.md stands at the root."""
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    return {str(path.relative_to(ROOT)): path for path in pages if path.name not in MADE}
