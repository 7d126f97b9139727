"""Programs: calls of kernels in order, which a team of threads executes together.

A call falls apart into tasks. Each thread has a share of them, and takes of others' when its own is
done: so a thread that the system stops for a while holds up nobody for long. What comes out does
not depend on who did what, since every task writes what is its own. A call waits for those before
it that it depends on, by the memory that both touch.
"""

import os
import threading

import numpy as np
from llvmlite import binding, ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from netdsl.backends.cpu.machine import real
from netdsl.backends.cpu.prelude import RECORDING
from netdsl.backends.cpu.tile import compile_tiles

ADDRESS, TABLE, TASKS, GRAIN, AFTER = range(5)  # the columns of a program
APART = 8  # counters are so far apart that no two share a line of the cache
SHARES = 8  # a call is taken in about so many parts by each thread
PATIENCE = 4000  # so often a thread looks before it lets others run
X86 = binding.get_default_triple().startswith(("x86", "i686", "amd64"))


class Live:
    """A number that is another one at every step: its name stands for it in a program."""

    def __init__(self, name):
        self.name = name


class Program:
    """Recorded calls. ``run`` executes them, with the numbers that are named ``live``."""

    def __init__(self, threads=None):
        self.threads = threads or thread_count()
        self.names, self.rows, self.cells, self.live = [], [], [], []
        self.touched, self.kept, self.memory = [], [], 0
        self.came, self.numbers = 0, []  # calls, and which of them the rows are
        self.clock = np.zeros(0, np.int64)

    def add(self, kernel, given):
        """Record a call with its operands."""
        kernel.compile()
        tasks = kernel.tasks(given)
        self.came += 1
        if not tasks:
            return
        self.numbers.append(self.came - 1)
        self.memory = max(self.memory, kernel.memory(given))
        start = len(self.cells)
        for name, kind in kernel.kinds.items():
            self.cells += self.describe(given[name], kind)
        spans = {name: span(given[name]) for name in kernel.kinds}
        self.touched.append([(*s, name in kernel.writes) for name, s in spans.items() if s])
        self.kept.append(given)  # else the arrays would go
        grain = max(1, tasks // (SHARES * self.threads))
        self.names.append(kernel.name)
        self.rows.append((kernel.compiled.address, 8 * start, tasks, grain, self.after()))

    def describe(self, value, kind):
        """The cells of an operand."""
        if isinstance(value, Live):
            self.live.append((len(self.cells), value.name, kind))
            return [0]
        if isinstance(kind, types.Array):
            strides = value.strides if kind.layout == "A" else ()
            assert kind.layout == "A" or value.flags.c_contiguous, "an array is in pieces"
            return [value.ctypes.data, *value.shape, *strides]
        return [bits(value, kind)]

    def after(self):
        """The last call before the newest one that it depends on; -1 if there is none."""
        new = self.touched[-1]
        since = self.rows[-1][AFTER] if self.rows else -1
        for i in range(len(self.rows) - 1, since, -1):
            if any(a < d and c < b and (w or v) for a, b, w in new for c, d, v in self.touched[i]):
                return i
        return since

    def run(self, live):
        """Execute all calls; ``live`` gives the numbers of this time by their names."""
        if not self.rows:
            return
        if isinstance(self.cells, list):
            self.finish()
        for place, name, kind in self.live:
            self.cells[place] = bits(live[name], kind)
        self.counters[...] = 0
        TEAM.run(self.arguments, self.threads)

    def finish(self):
        """Nothing more will be recorded."""
        self.cells = np.array(self.cells, np.int64)
        table = np.array(self.rows, np.int64)
        table[:, TABLE] += self.cells.ctypes.data
        self.counters = np.zeros((len(table) + 1, 1 + self.threads, APART), np.int64)
        self.own = lines(self.threads, self.memory)
        self.arguments = (table, self.counters, self.threads, self.own, self.clock)

    def timed(self):
        """Take the time of every call from now on: ``clock`` gets nanoseconds for each."""
        self.clock = np.zeros(len(self.rows), np.int64)
        if isinstance(self.cells, list):
            self.finish()
        self.arguments = (*self.arguments[:-1], self.clock)


def lines(count, size):
    """So many rows of at least so many numbers, each from the beginning of a line of the cache."""
    line = 64 // np.dtype(real).itemsize
    size = -(-size // line) * line + line
    memory = np.zeros(count * size + line, real)
    start = -memory.ctypes.data % 64 // memory.itemsize
    return memory[start : start + count * size].reshape(count, size)


def bits(value, kind):
    """A number as a cell holds it."""
    if isinstance(kind, types.Float):
        return int(np.float64(value).view(np.int64))
    return int(value)


def span(value):
    """From where to where in memory an array lies; None for a number."""
    if not isinstance(value, np.ndarray) or not value.size:
        return None
    return np.lib.array_utils.byte_bounds(value)


def thread_count():
    """How many threads work: ``NETDSL_THREADS``, else as many as this process may use cores."""
    asked = os.environ.get("NETDSL_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@intrinsic
def take(typing, array, index, count):
    """Add to a counter that threads share; returns what it was."""

    def code(context, builder, sig, args):
        return builder.atomic_rmw("add", counter(builder, args), args[2], "seq_cst")

    return types.int64(types.intp, types.intp, types.int64), code


@intrinsic
def look(typing, array, index):
    """A counter that threads share."""

    def code(context, builder, sig, args):
        return builder.load_atomic(counter(builder, args), "seq_cst", 8)

    return types.int64(types.intp, types.intp), code


def counter(builder, args):
    """Where a counter stands."""
    long = ir.IntType(64)
    return builder.gep(builder.inttoptr(args[0], long.as_pointer()), [args[1]])


@intrinsic
def pause(typing):
    """Tell the processor that this is a loop that waits."""

    def code(context, builder, sig, args):
        if X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            module = builder.module
            name = "llvm.x86.sse2.pause"
            function = module.globals.get(name) or ir.Function(module, kind, name)
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def enter(typing, address, table, first, last, memory, size):
    """Call a kernel by its address."""

    def code(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 5)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), code


let_others = types.ExternalFunction("sched_yield", types.int32())
read_clock = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))


