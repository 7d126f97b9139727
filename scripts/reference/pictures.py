"""The pictures of docs/: every net block that ``![...](pictures/name.svg)`` follows is drawn.

What graphviz makes of a drawing depends on its version, so a picture carries the hash of its
graphviz text, and that is what is compared.
"""

from __future__ import annotations

from contextlib import chdir
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import netdsl
from netdsl.compiler import Net
from reference.pages import DOCS, Block, blocks, written

MARK = "<!-- drawn from sha256:{} -->\n"


def pictures() -> dict[str, Net]:
    """The path of each picture in docs/, and the net that it shows."""
    found: dict[str, Net] = {}
    for page, path in written().items():
        shown = [block for block in blocks(page, path.read_text()) if block.language == "net"]
        for block in shown:
            if block.picture:
                name = f"pictures/{block.picture}.svg"
                assert name not in found, f"two blocks are drawn as {name}"
                found[name] = _net(block, shown)
    return found


def _net(block: Block, page: list[Block]) -> Net:
    """The net of a block, which may import the files of its page."""
    # A picture tells the places of its layers, and these must not be those of a folder of today.
    with TemporaryDirectory() as folder, chdir(folder):
        for part in page:
            if "part" in part.words:
                Path(part.word("file")).write_text(part.source)
        Path("example.net").write_text(block.source)
        return netdsl.load("example.net", block.word("draw") or None)


def current(name: str, net: Net) -> bool:
    """Whether the picture there is one of this net, as it is drawn now."""
    path = DOCS / name
    return path.is_file() and _mark(net) in path.read_text()


def render(name: str, net: Net) -> None:
    """Draw a picture anew."""
    with TemporaryDirectory() as folder:
        made = Path(folder, "picture.svg")
        net.draw(made)
        head, svg, rest = made.read_text().partition("<svg")
    path = DOCS / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + _mark(net) + svg + rest)


def _mark(net: Net) -> str:
    return MARK.format(sha256(net.draw().source.encode()).hexdigest())
