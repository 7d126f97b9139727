"""Orthogonal initialisation."""

from __future__ import annotations

from netdsl.arguments import NonNegative
from netdsl.op import Initializer


class Orthogonal(Initializer, name="orthogonal"):
    """``w @ w.T = gain**2 * I``, or ``w.T @ w`` where there are more rows than columns.

    Saxe et al. 2013: what goes through the matrix keeps its length. The Q of the QR decomposition
    of normal numbers, signs as the diagonal of R has them; a weight is a matrix with an output a
    row.

    - ``gain``: what the matrix is multiplied with
    """

    gain: NonNegative = 1.0

    examples = (("orthogonal",), ("orthogonal(gain=2)",))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        return "orthogonal", self.gain
