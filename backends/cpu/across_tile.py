"""The tile across images: few channels times few positions in registers, images in the lanes.

``c[m, r, t] = sum over h, i, j, k of a[r, h, i, j, k] * b[m, t, h, i, j, k]`` for ``rows`` ``r``
and ``wide`` columns ``t``, over and over for ``m``. Every ``b`` is a vector, and so is every ``c``;
``a`` is a number that is spread (`across_spread`: weights) or a vector as well (`across_inner`: a
gradient). With ``start`` the sums begin with ``d[r]``, or in `across_inner` with ``c``. The strides
say which axis is what.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from netdsl.backends.cpu.machine import LANES, REGISTERS
from netdsl.backends.cpu.simd import (
    LONG,
    SCALAR,
    VECTOR,
    fused,
    pointer,
    read,
    splat,
    within,
    write,
)
from netdsl.backends.cpu.tile import Loops

ACROSS_PLACES = (("c", "c_at"), ("d", "d_at"), ("a", "a_at"), ("b", "b_at"))
"""The arrays of the tile, and where they begin."""
ACROSS_NUMBERS = (
    "rows", "wide", "start", "cr", "ct", "ar", "bt", "m", "cm", "bm",
    "n0", "a0", "b0", "n1", "a1", "b1", "n2", "a2", "b2", "n", "ak", "bk",
)  # fmt: skip
ACROSS_LOOPS = (("n0", "a0", "b0"), ("n1", "a1", "b1"), ("n2", "a2", "b2"), ("n", "ak", "bk"))
"""The four sums, outermost first: how many, and how far ``a`` and ``b`` go."""


class AcrossTile(Loops):
    """Writes the tile of one size: its accumulators, and the loops around them."""

    def __init__(self, builder, rows, wide, spread, p, sums):
        self.b, self.p, self.spread = builder, p, spread
        self.sums = [sums[r * wide : (r + 1) * wide] for r in range(rows)]

    def write(self):
        """The code of the tile."""

        def one(m):
            c, b = self.moved(self.p["c"], m, "cm"), self.moved(self.p["b"], m, "bm")
            self.begin(c)
            self.nest(self.p["a"], b, 0)
            self.each(c, lambda total, where: write(self.b, self.b.load(total), where))

        self.loop("m", one)

    def nest(self, a, b, depth):
        """The loops from one on."""
        if depth == len(ACROSS_LOOPS):
            self.step(a, b)
            return
        count, by_a, by_b = ACROSS_LOOPS[depth]
        self.loop(
            count, lambda i: self.nest(self.moved(a, i, by_a), self.moved(b, i, by_b), depth + 1)
        )

    def step(self, a, b):
        """What is done for every product."""
        vectors = [
            read(self.b, self.moved(b, ir.Constant(LONG, t), "bt"))
            for t in range(len(self.sums[0]))
        ]
        for r, sums in enumerate(self.sums):
            where = self.moved(a, ir.Constant(LONG, r), "ar")
            x = splat(self.b, self.b.load(where)) if self.spread else read(self.b, where)
            for vector, total in zip(vectors, sums, strict=True):
                self.b.store(fused(self.b, x, vector, self.b.load(total)), total)

    def begin(self, c):
        """The sums start as zero; with ``start`` as numbers of ``d``, or as what is there."""
        b = self.b
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        for sums in self.sums:
            for total in sums:
                b.store(zero, total)
        with b.if_then(b.icmp_signed("!=", self.p["start"], ir.Constant(LONG, 0))):
            if self.spread:
                for r, sums in enumerate(self.sums):
                    number = splat(b, b.load(b.gep(self.p["d"], [ir.Constant(LONG, r)])))
                    for total in sums:
                        b.store(number, total)
            else:
                self.each(c, lambda total, where: b.store(read(b, where), total))

    def each(self, c, act):
        """Act on every sum and its place."""
        for r, sums in enumerate(self.sums):
            line = self.moved(c, ir.Constant(LONG, r), "cr")
            for t, total in enumerate(sums):
                act(total, self.moved(line, ir.Constant(LONG, t), "ct"))


def across_sizes(spread):
    """The sizes of tiles that registers hold, beside a row of ``b`` and one ``a``."""
    most_rows, most_wide = (6, 4) if spread else (5, 5)
    for wide in range(1, most_wide + 1):
        for rows in range(1, most_rows + 1):
            if rows * wide + wide + 1 <= REGISTERS:
                yield rows, wide


def across_function(module, spread):
    """The function of a module for tiles of all sizes."""
    name = f"netdsl_across_{'spread' if spread else 'inner'}"
    if name in module.globals:
        return module.globals[name]
    kinds = [SCALAR.as_pointer()] * len(ACROSS_PLACES) + [LONG] * len(ACROSS_NUMBERS)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    for place in function.args[: len(ACROSS_PLACES)]:
        place.add_attribute("noalias")
    p = dict(
        zip((*(array for array, _ in ACROSS_PLACES), *ACROSS_NUMBERS), function.args, strict=True)
    )
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    # Registers, once LLVM has seen them.
    sums = [builder.alloca(VECTOR) for _ in range(REGISTERS)]
    done = function.append_basic_block("out")
    size = builder.add(builder.mul(p["rows"], ir.Constant(LONG, 8)), p["wide"])
    choice = builder.switch(size, done)
    for rows, wide in across_sizes(spread):
        block = function.append_basic_block(f"rows{rows}_wide{wide}")
        choice.add_case(ir.Constant(LONG, rows * 8 + wide), block)
        builder.position_at_end(block)
        AcrossTile(builder, rows, wide, spread, p, sums).write()
        builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return function


def make_across(spread):
    """A tile whose ``a`` are numbers that are spread, or vectors."""

    @intrinsic
    def tile(
        typing, c, c_at, d, d_at, a, a_at, b, b_at, rows, wide, start, cr, ct, ar, bt, m, cm, bm,
        n0, a0, b0, n1, a1, b1, n2, a2, b2, n, ak, bk,
    ):  # fmt: skip
        names = (*(name for pair in ACROSS_PLACES for name in pair), *ACROSS_NUMBERS)

        def code(context, builder, sig, args):
            by, kinds = dict(zip(names, args, strict=True)), dict(zip(names, sig.args, strict=True))
            check_across(context, builder, kinds, by, spread)
            places = [
                pointer(context, builder, kinds[name], by[name], by[at])
                for name, at in ACROSS_PLACES
            ]
            function = across_function(builder.module, spread)
            builder.call(function, [*places, *(by[name] for name in ACROSS_NUMBERS)])
            return context.get_dummy_value()

        i = types.intp
        return types.void(c, i, d, i, a, i, b, i, *[i] * len(ACROSS_NUMBERS)), code

    return tile


def check_across(context, builder, kinds, by, spread):
    """Where indices are checked: the first and the last of ``a``, ``b`` and ``c`` in use."""
    zero, one = ir.Constant(LONG, 0), ir.Constant(LONG, 1)

    def check(name, size, *steps):
        low, high = by[f"{name}_at"], builder.add(by[f"{name}_at"], ir.Constant(LONG, size - 1))
        for count, stride in steps:
            far = builder.mul(builder.sub(by[count], one), by[stride])
            back = builder.icmp_signed("<", far, zero)
            low = builder.add(low, builder.select(back, far, zero))
            high = builder.add(high, builder.select(back, zero, far))
        within(context, builder, kinds[name], by[name], low, high)

    def all_of(counts):
        every = ir.Constant(ir.IntType(1), 1)
        for count in counts:
            every = builder.and_(every, builder.icmp_signed(">", by[count], zero))
        return every

    with builder.if_then(all_of(["m"])):
        check("c", LANES, ("m", "cm"), ("rows", "cr"), ("wide", "ct"))
    with builder.if_then(all_of(["m", *(count for count, _, _ in ACROSS_LOOPS)])):
        check("a", 1 if spread else LANES, ("rows", "ar"), *((n, a) for n, a, _ in ACROSS_LOOPS))
        check("b", LANES, ("wide", "bt"), ("m", "bm"), *((n, b) for n, _, b in ACROSS_LOOPS))


across_spread, across_inner = make_across(True), make_across(False)
