"""Bilinear initialisation."""

from __future__ import annotations

from netdsl.op import Initializer


class Bilinear(Initializer, name="bilinear"):
    """``w[c, c, a, b] = hat(a) * hat(b)``, else 0: an upconv that begins as an upsampling.

    The hat is ``1 - |a - (window - 1) / 2| / ((window + 1) // 2)``; a window of ``2 * f - f % 2``
    with stride ``f`` interpolates (Long et al. 2014, "Fully convolutional networks").
    """

    examples = (("bilinear",),)

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "bilinear", 1.0
