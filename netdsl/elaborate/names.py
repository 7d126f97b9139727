"""The names of layers and blocks: those the user gives with ``as``, or the kind and a number."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from netdsl.ir import Region


@dataclass
class Names:
    """Names within a block call: ``conv1``, ``conv2``; no two things of a net share one.

    ``reserved`` are the names that ``as`` gives in the block: no number makes another thing be
    called so. ``twin`` is the path of the first use of what is shared, if this is a later one:
    layers take their weights from there. ``taken`` and ``regions`` are those of the whole net.
    """

    path: str = ""
    reserved: frozenset[str] = frozenset()
    twin: str = ""
    taken: set[str] = field(default_factory=set)
    regions: dict[str, Region] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    repeats: int = 0

    def fresh(self, stem: str) -> str:
        """The next free name with a number."""
        while True:
            self.counts[stem] = self.counts.get(stem, 0) + 1
            last = f"{stem}{self.counts[stem]}"
            if last not in self.reserved and self.path + last not in self.taken:
                self.taken.add(self.path + last)
                return self.path + last

    def named(self, label: str) -> str:
        """The name that the user gives; with a number where a repeat gives it several times."""
        name = self.path + label
        if self.repeats or name in self.taken:
            return self.fresh(label)
        self.taken.add(name)
        return name

    @contextmanager
    def repeated(self) -> Generator[None]:
        """What is named inside may be named again."""
        self.repeats += 1
        try:
            yield
        finally:
            self.repeats -= 1

    def inner(self, region: Region, reserved: frozenset[str] | None = None) -> Names:
        """The names inside a block, which bears its label or its kind and a number."""
        name = self.named(region.label) if region.label else self.fresh(region.kind)
        self.regions[name] = region
        last = name.removeprefix(self.path)
        twin = f"{self.twin}{last}." if self.twin else ""
        inside = self.reserved if reserved is None else reserved
        return Names(f"{name}.", inside, twin, self.taken, self.regions)
