"""The tile: a small matrix product in registers, of which all the large ones are made.

``c[i, j] += sum over s, t, k of a[i, s, t, k] * b[s, t, k, j]`` for few rows ``i`` and columns
``j``. ``a`` is read a number at a time and spread, ``b`` and ``c`` in vectors. The strides say what
it is: a dense layer, a window that goes over a picture, a gradient by weights.
"""

from functools import cache

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from netdsl.backends.cpu.compiled import machine_code
from netdsl.backends.cpu.machine import LANES, REGISTERS
from netdsl.backends.cpu.simd import (
    BITS,
    INT,
    LONG,
    NUMBER,
    SCALAR,
    VECTOR,
    fused,
    load_part,
    mask,
    pointer,
    read,
    splat,
    store_part,
    within,
    write,
)

ROWS = tuple(min((REGISTERS - v - 1) // v, 16) for v in (1, 2, 3, 4))
"""The most rows of a tile that is one, two, three or four vectors wide."""
ARGUMENTS = (
    "c0", "ci", "start", "cols", "rows", "ai", "ak", "bk", "n1", "a1", "b1", "n2", "a2", "b2", "n",
    "lo", "hi", "f", "fk", "cf",
)  # fmt: skip
READ, ROW, BOUNDED = 1, 2, 4
"""How a tile starts: with what ``c`` holds, with the row ``d``; and how it ends: between bounds."""


class Loops:
    """What writers of tiles share: ``b`` writes code, ``p`` are the function's numbers by name."""

    def moved(self, where, times, stride):
        """So many strides on."""
        return self.b.gep(where, [self.b.mul(times, self.p[stride])])

    def loop(self, count, body):
        """A loop over ``range(count)``."""
        b = self.b
        before = b.block
        head, turn, done = (b.append_basic_block(name) for name in ("head", "turn", "done"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(LONG)
        i.add_incoming(ir.Constant(LONG, 0), before)
        b.cbranch(b.icmp_signed("<", i, self.p[count]), turn, done)
        b.position_at_end(turn)
        body(i)
        i.add_incoming(b.add(i, ir.Constant(LONG, 1)), b.block)
        b.branch(head)
        b.position_at_end(done)


class Tile(Loops):
    """Writes one tile: ``rows`` times ``wide`` accumulators, and three loops around them."""

    def __init__(self, builder, wide, packed, rows, p):
        self.b, self.wide, self.packed, self.rows, self.p = builder, wide, packed, rows, p
        self.sums = [
            [builder.alloca(VECTOR) for _ in range(wide)] for _ in range(rows)
        ]  # registers, once LLVM has seen them

    def write(self):
        """The code of the tile."""
        self.begin()
        self.loop("n1", lambda i: self.loop("n2", lambda j: self.loop("n", self.step(i, j))))
        self.end()

    def step(self, i, j):
        """What is done for every ``k``."""
        b, p = self.b, self.p
        a = self.moved(self.moved(p["a"], i, "a1"), j, "a2")
        w = self.moved(self.moved(p["b"], i, "b1"), j, "b2")
        turn = b.mul(b.add(b.mul(i, p["n2"]), j), p["n"])
        far = self.moved(b.inttoptr(p["f"], SCALAR.as_pointer()), turn, "fk")
        lines = [self.moved(a, ir.Constant(LONG, row), "ai") for row in range(self.rows)]

        def one(k):
            at = self.moved(w, k, "bk")
            if self.packed:
                prefetch(b, self.moved(far, k, "fk"))
            vectors = [self.column(at, v) for v in range(self.wide)]
            for line, sums in zip(lines, self.sums, strict=True):
                x = splat(b, b.load(self.moved(line, k, "ak")))
                for vector, total in zip(vectors, sums, strict=True):
                    b.store(fused(b, x, vector, b.load(total)), total)

        return one

    def column(self, at, v):
        """A vector of ``b``; of the last one only what is there, unless there is room behind it."""
        where = self.b.gep(at, [ir.Constant(LONG, v * LANES)])
        if self.packed or v < self.wide - 1:
            return read(self.b, where)
        return load_part(self.b, where, self.p["mask"])

    def begin(self):
        """The sums start as zero, as what ``c`` holds, as the numbers at ``d``, or as both."""
        b, p = self.b, self.p
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        for sums in self.sums:
            for total in sums:
                b.store(zero, total)
        if self.packed:
            with b.if_then(b.icmp_signed("!=", p["cf"], ir.Constant(LONG, 0))):
                soon = b.gep(p["c"], [p["cf"]])
                self.each(lambda total, where, last: prefetch(b, where), soon)
        with b.if_then(self.asked(READ)):
            self.each(lambda total, where, last: b.store(self.old(where, last), total), p["c"])
        with b.if_then(self.asked(ROW)):
            for v in range(self.wide):
                where = b.gep(p["d"], [ir.Constant(LONG, v * LANES)])
                value = self.old(where, v == self.wide - 1)
                for sums in self.sums:
                    b.store(b.fadd(value, b.load(sums[v])), sums[v])

    def asked(self, flag):
        """Whether ``start`` has a flag."""
        flags = self.b.and_(self.p["start"], ir.Constant(LONG, flag))
        return self.b.icmp_signed("!=", flags, ir.Constant(LONG, 0))

    def old(self, where, last):
        """What memory holds; of the last vector only what is there."""
        return load_part(self.b, where, self.p["mask"]) if last else read(self.b, where)

    def end(self):
        """Write the sums to ``c``, if asked for between bounds."""
        b = self.b
        if self.packed:
            with b.if_then(self.asked(BOUNDED)):
                low, high = (splat(b, number_of(b, self.p[name])) for name in ("lo", "hi"))
                for sums in self.sums:
                    for total in sums:
                        value = b.load(total)
                        value = b.select(b.fcmp_ordered(">", low, value), low, value)
                        b.store(b.select(b.fcmp_ordered("<", high, value), high, value), total)

        def put(total, where, last):
            value = self.b.load(total)
            if last:
                store_part(self.b, value, where, self.p["mask"])
            else:
                write(self.b, value, where)

        self.each(put, self.p["c"])

    def each(self, act, start):
        """Do something with every sum and its place in ``c``."""
        for row, sums in enumerate(self.sums):
            line = self.moved(start, ir.Constant(LONG, row), "ci")
            for v, total in enumerate(sums):
                where = self.b.gep(line, [ir.Constant(LONG, v * LANES)])
                act(total, where, v == self.wide - 1)


def number_of(builder, cell):
    """A number from the bits that a cell holds."""
    return builder.bitcast(builder.trunc(cell, ir.IntType(BITS)), SCALAR)


def cell_of(builder, number):
    """The bits of a number, in a cell."""
    return builder.zext(builder.bitcast(number, ir.IntType(BITS)), LONG)


def prefetch(builder, where):
    """Bring a line into the second cache before it is wanted."""
    kind = ir.FunctionType(ir.VoidType(), [SCALAR.as_pointer(), INT, INT, INT])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [where, *(ir.Constant(INT, n) for n in (0, 2, 1))])


def tile_function(module, wide, packed):
    """The function of a module for tiles of a width, with a case for every number of rows."""
    name = f"netdsl_tile_{wide}{'_packed' if packed else ''}"
    if name in module.globals:
        return module.globals[name]
    place = SCALAR.as_pointer()
    function = ir.Function(
        module, ir.FunctionType(ir.VoidType(), [place] * 4 + [LONG] * (len(ARGUMENTS) - 1)), name
    )
    function.linkage = "internal"
    function.attributes.add("noinline")
    names = ("c", "d", "a", "b", *ARGUMENTS[1:])
    p = dict(zip(names, function.args, strict=True))
    for place in function.args[:4]:
        place.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    p["mask"] = mask(builder, builder.sub(p["cols"], ir.Constant(LONG, (wide - 1) * LANES)))
    done = function.append_basic_block("out")
    choice = builder.switch(p["rows"], done)
    for rows in range(1, ROWS[wide - 1] + 1):
        block = function.append_basic_block(f"rows{rows}")
        choice.add_case(ir.Constant(LONG, rows), block)
        builder.position_at_end(block)
        Tile(builder, wide, packed, rows, p).write()
        builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return function


SYMBOL = f"netdsl_tile{len(ARGUMENTS)}_f{BITS}x{LANES}"
"""What all tiles are called in compiled code: one function, made once for all kernels."""


@intrinsic
def any_tile(typing, which, *numbers):
    """The tile ``2 * wide + packed``, its operands as addresses and numbers."""

    def code(context, builder, sig, args):
        values = [builder.extract_value(args[1], i) for i in range(3 + len(ARGUMENTS))]
        places = [builder.inttoptr(value, SCALAR.as_pointer()) for value in values[:4]]
        done = builder.append_basic_block("done")
        choice = builder.switch(args[0], done)
        for wide in (1, 2, 3, 4):
            for packed in (0, 1):
                block = builder.append_basic_block(f"wide{wide}")
                choice.add_case(ir.Constant(LONG, 2 * wide + packed), block)
                builder.position_at_end(block)
                builder.call(tile_function(builder.module, wide, packed), [*places, *values[4:]])
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, 3 + len(ARGUMENTS))), code


def tiles(
    which,
    c,
    d,
    a,
    b,
    ci,
    start,
    cols,
    rows,
    ai,
    ak,
    bk,
    n1,
    a1,
    b1,
    n2,
    a2,
    b2,
    n,
    lo,
    hi,
    f,
    fk,
    cf,
):
    any_tile(
        which, c, d, a, b, ci, start, cols, rows, ai, ak, bk, n1, a1, b1, n2, a2, b2, n,
        lo, hi, f, fk, cf,
    )  # fmt: skip


@cache
def compile_tiles():
    """The address of the tiles: they are compiled, or read from the cache."""
    return machine_code(tiles, types.void(*[types.int64] * (4 + len(ARGUMENTS))))


def provide_tiles():
    """Let compiled code find the tiles."""
    if not binding.address_of_symbol(SYMBOL):
        binding.add_symbol(SYMBOL, compile_tiles())


def promise_tiles():
    """Let code that calls tiles be compiled, in a process that runs none of it."""
    if not binding.address_of_symbol(SYMBOL):
        binding.add_symbol(SYMBOL, 1)


def make_tile(wide, packed):
    """A tile ``wide`` vectors wide; ``packed`` if rows of ``b`` are whole vectors.

    ``rows`` and ``cols`` are how much of it is wanted. ``start`` says what the sums begin with: 0
    with nothing, ``READ`` with ``c``, ``ROW`` with the row ``d``, or both.
    """

    @intrinsic
    def tile(
        typing, c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
        n1, a1, b1, n2, a2, b2, n,
    ):  # fmt: skip
        def code(context, builder, sig, args):
            by = dict(zip(NAMES, args, strict=True))
            kinds = dict(zip(NAMES, sig.args, strict=True))
            zero = ir.Constant(LONG, 0)
            by |= {"lo": zero, "hi": zero, "fk": zero, "f": zero, "cf": zero}
            call_tile(context, builder, kinds, by, 2 * wide + packed)
            return context.get_dummy_value()

        i = types.intp
        kinds = (c, i, i, i, d, i, i, i, a, i, i, i, b, i, i, i, i, i, i, i, i, i)
        return types.void(*kinds), code

    return tile


def make_ended(wide):
    """A packed tile that has more to do.

    With ``BOUNDED`` in ``start`` it ends with what lies between ``lo`` and ``hi``. It also asks for
    memory that will be wanted soon: with every product ``fk`` numbers more, from ``f[f0]`` on, and
    what lies ``cf`` behind its own outcome, unless that is 0.
    """

    @intrinsic
    def tile(
        typing, c, c0, ci, start, d, d0, cols, rows, a, a0, ai, ak, b, b0, bk,
        n1, a1, b1, n2, a2, b2, n, lo, hi, f, f0, fk, cf,
    ):  # fmt: skip
        def code(context, builder, sig, args):
            by = dict(zip((*NAMES, "lo", "hi", "f", "f0", "fk", "cf"), args, strict=True))
            kinds = dict(zip((*NAMES, "lo", "hi", "f"), sig.args, strict=False))
            by |= {name: cell_of(builder, by[name]) for name in ("lo", "hi")}
            far = pointer(context, builder, kinds["f"], by["f"], by["f0"])
            by["f"] = builder.ptrtoint(far, LONG)
            call_tile(context, builder, kinds, by, 2 * wide + 1)
            return context.get_dummy_value()

        i = types.intp
        kinds = (c, i, i, i, d, i, i, i, a, i, i, i, b, i, i, i, i, i, i, i, i, i)
        return types.void(*kinds, NUMBER, NUMBER, f, i, i, i), code

    return tile


def call_tile(context, builder, kinds, by, which):
    """Call the function of all tiles."""
    inside(context, builder, kinds, by)
    places = [
        builder.ptrtoint(pointer(context, builder, kinds[name], by[name], by[f"{name}0"]), LONG)
        for name in "cdab"
    ]
    numbers = [by[name] for name in ARGUMENTS[1:]]
    kind = ir.FunctionType(ir.VoidType(), [LONG] * (4 + len(ARGUMENTS)))
    function = cgutils.get_or_insert_function(builder.module, kind, SYMBOL)
    builder.call(function, [ir.Constant(LONG, which), *places, *numbers])


NAMES = (
    "c", "c0", "ci", "start", "d", "d0", "cols", "rows", "a", "a0", "ai", "ak", "b", "b0", "bk",
    "n1", "a1", "b1", "n2", "a2", "b2", "n",
)  # fmt: skip


def inside(context, builder, kinds, by):
    """Where indices are checked: the last of ``c``, ``a`` and ``b`` that the tile touches."""

    def far(first, *steps):
        for count, stride in steps:
            less = builder.sub(by[count], ir.Constant(LONG, 1))
            first = builder.add(first, builder.mul(less, by[stride]))
        return first

    one = ir.Constant(LONG, 1)
    loops = [("n1", "1"), ("n2", "2"), ("n", "k")]
    a = far(by["a0"], ("rows", "ai"), *((count, f"a{by_}") for count, by_ in loops))
    b = far(by["b0"], *((count, f"b{by_}") for count, by_ in loops))
    wide = builder.sub(by["cols"], one)
    c = builder.add(far(by["c0"], ("rows", "ci")), wide)
    for name, last in (("c", c), ("a", a), ("b", builder.add(b, wide))):
        within(context, builder, kinds[name], by[name], by[f"{name}0"], last)


tile_1, tile_2, tile_3, tile_4 = (make_tile(wide, False) for wide in (1, 2, 3, 4))
packed_1, packed_2, packed_3, packed_4 = (make_tile(wide, True) for wide in (1, 2, 3, 4))
ended_1, ended_2 = (make_ended(wide) for wide in (1, 2))
