"""Sections of RESULTS.md: a line about the machine, and a table that is renewed row by row."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = "# Results\n\nMade by `make bench` and the other commands of `python benchmarks --help`.\n"


def about(threads: int) -> str:
    """The versions and the machine that the figures of a section come from."""
    versions = ", ".join(
        f"{name} {installed(name)}" for name in ("netdsl", "torch", "jax", "numba")
    )
    return f"{versions}; {processor()}, float32, {threads} of its cores."


def installed(name: str) -> str:
    """The version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def processor() -> str:
    """The processor's name, its family and its widest vectors, as the system tells them."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2") if name in flags), platform.machine())
    model = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return f"{facts.get('model name', platform.machine())} ({model}, {widest})"


def renew(
    heading: str, told: str, columns: tuple[str, ...], rows: Mapping[str, tuple[str, ...]],
    order: tuple[str, ...], notes: str = "",
) -> None:  # fmt: skip
    """Write rows, by their first cell, into the table of a section, and print it.

    Rows that were measured before stay, unless another machine, other versions, another number of
    threads or another table made them.
    """
    sections = read()
    before = sections.get(heading, "")
    head = f"| {' | '.join((*columns, 'measured'))} |"
    kept = table(before) if told in before and head in before else {}
    today = date.today().isoformat()
    made = kept | {
        title: f"| {title} | {' | '.join(cells)} | {today} |" for title, cells in rows.items()
    }
    lines = [
        head,
        "|---" * (len(columns) + 1) + "|",
        *(made[title] for title in order if title in made),
    ]
    text = "\n".join(lines)
    sections[heading] = "\n\n".join(filter(None, (told, notes, text))) + "\n"
    RESULTS.write_text(HEAD + "".join(f"\n## {name}\n\n{body}" for name, body in sections.items()))
    print(f"{told}\n{text}")


def read() -> dict[str, str]:
    """The sections by their headings; what stands before the first is written anew."""
    if not RESULTS.exists():
        return {}
    parts = RESULTS.read_text().split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() + "\n" for part in parts}


def table(section: str) -> dict[str, str]:
    """The rows of a section's table by their first cells."""
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}
