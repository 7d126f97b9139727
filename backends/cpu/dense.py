"""Dense layers on the CPU: gradients row by row, where the generic kernels go down columns."""

from __future__ import annotations

from netdsl.backends.cpu.blocks import add_rows
from netdsl.backends.override import fast, prange
from netdsl.ops.dense import Dense


@fast(Dense, "dx")
def dense_dx_rows(out, dy, weight, add):
    for n in prange(out.shape[0]):
        if not add:
            out[n, :] = 0
        add_rows(out[n], dy[n], weight, 0, 1, weight.shape[0])


@fast(Dense, "dweight")
def dense_dweight_rows(out, dy, x, add):
    # A column of dy is a row's factors: it is stepped through with the stride of the rows.
    flat = dy.reshape(dy.size)
    for j in prange(out.shape[0]):
        if not add:
            out[j, :] = 0
        add_rows(out[j], flat, x, j, dy.shape[1], x.shape[0])
