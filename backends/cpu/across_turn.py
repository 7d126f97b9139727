"""Vectors against their lanes: squares that are turned, and the sums of the lanes of many vectors.

Both go by halves: vectors that lie half of a square apart exchange halves, then the halves of
halves, so that a square of ``LANES`` vectors takes ``log2(LANES)`` rounds.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from netdsl.backends.cpu.machine import LANES
from netdsl.backends.cpu.simd import (
    INT,
    LONG,
    VECTOR,
    Vector,
    load_part,
    mask,
    pointer,
    store_part,
    within,
)


def halves(builder, x, y, half):
    """Of every run of ``2 * half`` lanes the first halves of two vectors, and the second ones."""
    both = []
    for begin in (0, half):
        runs = range(begin, LANES, 2 * half)
        lanes = [at + from_ + i for at in runs for from_ in (0, LANES) for i in range(half)]
        both.append(builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT, LANES), lanes)))
    return both


def lanes_turned(builder, vectors):
    """The lanes of ``LANES`` vectors as vectors."""
    half = LANES // 2
    while half:
        for r in range(LANES):
            if not r & half:
                pair = halves(builder, vectors[r], vectors[r + half], half)
                vectors[r], vectors[r + half] = pair
        half //= 2
    return vectors


def lanes_added(builder, vectors):
    """One vector: in each lane the sum of the lanes of one of ``LANES`` vectors."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        pairs = [halves(builder, vectors[j], vectors[j + half], half) for j in range(half)]
        vectors = [builder.fadd(low, high) for low, high in pairs]
    return vectors[0]


def lines_of(builder, place, step, count, flags):
    """The first ``count`` of ``LANES`` vectors, ``step`` apart, in the lanes of a mask; zeros."""
    none = ir.Constant(flags.type, [0] * LANES)
    for r in range(LANES):
        number = ir.Constant(LONG, r)
        there = builder.icmp_signed("<", number, count)
        yield builder.gep(place, [builder.mul(number, step)]), builder.select(there, flags, none)


@intrinsic
def turn_square(typing, out, o, step, x, i, x_step, rows, columns, put, add):
    """``out[o + k * step + r] = x[i + r * x_step + k]`` for ``columns`` ``k`` and ``put`` ``r``.

    There are ``rows`` of ``x``; those behind them count as zeros. With ``add`` it is added.
    """

    def code(context, builder, sig, args):
        to, o, step, x, i, x_step, rows, columns, put, add = args
        one = ir.Constant(LONG, 1)
        for kind, array, at, lines, by, count in (
            (sig.args[0], to, o, columns, step, put),
            (sig.args[3], x, i, rows, x_step, columns),
        ):
            far = builder.add(at, builder.mul(builder.sub(lines, one), by))
            end = builder.add(far, builder.sub(count, one))
            within(context, builder, kind, array, at, end)
        place = pointer(context, builder, sig.args[3], x, i)
        vectors = [
            load_part(builder, where, flags)
            for where, flags in lines_of(builder, place, x_step, rows, mask(builder, columns))
        ]
        vectors = lanes_turned(builder, vectors)
        place = pointer(context, builder, sig.args[0], to, o)
        lines = list(lines_of(builder, place, step, columns, mask(builder, put)))
        sums = [builder.alloca(VECTOR) for _ in lines]
        for value, total in zip(vectors, sums, strict=True):
            builder.store(value, total)
        with builder.if_then(builder.icmp_signed("!=", add, ir.Constant(LONG, 0))):
            for total, line in zip(sums, lines, strict=True):
                builder.store(builder.fadd(builder.load(total), load_part(builder, *line)), total)
        for total, line in zip(sums, lines, strict=True):
            store_part(builder, builder.load(total), *line)
        return context.get_dummy_value()

    i = types.intp
    return types.void(out, i, i, x, i, i, i, i, i, i), code


@intrinsic
def lane_sums(typing, x, i, rows, lanes):
    """A vector: in lane ``r`` the sum of the first ``lanes`` of ``x[i + r * LANES]`` and on.

    There are ``rows`` vectors; the sums of those behind them are zero.
    """

    def code(context, builder, sig, args):
        x, i, rows, lanes = args
        far = builder.add(i, builder.mul(rows, ir.Constant(LONG, LANES)))
        last = builder.sub(far, ir.Constant(LONG, 1))
        within(context, builder, sig.args[0], x, i, last)
        place, step = pointer(context, builder, sig.args[0], x, i), ir.Constant(LONG, LANES)
        lines = lines_of(builder, place, step, rows, mask(builder, lanes))
        return lanes_added(builder, [load_part(builder, *line) for line in lines])

    return Vector(x, types.intp, types.intp, types.intp), code
