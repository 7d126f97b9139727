"""Products of matrices of any size, made of tiles; and the small things around them.

``c[i, j] += sum over s, t, k of a[i, s, t, k] * b[s, t, k, j]``, as `netdsl.backends.cpu.tile`
says it, for any number of lines ``i`` and columns ``j``.
"""

from __future__ import annotations

from netdsl.backends.cpu.across_turn import turn_square
from netdsl.backends.cpu.lazy import put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import vall, vload, vstore
from netdsl.backends.cpu.tile import ROWS, tile_1, tile_2, tile_3, tile_4
from netdsl.kernel import device, real, routine

SHORT = 8
"""A loop over fewer terms is not the innermost one, if there is a longer one."""


@device
def panel_vectors(vectors, lines):
    """How many vectors wide the next tile is, where so many are left.

    Tiles that are high and narrow read the least for what they compute; few lines want wide ones.
    """
    if vectors <= 2:
        return vectors
    if lines <= ROWS[3]:
        return 4 if vectors == 4 or vectors > 5 else 3
    return 3 if vectors % 2 or (lines <= ROWS[2] and vectors != 4) else 2


@routine
def product(
    c, c0, ci, start, d, d0, lines, cols, a, a0, ai, ak, b, b0, bk, n1, a1, b1, n2, a2, b2, n
):
    """Add a product of matrices to ``c``; arguments are those of the tiles."""
    if a2 == n * ak and b2 == n * bk:
        n, n2 = n * n2, 1
    if n2 == 1 and a1 == n * ak and b1 == n * bk:
        n, n1 = n * n1, 1
    if n < SHORT and n < n1:
        n, ak, bk, n1, a1, b1 = n1, a1, b1, n, ak, bk
    j = 0
    while j < cols:
        wide = panel_vectors(-(-(cols - j) // LANES), lines)
        w = min(wide * LANES, cols - j)
        groups = -(-lines // ROWS[wide - 1])
        for g in range(groups):
            i = g * lines // groups
            r = (g + 1) * lines // groups - i
            ca, aa, ba, da = c0 + i * ci + j, a0 + i * ai, b0 + j, d0 + j
            if wide == 1:
                tile_1(
                    c, ca, ci, start, d, da, w, r, a, aa, ai, ak, b, ba, bk,
                    n1, a1, b1, n2, a2, b2, n,
                )  # fmt: skip
            elif wide == 2:
                tile_2(
                    c, ca, ci, start, d, da, w, r, a, aa, ai, ak, b, ba, bk,
                    n1, a1, b1, n2, a2, b2, n,
                )  # fmt: skip
            elif wide == 3:
                tile_3(
                    c, ca, ci, start, d, da, w, r, a, aa, ai, ak, b, ba, bk,
                    n1, a1, b1, n2, a2, b2, n,
                )  # fmt: skip
            else:
                tile_4(
                    c, ca, ci, start, d, da, w, r, a, aa, ai, ak, b, ba, bk,
                    n1, a1, b1, n2, a2, b2, n,
                )  # fmt: skip
        j += wide * LANES


@routine
def clear(out, o, step, rows, count):
    """Rows of zeros, ``step`` apart."""
    zero = vall(real(0))
    for r in range(rows):
        for j in range(0, count, LANES):
            put_vector(out, o + r * step + j, zero, count - j)


@routine
def copy_rows(out, o, step, rows, count, x, i, x_step):
    """Copy rows, which are ``step`` and ``x_step`` apart."""
    if step == count and x_step == count:
        rows, count = min(rows, 1), rows * count
    for r in range(rows):
        put, get = o + r * step, i + r * x_step
        j = 0
        while j + 4 * LANES <= count:
            a, b = vload(x, get + j), vload(x, get + j + LANES)
            c, d = vload(x, get + j + 2 * LANES), vload(x, get + j + 3 * LANES)
            vstore(out, put + j, a)
            vstore(out, put + j + LANES, b)
            vstore(out, put + j + 2 * LANES, c)
            vstore(out, put + j + 3 * LANES, d)
            j += 4 * LANES
        while j < count:
            put_vector(out, put + j, take_vector(x, get + j, count - j), count - j)
            j += LANES


@routine
def add_rows(out, o, step, rows, count, x, i, x_step):
    """Add rows to what is there."""
    for r in range(rows):
        for j in range(0, count, LANES):
            at, left = o + r * step + j, count - j
            v = take_vector(out, at, left) + take_vector(x, i + r * x_step + j, left)
            put_vector(out, at, v, left)


@routine
def place_rows(out, o, step, rows, count, x, i, x_step, add):
    """Copy rows, or add them to what is there."""
    if add:
        add_rows(out, o, step, rows, count, x, i, x_step)
    else:
        copy_rows(out, o, step, rows, count, x, i, x_step)


@routine
def turn_rows(out, o, step, x, i, x_step, rows, columns, put):
    """``out[k, r] = x[r, k]`` for ``columns`` ``k`` and ``put`` ``r``: zeros behind the rows."""
    for r in range(0, put, LANES):
        for k in range(0, columns, LANES):
            turn_square(
                out, o + k * step + r, step, x, i + r * x_step + k, x_step,
                min(LANES, rows - r), min(LANES, columns - k), min(LANES, put - r), 0,
            )  # fmt: skip


@routine
def add_columns(out, o, x, i, x_step, rows, count):
    """Add the sum of rows to a row."""
    for j in range(0, count, LANES):
        total = vall(real(0))
        for r in range(rows):
            total = total + take_vector(x, i + r * x_step + j, count - j)
        put_vector(out, o + j, total + take_vector(out, o + j, count - j), count - j)
