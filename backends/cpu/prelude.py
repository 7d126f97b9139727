import inspect

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from netdsl.backends.cpu.compiled import machine_code
from netdsl.backends.cpu.part import device
from netdsl.backends.cpu.tile import provide_tiles

lanes = range  # a sample is the work of one thread
ELEMENTS = {"f4": types.float32, "f8": types.float64, "i4": types.int32, "i8": types.int64}
ENTRY = types.void(types.intp, types.intp, types.intp, types.intp, types.intp)
PIECE = 1 << 14  # so many numbers are a task where every number is made by itself
RECORDING = []  # the programs that calls of kernels are added to, the innermost last


@device
def sync():
    """Wait for the threads that share a sample: here it is one."""


def operand_type(text):
    """``i8`` and ``f8`` are numbers, ``f4[:,::1]`` is an array in one piece, ``f4[:,:]`` has any
    strides."""
    element, bracket, axes = text.partition("[")
    if not bracket:
        return ELEMENTS[element]
    rank = axes.count(",") + 1
    return types.Array(ELEMENTS[element], rank, "C" if "::1" in axes else "A")


def operands(texts):
    """The function that reads the operands of a kernel from its table."""
    kinds = tuple(map(operand_type, texts.values()))

    @intrinsic
    def unpack(typing, table):
        def code(context, builder, sig, args):
            long = ir.IntType(64)
            start, at, values = builder.inttoptr(args[0], long.as_pointer()), 0, []
            for kind in kinds:
                cells = [
                    builder.load(builder.gep(start, [ir.Constant(long, at + i)]))
                    for i in range(cells_of(kind))
                ]
                values.append(operand(context, builder, kind, cells))
                at += len(cells)
            return context.make_tuple(builder, sig.return_type, values)

        return types.Tuple(kinds)(types.intp), code

    return unpack


def cells_of(kind):
    """How many cells of the table an operand takes."""
    if not isinstance(kind, types.Array):
        return 1
    return 1 + kind.ndim * (1 if kind.layout == "C" else 2)


def operand(context, builder, kind, cells):
    """A number or an array from its cells: where it is, its sizes, its strides in bytes."""
    if isinstance(kind, types.Float):
        return builder.bitcast(cells[0], ir.DoubleType())
    if not isinstance(kind, types.Array):
        return cells[0]
    long, size = ir.IntType(64), kind.dtype.bitwidth // 8
    shape, strides = cells[1 : 1 + kind.ndim], cells[1 + kind.ndim :]
    if kind.layout == "C":
        strides = [ir.Constant(long, size)]
        for extent in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
    array = make_array(kind)(context, builder)
    populate_array(
        array,
        data=builder.inttoptr(cells[0], context.get_data_type(kind.dtype).as_pointer()),
        shape=shape,
        strides=strides,
        itemsize=ir.Constant(long, size),
        meminfo=None,
    )
    return array._getvalue()


@intrinsic
def own_memory(typing, address, size):
    """The numbers that a thread has for itself, as an array."""
    kind = types.Array(ELEMENTS[f"f{np.dtype(real).itemsize}"], 1, "C")

    def code(context, builder, sig, args):
        return operand(context, builder, kind, list(args))

    return kind(types.intp, types.intp), code


def one():
    """The work is one task."""
    return 1


def none():
    """No memory of its own."""
    return 0


def asked(function):
    """A function of some operands as one of all, by their names."""
    names = inspect.signature(function).parameters
    return lambda operands: function(**{name: operands[name] for name in names})


class Kernel:
    """A compiled function of a range of tasks; where it is called, the call is recorded.

    ``tasks`` of the operands says into how many tasks a call falls apart, ``memory`` how many
    numbers a thread wants for itself. The operands in ``writes`` are written. ``plan`` gives those
    that are ``planned`` when a call is recorded, and may change others.
    """

    def __init__(self, function, kinds, tasks, memory, writes, plan, planned):
        self.function = function
        self.kinds = {name: operand_type(text) for name, text in kinds.items()}
        self.tasks, self.memory, self.writes = asked(tasks), asked(memory), writes
        self.plan = asked(plan)
        self.passed = [name for name in kinds if name not in planned]
        self.passed += [name for name in inspect.signature(plan).parameters if name not in kinds]
        self.address = None
        self.name = function.__name__.removeprefix("k_")

    def compile(self):
        """Compile, or read from the cache."""
        if self.address is None:
            provide_tiles()
            self.address = machine_code(self.function, ENTRY)

    def __call__(self, *given):
        named = dict(zip(self.passed, given, strict=True))
        RECORDING[-1].add(self, named | self.plan(named))


def as_passed():
    """Nothing is planned."""
    return {}


def kernel(kinds, tasks=one, memory=none, writes=("out",), plan=as_passed, planned=()):
    """A compiled function of a table of operands, whose types are given by their names."""
    return lambda function: Kernel(function, kinds, tasks, memory, writes, plan, planned)


def each(out):
    """The work on every element is a task."""
    return out.shape[0]


def rows(out):
    """The work on every row, along the last axis, is a task."""
    return out.size // max(out.shape[-1], 1)


def pieces(out):
    """The work on every piece of a flat array is a task."""
    return -(-out.size // PIECE)


def compile_kernel(compiled):
    """Compile, or read from the cache."""
    compiled.compile()


def empty(shape, dtype):
    """An array of zeros in the memory that kernels work on: it begins with a line of the cache."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def copy_in(array, values):
    """Copy numbers to an array of kernels."""
    array[...] = values


def copy_out(array):
    """A copy of the numbers in an array of kernels."""
    return array.copy()
