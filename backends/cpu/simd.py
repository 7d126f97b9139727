"""Vectors: a small typed vocabulary over LLVM's, of the width that the machine has.

A `Vector` holds ``LANES`` numbers. Kernels read and write vectors at an index of a flat array, add
and multiply them with ``+ - * /``, and take the fewer numbers at the end of a row with the ``part``
forms. Generated files carry this text with ``real`` and ``LANES`` of their own; imported, it is for
float32 and this machine, or for the width that ``NETDSL_LANES`` says.
"""

import operator

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from netdsl.backends.cpu.machine import CHECKED, LANES, real

BITS = 8 * np.dtype(real).itemsize
SCALAR = ir.FloatType() if BITS == 32 else ir.DoubleType()
VECTOR = ir.VectorType(SCALAR, LANES)
INT = ir.IntType(32)
LONG = ir.IntType(64)
NUMBER = types.float32 if BITS == 32 else types.float64


class VectorType(types.Type):
    """The type of a vector in compiled code."""

    def __init__(self):
        super().__init__(name=f"f{BITS}x{LANES}")


Vector = VectorType()


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A vector is a vector of LLVM."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


def arithmetic(sign, instruction):
    """Let a sign mean an instruction between vectors; products may fuse with sums."""

    @infer_global(sign)
    class _(ConcreteTemplate):
        cases = (signature(Vector, Vector, Vector),)

    @lower_builtin(sign, Vector, Vector)
    def _(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=("contract",))


arithmetic(operator.add, "fadd")
arithmetic(operator.sub, "fsub")
arithmetic(operator.mul, "fmul")
arithmetic(operator.truediv, "fdiv")


def within(context, builder, array_type, array, first, last):
    """Where indices are checked: an IndexError unless ``0 <= first`` and ``last < size``."""
    if not CHECKED:
        return
    size = context.make_array(array_type)(context, builder, array).nitems
    below = builder.icmp_signed("<", first, ir.Constant(LONG, 0))
    above = builder.icmp_signed(">=", last, size)
    with builder.if_then(builder.or_(below, above), likely=False):
        context.call_conv.return_user_exc(builder, IndexError, ("outside of an array",))


def pointer(context, builder, array_type, array, index):
    """Where an element of a flat array stands."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def last_of(builder, index, count):
    """The last of ``count`` indices."""
    return builder.add(index, builder.sub(count, ir.Constant(LONG, 1)))


def splat(builder, number):
    """A number in every lane."""
    nothing = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(INT, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(INT, LANES), [0] * LANES))


def mask(builder, count):
    """The first ``count`` lanes."""
    each = ir.VectorType(LONG, LANES)
    numbers = ir.Constant(each, list(range(LANES)))
    nothing = ir.Constant(each, ir.Undefined)
    one = builder.insert_element(nothing, count, ir.Constant(INT, 0))
    zeros = ir.Constant(ir.VectorType(INT, LANES), [0] * LANES)
    return builder.icmp_signed("<", numbers, builder.shuffle_vector(one, nothing, zeros))


def masked(module, what):
    """LLVM's masked ``load`` or ``store`` of a vector."""
    flags = ir.VectorType(ir.IntType(1), LANES)
    name = f"llvm.masked.{what}.v{LANES}f{BITS}.p0"
    if what == "load":
        kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INT, flags, VECTOR])
    else:
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), INT, flags])
    return cgutils.get_or_insert_function(module, kind, name)


