"""Batch normalisation on the CPU: sums of pieces, what follows from them, never a whole tensor.

The normalised tensor is not written: kernels that read it are given its coefficients (`lazy`). Sums
are taken over a row of vectors, at most `GROUP` rows in sequence, then over a task, then over the
tasks, there with what rounding lost: so they are exact whatever the size.
"""

from __future__ import annotations

from netdsl.backends.cpu.lazy import passed, put_or_add, put_vector, take_vector
from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.rows import WIDE, fill, fold, joined, pitch_of, spread, spread_line
from netdsl.backends.cpu.simd import vall, vfma, vload, vload_part, vsqrt, vstore
from netdsl.backends.override import task
from netdsl.kernel import device, real, routine

SUMMED = 1 << 14
"""About so many numbers are summed by a task."""
BLOCK = 256
"""A task sums so many channels at most."""
GROUP = 128
"""So many rows are added up in sequence."""


def norm_rows(count, c):
    """How many rows of sums a tensor of ``count`` positions has."""
    size = SUMMED // min(c, BLOCK)
    return (count + size - 1) // size


def sum_tasks(count, c):
    """A task for every row of sums and block of channels."""
    size = SUMMED // min(c, BLOCK)
    return (count + size - 1) // size * ((c + BLOCK - 1) // BLOCK)