@njit(nogil=True)
def now(cell):
    """The time in nanoseconds, from a clock that only goes forward."""
    read_clock(1, cell.ctypes.data)
    return cell[0] * 1_000_000_000 + cell[1]


@njit(nogil=True)
def wait(counters, index, threads):
    """Until all threads have left a call behind."""
    turns = 0
    while look(counters, index) < threads:
        turns += 1
        if turns < PATIENCE:
            pause()
        else:
            let_others()


@njit(nogil=True)
def work(row, shared, counter, threads, memory, size, thread):
    """Take tasks of a call until there are none: first of the thread's own share, then of others.

    Shares are the same in every call, so that what a thread has made is in its own cache where it
    reads it again.
    """
    tasks, grain = row[TASKS], row[GRAIN]
    for turn in range(threads):
        owner = (thread + turn) % threads
        begin, end = tasks * owner // threads, tasks * (owner + 1) // threads
        first = begin + take(shared, counter + (1 + owner) * APART, grain)
        while first < end:
            enter(row[ADDRESS], row[TABLE], first, min(first + grain, end), memory, size)
            first = begin + take(shared, counter + (1 + owner) * APART, grain)


@njit(nogil=True, cache=True)
def execute(table, counters, threads, own, clock, thread):
    """What one thread of a team does for a program.

    Of the counters of a call the first tells how many threads have left it behind.
    """
    shared, memory = counters.ctypes.data, own[thread].ctypes.data
    cell = np.zeros(2, np.int64)
    last, apart = table.shape[0] - 1, (1 + threads) * APART
    if clock.size:  # all are there before time runs
        take(shared, (last + 1) * apart, 1)
        wait(shared, (last + 1) * apart, threads)
    begun = now(cell)
    for i in range(table.shape[0]):
        # Where time is taken no call begins before the clock has been read.
        after = i - 1 if clock.size else table[i, AFTER]
        if after >= 0:
            wait(shared, after * apart, threads)
        work(table[i], shared, i * apart, threads, memory, own.shape[1], thread)
        if clock.size and thread == 0:
            wait(shared, i * apart, threads - 1)
            ended = now(cell)
            clock[i] += ended - begun
            begun = ended
        take(shared, i * apart, 1)
    if thread == 0:
        wait(shared, last * apart, threads)


def compile_shared():
    """Compile what all networks run, or read it from the cache."""
    compile_tiles()
    table, counters = types.int64[:, ::1], types.int64[:, :, ::1]
    own = types.Array(types.float32 if real is np.float32 else types.float64, 2, "C")
    execute.compile((table, counters, types.int64, own, types.int64[::1], types.int64))


class Team:
    """Threads that execute programs together, one program at a time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = 0
        self.gates, self.work = [], None

    def run(self, arguments, threads):
        """Execute a program with so many threads, this one among them."""
        with self.lock:
            self.hire(threads - 1)
            self.work = arguments
            for gate in self.gates[: threads - 1]:
                gate.release()
            execute(*arguments, 0)

    def hire(self, wanted):
        """See to it that so many threads wait for work."""
        if self.process != os.getpid():  # threads do not outlive a fork
            self.process, self.gates = os.getpid(), []
        while len(self.gates) < wanted:
            gate = threading.Semaphore(0)
            self.gates.append(gate)
            arguments = (len(self.gates), gate)
            threading.Thread(target=self.member, args=arguments, daemon=True).start()

    def member(self, number, gate):
        """What a thread does all its life."""
        while True:
            gate.acquire()
            execute(*self.work, number)


TEAM = Team()


class Lives:
    """The numbers that are other ones at every step, by their names."""

    def __getattr__(self, name):
        return Live(name)


LIVE = Lives()


def record(passes, values, threads=None):
    """The program of some passes over the tensors of a batch."""
    program = Program(threads)
    RECORDING.append(program)
    try:
        for part in passes:
            part(values, LIVE)
    finally:
        RECORDING.pop()
    return program
