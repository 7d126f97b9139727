"""How numbers are written for people."""

from __future__ import annotations


def counted(number: int) -> str:
    """``25,557,032``; nothing to count is ``-``."""
    return f"{number:,}" if number else "-"


def human(number: int) -> str:
    """``416.5 k``, ``4.09 G``: four digits at most, two of them after the point."""
    return _scaled(number, 1000, ("", " k", " M", " G", " T", " P"))


def size_text(size: int) -> str:
    """Bytes: ``62 B``, ``3.06 MiB``, ``19.71 GiB``."""
    return _scaled(size, 1024, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def _scaled(number: int, base: int, units: tuple[str, ...]) -> str:
    value, power = float(number), 0
    # What would be rounded up to a thousand is one of the next unit.
    while value >= base - 0.05 and power < len(units) - 1:
        value, power = value / base, power + 1
    if not power:
        return f"{number}{units[0]}"
    return f"{value:.2f}{units[power]}" if value < 99.995 else f"{value:,.1f}{units[power]}"