def load_part(builder, where, flags):
    """The numbers at a place in the lanes of a mask, zero in the others."""
    where = builder.bitcast(where, VECTOR.as_pointer())
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    load = masked(builder.module, "load")
    return builder.call(load, [where, ir.Constant(INT, BITS // 8), flags, zero])


def store_part(builder, value, where, flags):
    """Write the lanes of a mask."""
    where = builder.bitcast(where, VECTOR.as_pointer())
    store = masked(builder.module, "store")
    builder.call(store, [value, where, ir.Constant(INT, BITS // 8), flags])


def fused(builder, x, y, z):
    """``x * y + z``, rounded once."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    name = f"llvm.fma.v{LANES}f{BITS}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [x, y, z])


def read(builder, where):
    """The vector at a place, whatever it is aligned to."""
    loaded = builder.load(builder.bitcast(where, VECTOR.as_pointer()))
    loaded.align = BITS // 8
    return loaded


def write(builder, value, where):
    """Put a vector at a place, whatever it is aligned to."""
    builder.store(value, builder.bitcast(where, VECTOR.as_pointer())).align = BITS // 8


@intrinsic
def vload(typing, array, index):
    """``array[index : index + LANES]``."""

    def code(context, builder, sig, args):
        a, i = args
        within(context, builder, sig.args[0], a, i, last_of(builder, i, ir.Constant(LONG, LANES)))
        return read(builder, pointer(context, builder, sig.args[0], a, i))

    return Vector(array, types.intp), code


@intrinsic
def vstore(typing, array, index, value):
    """``array[index : index + LANES] = value``."""

    def code(context, builder, sig, args):
        a, i, v = args
        within(context, builder, sig.args[0], a, i, last_of(builder, i, ir.Constant(LONG, LANES)))
        write(builder, v, pointer(context, builder, sig.args[0], a, i))
        return context.get_dummy_value()

    return types.void(array, types.intp, Vector), code


@intrinsic
def vload_part(typing, array, index, count):
    """``array[index : index + count]`` in the first lanes, zero in the others."""

    def code(context, builder, sig, args):
        a, i, n = args
        within(context, builder, sig.args[0], a, i, last_of(builder, i, n))
        return load_part(builder, pointer(context, builder, sig.args[0], a, i), mask(builder, n))

    return Vector(array, types.intp, types.intp), code


@intrinsic
def vstore_part(typing, array, index, value, count):
    """``array[index : index + count] = value``: only the first lanes are written."""

    def code(context, builder, sig, args):
        a, i, v, n = args
        within(context, builder, sig.args[0], a, i, last_of(builder, i, n))
        store_part(builder, v, pointer(context, builder, sig.args[0], a, i), mask(builder, n))
        return context.get_dummy_value()

    return types.void(array, types.intp, Vector, types.intp), code


@intrinsic
def vspread(typing, array, index):
    """``array[index]`` in every lane."""

    def code(context, builder, sig, args):
        a, i = args
        within(context, builder, sig.args[0], a, i, i)
        return splat(builder, builder.load(pointer(context, builder, sig.args[0], a, i)))

    return Vector(array, types.intp), code


@intrinsic
def vall(typing, number):
    """A number in every lane."""

    def code(context, builder, sig, args):
        return splat(builder, args[0])

    return Vector(NUMBER), code


@intrinsic
def vfma(typing, x, y, z):
    """``x * y + z``, rounded once."""

    def code(context, builder, sig, args):
        return fused(builder, *args)

    return Vector(Vector, Vector, Vector), code


def comparing(sign):
    """Where ``x`` compares with ``y``, ``yes``, elsewhere (also beside a NaN) ``no``."""

    @intrinsic
    def compare(typing, x, y, yes, no):
        def code(context, builder, sig, args):
            return builder.select(builder.fcmp_ordered(sign, args[0], args[1]), args[2], args[3])

        return Vector(Vector, Vector, Vector, Vector), code

    return compare


vless = comparing("<")
vmost = comparing("<=")


@intrinsic
def vmax(typing, x, y):
    """The larger of two in every lane; ``y`` where either is a NaN."""

    def code(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return Vector(Vector, Vector), code


@intrinsic
def vmin(typing, x, y):
    """The smaller of two in every lane; ``y`` where either is a NaN."""

    def code(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[0], args[1])

    return Vector(Vector, Vector), code


@intrinsic
def vsqrt(typing, x):
    """The square root in every lane."""

    def code(context, builder, sig, args):
        kind = ir.FunctionType(VECTOR, [VECTOR])
        name = f"llvm.sqrt.v{LANES}f{BITS}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return Vector(Vector), code


@intrinsic
def vsum(typing, x):
    """The sum of all lanes, by halves."""

    def code(context, builder, sig, args):
        value, size = args[0], LANES
        while size > 1:
            size //= 2
            low = ir.Constant(ir.VectorType(INT, size), list(range(size)))
            high = ir.Constant(ir.VectorType(INT, size), list(range(size, 2 * size)))
            value = builder.fadd(
                builder.shuffle_vector(value, value, low),
                builder.shuffle_vector(value, value, high),
            )
        return builder.extract_element(value, ir.Constant(INT, 0))

    return NUMBER(Vector), code
