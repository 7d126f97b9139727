"""Write the pages and pictures that are made, or name those that are not up to date."""

from __future__ import annotations

import sys

from reference import errors, layers, pictures
from reference.pages import DOCS


def main(check: bool) -> int:
    """The exit status: 1 if something was not up to date and only looked at."""
    pages = {"layers.md": layers.page(), "errors.md": errors.page()}
    stale = [name for name, text in pages.items() if not _is(name, text)]
    drawings = pictures.pictures()
    stale += [name for name, net in drawings.items() if not pictures.current(name, net)]
    shown = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("pictures/*.svg")}
    orphans = sorted(shown - drawings.keys())
    for name in stale:
        print(f"docs/{name} is not up to date" if check else f"wrote docs/{name}")
        if check:
            continue
        if name in pages:
            (DOCS / name).write_text(pages[name])
        else:
            pictures.render(name, drawings[name])
    for name in orphans:
        print(f"docs/{name} is shown nowhere" if check else f"removed docs/{name}")
        if not check:
            (DOCS / name).unlink()
    return 1 if check and (stale or orphans) else 0


def _is(name: str, text: str) -> bool:
    path = DOCS / name
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