def sum_memory(c):
    """The rows of a table: sums, and what is said of the channels."""
    return 5 * ((max(min(c, BLOCK), WIDE) + LANES - 1) // LANES * LANES)


def channel_tasks(c):
    """A task for every vector of channels."""
    return (c + LANES - 1) // LANES


@device
def summed_of(c):
    """So many positions are summed by a task."""
    return SUMMED // min(c, BLOCK)


@routine
def add_values(table, x, i, step, wide, rows):
    """Add rows to the first row of a table."""
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            vstore(table, k, vload(table, k) + vload(x, i + k))
        if left:
            vstore(table, full, vload(table, full) + vload_part(x, i + full, left))
        i += step


@routine
def add_squares(table, pitch, x, i, step, wide, rows):
    """Add the squares of what rows differ from the second row of a table to the first."""
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            v = vload(x, i + k) - vload(table, pitch + k)
            vstore(table, k, vfma(v, v, vload(table, k)))
        if left:
            v = vload_part(x, i + full, left) - vload(table, pitch + full)
            vstore(table, full, vfma(v, v, vload(table, full)))
        i += step


@routine
def sum_values(sums, at, table, x, i, step, channels, count, join):
    """The sum of every channel over ``count`` positions."""
    wide, rows = join * channels, count // join
    for group in range(0, rows, GROUP):
        fill(table, 0, wide, 0.0)
        add_values(table, x, i + group * join * step, join * step, wide, min(GROUP, rows - group))
        fold(sums, at, table, 0, wide, channels)
    done = rows * join
    if done < count:
        fill(table, 0, wide, 0.0)
        add_values(table, x, i + done * step, step, (count - done) * channels, 1)
        fold(sums, at, table, 0, (count - done) * channels, channels)


@routine
def sum_squares(sums, at, table, pitch, x, i, step, channels, count, join):
    """The sum of the squares of what every channel differs from the second row of a table."""
    wide, rows = join * channels, count // join
    for group in range(0, rows, GROUP):
        begin, some = i + group * join * step, min(GROUP, rows - group)
        fill(table, 0, wide, 0.0)
        add_squares(table, pitch, x, begin, join * step, wide, some)
        fold(sums, at, table, 0, wide, channels)
    done = rows * join
    if done < count:
        fill(table, 0, wide, 0.0)
        add_squares(table, pitch, x, i + done * step, step, (count - done) * channels, 1)
        fold(sums, at, table, 0, (count - done) * channels, channels)


@task(tasks=sum_tasks, memory=sum_memory, writes=("sums",))
def norm_sums(first, last, scratch, sums, x, count: int, c: int, x_step: int):
    """Sums and squared deviations of ``count`` positions: `norm_rows` rows of ``2 * c + 1``."""
    blocks, size = (c + BLOCK - 1) // BLOCK, summed_of(c)
    pitch = pitch_of(min(c, BLOCK))
    for t in range(first, last):
        row, k = t // blocks, t % blocks * BLOCK
        p, channels = row * size, min(BLOCK, c - k)
        some, at = min(size, count - p), row * (2 * c + 1)
        join = joined(channels, x_step == channels)
        for j in range(channels):
            sums[at + k + j] = real(0)
            sums[at + c + k + j] = real(0)
        sum_values(sums, at + k, scratch, x, p * x_step + k, x_step, channels, some, join)
        spread(scratch, pitch, join * channels, sums, at + k, channels)
        for j in range(pitch, pitch + join * channels):
            scratch[j] /= real(some)
        at += c
        sum_squares(sums, at + k, scratch, pitch, x, p * x_step + k, x_step, channels, some, join)
        if k == 0:
            sums[at + c] = real(some)


@device
def total_of(sums, at, step, rows, left):
    """The sum of rows at one vector of channels, with what rounding loses carried along."""
    total, lost = vall(real(0)), vall(real(0))
    for row in range(rows):
        value = take_vector(sums, at + row * step, left) - lost
        after = total + value
        lost = (after - total) - value
        total = after
    return total


@device
def squares_of(sums, k, c, rows, mean, left):
    """The sum of squared deviations from the mean of all, from those from the means of rows."""
    total, lost = vall(real(0)), vall(real(0))
    for row in range(rows):
        at = row * (2 * c + 1)
        count = vall(sums[at + 2 * c])
        off = take_vector(sums, at + k, left) / count - mean
        value = vfma(off * off, count, take_vector(sums, at + c + k, left)) - lost
        after = total + value
        lost = (after - total) - value
        total = after
    return total


@device
def put_line(coef, k, c, mean, var, weight, bias, eps, left):
    """The factor and the summand of a normalisation, for one vector of channels."""
    scale = vall(real(1)) / vsqrt(var + vall(real(eps)))
    if weight.size:
        scale = take_vector(weight, k, left) * scale
    shift = vall(real(0)) - mean * scale
    if bias.size:
        shift = shift + take_vector(bias, k, left)
    put_vector(coef, k, scale, left)
    put_vector(coef, c + k, shift, left)


@device
def put_running(running, k, new, momentum, left):
    """Let the values of a batch count in those of all batches."""
    old = take_vector(running, k, left)
    put_vector(running, k, vfma(vall(real(momentum)), new - old, old), left)


# fmt: off
@task(
    tasks=channel_tasks,
    writes=("coef", "mean", "var", "running_mean", "running_var"),
)
def norm_statistics(
    first, last, scratch, coef, mean, var, running_mean, running_var, sums, weight, bias,
    rows: int, c: int, eps: float, momentum: float,
):
    """Mean and variance from ``rows`` rows of sums, and rows 0 and 1 of ``coef``.

    Rows 2 to 4 let a gradient through as it is, until `norm_backward` makes them: it may want to be
    written with nothing but an activation between. ``weight`` and ``bias``, ``running_mean`` and
    ``running_var`` may be absent.
    """
    count = 0
    for row in range(rows):
        count += int(sums[row * (2 * c + 1) + 2 * c])
    for t in range(first, last):
        k = t * LANES
        left, whole = c - k, vall(real(count))
        average = total_of(sums, k, 2 * c + 1, rows, left) / whole
        squares = squares_of(sums, k, c, rows, average, left)
        put_vector(mean, k, average, left)
        put_vector(var, k, squares / whole, left)
        put_line(coef, k, c, average, squares / whole, weight, bias, eps, left)
        put_vector(coef, 2 * c + k, vall(real(1)), left)
        put_vector(coef, 3 * c + k, vall(real(0)), left)
        put_vector(coef, 4 * c + k, vall(real(0)), left)
        if running_mean.size and count > 1:
            put_running(running_mean, k, average, momentum, left)
            put_running(running_var, k, squares / vall(real(count - 1)), momentum, left)
# fmt: on


@task(tasks=channel_tasks, writes=("coef",))
def norm_running(
    first, last, scratch, coef, running_mean, running_var, weight, bias, c: int, eps: float
):
    """Rows 0 and 1 of ``coef`` from the running statistics, for evaluation."""
    for t in range(first, last):
        k = t * LANES
        average = take_vector(running_mean, k, c - k)
        put_line(coef, k, c, average, take_vector(running_var, k, c - k), weight, bias, eps, c - k)


@device
def count_gradient(g, v, table, pitch, k, low, high):
    """Add what passes of a vector to a table's first row, times what x is off to the second."""
    g = passed(g, vfma(vload(table, 3 * pitch + k), v, vload(table, 4 * pitch + k)), low, high)
    vstore(table, k, vload(table, k) + g)
    off = v - vload(table, 2 * pitch + k)
    vstore(table, pitch + k, vfma(g, off, vload(table, pitch + k)))


@routine
def add_gradients(table, pitch, dy, i, y_step, x, j, x_step, wide, rows, lo, hi):
    """Add rows up as the gradient of a normalisation wants."""
    low, high = vall(real(lo)), vall(real(hi))
    full, left = wide // LANES * LANES, wide % LANES
    for _ in range(rows):
        for k in range(0, full, LANES):
            count_gradient(vload(dy, i + k), vload(x, j + k), table, pitch, k, low, high)
        if left:
            g, v = vload_part(dy, i + full, left), vload_part(x, j + full, left)
            count_gradient(g, v, table, pitch, full, low, high)
        i, j = i + y_step, j + x_step


@device
def clear_gradients(sums, at, c, channels):
    """The sums of a task begin with nothing."""
    for j in range(channels):
        sums[at + j] = real(0)
        sums[at + c + j] = real(0)


@device
def fold_gradients(sums, at, c, table, pitch, wide, channels):
    """Add both rows of sums up."""
    fold(sums, at, table, 0, wide, channels)
    fold(sums, at + c, table, pitch, wide, channels)
    fill(table, 0, wide, 0.0)
    fill(table, pitch, wide, 0.0)


# fmt: off
@task(tasks=sum_tasks, memory=sum_memory, writes=("sums",))
def norm_backward_sums(
    first, last, scratch, sums, dy, x, coef, mean,
    count: int, c: int, y_step: int, x_step: int, lo: float, hi: float,
):
    """The sums of ``g`` and of ``g * (x - mean)``: `norm_rows` rows of ``2 * c``.

    ``g`` is ``dy`` where ``lo < coef[0] * x + coef[1] < hi``, else 0.
    """
    blocks, size = (c + BLOCK - 1) // BLOCK, summed_of(c)
    pitch = pitch_of(min(c, BLOCK))
    for t in range(first, last):
        k, p, at = t % blocks * BLOCK, t // blocks * size, t // blocks * 2 * c
        channels, some = min(BLOCK, c - k), min(size, count - p)
        join = joined(channels, x_step == channels and y_step == channels)
        wide, rows = join * channels, some // join
        spread(scratch, 2 * pitch, wide, mean, k, channels)
        spread_line(scratch, 3 * pitch, pitch, wide, coef, k, channels, c)
        clear_gradients(sums, at + k, c, channels)
        fill(scratch, 0, wide, 0.0)
        fill(scratch, pitch, wide, 0.0)
        for group in range(0, rows, GROUP):
            i, j = (p + group * join) * y_step + k, (p + group * join) * x_step + k
            add_gradients(
                scratch, pitch, dy, i, join * y_step, x, j, join * x_step,
                wide, min(GROUP, rows - group), lo, hi,
            )
            fold_gradients(sums, at + k, c, scratch, pitch, wide, channels)
        done = rows * join
        if done < some:
            i, j, rest = (p + done) * y_step + k, (p + done) * x_step + k, (some - done) * channels
            add_gradients(scratch, pitch, dy, i, 0, x, j, 0, rest, 1, lo, hi)
            fold_gradients(sums, at + k, c, scratch, pitch, rest, channels)
# fmt: on


# fmt: off
@task(tasks=channel_tasks, writes=("coef", "dweight", "dbias"))
def norm_backward(
    first, last, scratch, coef, dweight, dbias, sums, mean, var, weight,
    rows: int, count: int, c: int, eps: float, add: int,
):
    """The gradients by weight and bias, and rows 2 to 4 of ``coef``, which give that by x.

    ``dx = coef[2] * g + coef[3] * x + coef[4]``. The weight and either gradient may be absent.
    """
    for t in range(first, last):
        k = t * LANES
        left = c - k
        inverse = vall(real(1)) / vsqrt(take_vector(var, k, left) + vall(real(eps)))
        total = total_of(sums, k, 2 * c, rows, left)
        scaled = total_of(sums, c + k, 2 * c, rows, left) * inverse
        put_sum(dweight, k, scaled, add, left)
        put_sum(dbias, k, total, add, left)
        factor = inverse
        if weight.size:
            factor = take_vector(weight, k, left) * inverse
        whole = vall(real(count))
        slope = vall(real(0)) - factor * inverse * scaled / whole
        level = vall(real(0)) - factor * total / whole
        put_vector(coef, 2 * c + k, factor, left)
        put_vector(coef, 3 * c + k, slope, left)
        put_vector(coef, 4 * c + k, level - slope * take_vector(mean, k, left), left)
# fmt: on


@device
def put_sum(out, k, value, add, left):
    """Write a vector of a gradient, or add it; nothing where the gradient is not wanted."""
    if out.size:
        put_or_add(out, k, value, add, left)
