"""Many kernels in one module: the same name may mean different things in their files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from netdsl.backends.kernels import KernelText, defined


def separate(texts: Iterable[KernelText], taken: Iterable[str]) -> Iterator[KernelText]:
    """The same kernels with other names where two mean different things by one.

    Parts that are equal stay so, and so are written once. ``taken`` names are not to be used.
    """
    known: dict[str, str] = dict.fromkeys(taken, "")
    for text in texts:
        while clash := _clash(text, known):
            new = f"{clash}_"
            while new in known:
                new += "_"
            text = _renamed(text, clash, new)
        for part in text.functions:
            known.update(dict.fromkeys(defined(part), part))
        yield text


def _clash(text: KernelText, known: dict[str, str]) -> str | None:
    """A name that a kernel's text gives to something else than a text before it."""
    for part in text.functions:
        for name in sorted(defined(part)):
            if known.get(name, part) != part:
                return name
    return None


def _renamed(text: KernelText, old: str, new: str) -> KernelText:
    """A kernel in which a name is another one, wherever it stands."""

    def changed(part: str) -> str:
        return re.sub(rf"\b{old}\b(?!=[^=])", new, part)

    return KernelText(tuple(map(changed, text.functions)), changed(text.body))
