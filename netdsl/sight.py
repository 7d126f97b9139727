"""What one position of a layer's output sees of an input, along one axis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sight:
    """Position ``i`` sees ``(i * step + first) / over`` to ``(i * step + last) / over``.

    Both are included and rounded inwards; they may lie in the padding. ``over`` is 1 but for what
    makes its input larger, such as a transposed convolution of that stride.
    """

    first: int = 0
    last: int = 0
    step: int = 1
    over: int = 1


Sights = tuple[Sight, ...]
"""One for each spatial axis."""

SAME = Sight()
"""Each position sees the one at its own place."""
