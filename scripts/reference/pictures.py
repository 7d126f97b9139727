"""The pictures of docs/: every net block that ``![...](pictures/name.svg)`` follows is drawn.

What graphviz makes of a drawing depends on its version, so a picture carries the hash of its
graphviz text, and that is what is compared.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from netdsl.compiler import Net, load_source
from netdsl.source import Source
from reference.pages import DOCS, blocks, written

MARK = "<!-- drawn from sha256:{} -->\n"


def pictures() -> dict[str, Net]:
    """The path of each picture in docs/, and the net that it shows."""
    found: dict[str, Net] = {}
    for page, path in written().items():
        for block in blocks(page, path.read_text()):
            if block.picture:
                name = f"pictures/{block.picture}.svg"
                assert name not in found, f"two blocks are drawn as {name}"
                found[name] = load_source(Source("example.net", block.source))
    return found


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
