"""The documents: every code block is run, and what is made from the sources is up to date.

A page is one story in one directory: its blocks run in order, and a block can use what an earlier
one made; ``examples``, ``specs`` and a picture ``digit.png`` are there. What the fences say is told
in scripts/reference/pages.py. A ``sh`` block has commands after ``$`` with what they print: ``...``
stands for anything within a line, and alone in a line for any lines; a command with nothing after
it must only succeed. Timings are never compared; losses and accuracies may differ a little between
machines. ``--update-golden`` writes what commands print now into the pages.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from difflib import get_close_matches
from pathlib import Path

import pytest
from PIL import Image
from reference import __main__ as make
from reference import errors, layers
from reference.pages import DOCS, ROOT, Block, blocks, written

from netdsl.check import check
from netdsl.cli import main
from netdsl.compiler import load_source, vocabulary
from netdsl.errors import NetError
from netdsl.op import REGISTRY
from netdsl.source import Source

PAGES = written()
BLOCKS = {page: blocks(page, path.read_text()) for page, path in PAGES.items()}
SLOW = [page for page, found in BLOCKS.items() if any(block.slow for block in found)]


# ---- what is made ------------------------------------------------------------------------------


def test_what_is_made_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    stale = make.main(check=True)
    assert not stale, f"{capsys.readouterr().out}run: make reference"


def test_every_code_is_explained() -> None:
    twice = [code for code, count in Counter(errors.sections()).items() if count > 1]
    assert not twice
    assert errors.codes() - errors.described().keys() == set(), "write them in docs/errors.in.md"
    assert errors.described().keys() - errors.codes() == set(), "no source raises them"


def test_every_parameter_is_explained() -> None:
    vocabulary()
    missing = [
        f"{op.name}: - ``{parameter.name}``: …"
        for ops in REGISTRY.values()
        for op in ops.values()
        for parameter in op.parameters()
        if parameter.name not in layers.explanations(op)
    ]
    assert not missing, "write these lines into the docstrings"


# ---- the words of others -------------------------------------------------------------------------

PAIRS = re.compile(r"^\| `(?P<theirs>[^`]+)` \| `(?P<ours>\w+)` \|", re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/coming_from_keras.md", "docs/coming_from_pytorch.md"])
def test_words_of_others_are_translated_as_the_compiler_does(page: str) -> None:
    vocabulary()
    ops = {name: op for kind in REGISTRY.values() for name, op in kind.items()}
    text, layer = PAGES[page].read_text(), ""
    assert len(PAIRS.findall(text)) > 25
    for headline, theirs, ours in re.findall(rf"^## (.+)$|{PAIRS.pattern}", text, re.MULTILINE):
        if headline:
            layer = headline.removeprefix("Arguments of ").strip("`")
        elif layer == "Layers":
            with pytest.raises(NetError) as caught:
                load_source(Source("a.net", f"net A {{\n  input x(3x8x8)\n  {theirs}\n}}\n"))
            assert re.search(rf"\b{ours}\b", caught.value.help or ""), theirs
        else:
            assert ops[layer].synonyms.get(theirs) == ours, f"{layer}: {theirs}"


# ---- links ---------------------------------------------------------------------------------------

LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in sorted(DOCS.glob("*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for match in LINK.finditer(path.read_text()):
        target = path.parent / match["path"] if match["path"] else path
        assert target.exists(), match[0]
        if match["anchor"] and target.suffix == ".md":
            assert match["anchor"] in anchors(target.read_text()), match[0]


def anchors(text: str) -> set[str]:
    """The link targets of the headlines of a page, as GitHub makes them."""
    found: set[str] = set()
    for title in re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M
    ):
        plain = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        numbered = (f"{plain}-{number}" if number else plain for number in range(99))
        found.add(next(name for name in numbered if name not in found))
    return found


# ---- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request) -> None:
    tell(page, tmp_path, monkeypatch, request, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_page_with_its_slow_blocks(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request
) -> None:
    tell(page, tmp_path, monkeypatch, request, slow=True)


def tell(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, request, slow: bool) -> None:
    """Run the blocks of a page in their order."""
    monkeypatch.chdir(folder)
    for name in ("examples", "specs"):
        (folder / name).symlink_to(ROOT / name)
    Image.new("L", (8, 8)).save("digit.png")
    update = request.config.getoption("--update-golden")
    found: list[tuple[Block, str]] = []
    for block in BLOCKS[page]:
        if block.slow and not slow:
            continue
        if block.language == "net":
            net(block)
        elif block.language == "sh":
            found.append((block, "".join(commands(block, update))))
        elif block.language == "python":
            ended = python(block)
            assert ended.returncode == 0, f"{place(block)}\n{ended.stderr}"
        else:
            assert block.language == "text", f"{place(block)}: net, sh, python or text"
    if update:
        rewrite(PAGES[page], found)


def python(block: Block) -> subprocess.CompletedProcess[str]:
    """A python block is run; if its fence names a file, as that file."""
    program = ["-c", block.text]
    if name := block.word("file"):
        Path(name).write_text(block.text)
        program = [name]
    return subprocess.run([sys.executable, *program], capture_output=True, text=True)


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


def net(block: Block) -> None:
    """A net block does to the compiler what its fence says."""
    path = Path(block.word("file") or "example.net")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.source)
    if "part" in block.words:
        return
    found = [finding for finding in check([path]) if finding.code]
    said = set(filter(None, (block.word("error") or block.word("warning")).split(",")))
    told = "\n\n".join(map(str, found))
    assert {finding.code for finding in found} == said, f"{place(block)}\n{told}"


def commands(block: Block, update: bool) -> Iterator[str]:
    """Run each command of a block and compare what it prints; yields what the page should say."""
    for piece in re.split(r"^(?=\$ )", block.text, flags=re.MULTILINE):
        if not piece.strip():
            continue
        command, _, wanted = piece.removeprefix("$ ").partition("\n")
        status, printed = run(command)
        same = not wanted or matches(wanted, printed)
        if update and not same:
            yield f"$ {command}\n{shortened(printed, wanted)}"
            continue
        assert same, f"{place(block)}: {command}\n{printed}"
        # Networks that differ are no mistake, and yet a status.
        failed = "error[" in printed or (command.startswith("netdsl diff") and " -> " in printed)
        assert (status != 0) == failed, f"{place(block)}: {command}: status {status}\n{printed}"
        yield piece


def run(command: str) -> tuple[int, str]:
    """What a command prints, to both outputs in their order, and its exit status."""
    printed = io.StringIO()
    program, *args = shlex.split(command, comments=True)
    assert program == "netdsl", command
    with redirect_stdout(printed), redirect_stderr(printed), pytest.raises(SystemExit) as ended:
        main(args)
    return int(ended.value.code or 0), printed.getvalue()


TIMES = re.compile(r"[\d,.]+ images/s|\b[\d.]+ m?s\b|\d+:\d\d:\d\d")
CONFUSION = re.compile(r"(?<=\n\d) [\d. ]+ [\d.]+ %")
FIGURE = re.compile(r"\b(?P<name>\w*(?:loss|accuracy|top\w*) +)(?P<value>\d+\.\d+)")


def timeless(text: str) -> str:
    """A text without timings, counts of confusion, and blanks at the ends of lines."""
    text = CONFUSION.sub("#", TIMES.sub("#", text))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def matches(wanted: str, printed: str) -> bool:
    """Whether a command prints what a page shows."""
    pattern, figures = "", []
    for line in timeless(wanted).splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
            continue
        figures += [(match["name"], float(match["value"])) for match in FIGURE.finditer(line)]
        escaped = ".*".join(map(re.escape, FIGURE.sub(r"\g<name>FIGURE", line).split("...")))
        pattern += escaped.replace("FIGURE", r"(\d+\.\d+)") + r"\n"
    found = re.fullmatch(pattern, timeless(printed))
    return found is not None and all(
        # Sums in another order differ in the last digits, and a few samples change sides.
        abs(float(value) - shown) <= (0.3 * shown + 0.02 if "loss" in name else 5)
        for value, (name, shown) in zip(found.groups(), figures, strict=True)
    )


def shortened(printed: str, wanted: str) -> str:
    """What is printed, left out as the page left out before.

    Before the first ``...`` and after the last as many lines are kept; between them the lines that
    are most like those of the page.
    """
    lines = [line.rstrip() for line in printed.splitlines()]
    before = [line.strip() if line.strip() == "..." else line for line in wanted.splitlines()]
    if "..." not in before:
        return "".join(f"{line}\n" for line in lines)
    head = before.index("...")
    tail = before[::-1].index("...")
    kept = lines[:head]
    for line in before[head : len(before) - tail]:
        near = ["..."] if line == "..." else get_close_matches(line, lines, 1)
        kept += near
    kept += lines[len(lines) - tail :]
    return "".join(f"{line}\n" for line in kept)


def rewrite(path: Path, found: list[tuple[Block, str]]) -> None:
    """Put texts in the place of those of blocks."""
    page = path.read_text()
    for block, text in reversed(found):
        page = page[: block.start] + text.rstrip("\n") + "\n" + page[block.end :]
    path.write_text(page)
