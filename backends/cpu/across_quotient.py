"""Quotients of vectors that need not be rounded to the last bit, and so take no division."""

from numba.extending import intrinsic

from netdsl.backends.cpu.simd import Vector


@intrinsic
def vquotient(typing, x, y):
    """``x / y`` within a few units in the last place."""

    def code(context, builder, sig, args):
        return builder.fdiv(*args, flags=("arcp", "contract", "afn", "reassoc", "nsz"))

    return Vector(Vector, Vector), code
