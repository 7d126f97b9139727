"""The team: threads that execute programs together, and sleep where there is nothing to do."""

import ctypes
import os
import threading
from functools import cache

import numpy as np
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic

from netdsl.backends.cpu.compiled import machine_code
from netdsl.backends.cpu.machine import real
from netdsl.backends.cpu.part import device, routine
from netdsl.backends.cpu.prelude import ENTRY, operands
from netdsl.backends.cpu.tile import compile_tiles

ADDRESS, TABLE, TASKS, GRAIN, AFTER = range(5)  # the columns of a program
APART = 8  # counters are so far apart that no two share a line of the cache
PATIENCE = 4000  # so often a thread looks before it lets others run
LINGER = 200_000  # so many nanoseconds a thread looks for the same program again before it sleeps
AWAKE, ASLEEP = 0, 1  # what a member's cell holds; else the number of the program that it shall do
TOLD, LEFT, TIME = 1, 2, 3  # behind it: what it held when it was posted, and when a member left off
POST, EXECUTE, SERVE = range(3)
X86 = binding.get_default_triple().startswith(("x86", "i686", "amd64"))


@intrinsic
def take(typing, array, index, count):
    """Add to a counter that threads share; returns what it was."""

    def code(context, builder, sig, args):
        return builder.atomic_rmw("add", counter(builder, args), args[2], "seq_cst")

    return types.int64(types.intp, types.intp, types.int64), code


@intrinsic
def swap(typing, array, index, value):
    """Put a number into a cell that threads share; returns what it was."""

    def code(context, builder, sig, args):
        return builder.atomic_rmw("xchg", counter(builder, args), args[2], "seq_cst")

    return types.int64(types.intp, types.intp, types.int64), code


@intrinsic
def swap_if(typing, array, index, old, value):
    """Put a number into a cell that threads share if it is ``old``; returns what it was."""

    def code(context, builder, sig, args):
        place = counter(builder, args)
        found = builder.cmpxchg(place, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(found, 0)

    return types.int64(types.intp, types.intp, types.int64, types.int64), code


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


@device
def now(place):
    """The time in nanoseconds, from a clock that only goes forward; two cells are its own."""
    read_clock(1, place)
    return look(place, 0) * 1_000_000_000 + look(place, 1)


@routine
def wait(counters, index, threads):
    """Until all threads have left a call behind."""
    turns = 0
    while look(counters, index) < threads:
        turns += 1
        if turns < PATIENCE:
            pause()
        else:
            let_others()


@routine
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


REALS = f"f{np.dtype(real).itemsize}[:,::1]"
PROGRAM = {
    "table": "i8[:,::1]", "counters": "i8[:,:,::1]", "threads": "i8", "own": REALS,
    "clock": "i8[::1]", "number": "i8",
}  # fmt: skip
"""What a team is told of a program."""
program_of = operands(PROGRAM)


@routine
def execute(given, thread):
    """What one thread of a team does for a program.

    Of the counters of a call the first tells how many threads have left it behind.
    """
    table, counters, threads, own, clock, _ = program_of(given)
    shared, memory = counters.ctypes.data, own[thread].ctypes.data
    last, apart = table.shape[0] - 1, (1 + threads) * APART
    time = shared + 8 * ((last + 1) * apart + (1 + thread) * APART)
    if clock.size:  # all are there before time runs
        take(shared, (last + 1) * apart, 1)
        wait(shared, (last + 1) * apart, threads)
    begun = now(time)
    for i in range(table.shape[0]):
        # Where time is taken no call begins before the clock has been read.
        after = i - 1 if clock.size else table[i, AFTER]
        if after >= 0:
            wait(shared, after * apart, threads)
        work(table[i], shared, i * apart, threads, memory, own.shape[1], thread)
        if clock.size and thread == 0:
            wait(shared, i * apart, threads - 1)
            ended = now(time)
            clock[i] += ended - begun
            begun = ended
        take(shared, i * apart, 1)
    if thread == 0:
        wait(shared, last * apart, threads)


@routine
def serve(given, thread, cell):
    """Execute a program as long as it comes again soon; returns what the cell then holds."""
    _, _, _, _, _, number = program_of(given)
    posted, time = number, cell + 8 * TIME
    while posted == number:
        swap(cell, 0, AWAKE)
        execute(given, thread)
        begun, turns, posted = now(time), 0, AWAKE
        while posted == AWAKE:
            pause()
            turns += 1
            posted = look(cell, 0)
            if posted == AWAKE and turns % 16 == 0 and now(time) - begun > LINGER:
                posted = swap_if(cell, 0, AWAKE, ASLEEP)
                if posted == AWAKE:
                    return ASLEEP
    return posted


def act(what, thread, cell, given, number):
    """The one function of a team that Python calls: what there is to tell is left in the cell.

    ``POST`` a number for a member, ``EXECUTE`` a program, or ``SERVE`` as long as it comes again.
    """
    if what == POST:
        swap(cell, TOLD, swap(cell, 0, number))
    elif what == EXECUTE:
        execute(given, thread)
    else:
        swap(cell, LEFT, serve(given, thread, cell))


@cache
def acting():
    """`act` as Python calls it; meanwhile other threads of Python go on."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 5)
    return kind(machine_code(act, ENTRY))


def compile_shared():
    """Compile what all networks run, or read it from the cache."""
    compile_tiles()
    acting()


class Team:
    """Threads that execute programs together, one program at a time.

    A member that has done its part looks out for the next one for a little while before it sleeps,
    since to wake it takes as long as a small network computes.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.process = 0
        self.members, self.work = [], None

    def run(self, given, number, threads):
        """Execute a program with so many threads, this one among them."""
        call = acting()
        with self.lock:
            self.hire(threads - 1)
            self.work = given
            for gate, cell in self.members[: threads - 1]:
                call(POST, 0, cell.ctypes.data, 0, number)
                if cell[TOLD] == ASLEEP:
                    gate.release()
            call(EXECUTE, 0, 0, given, 0)

    def hire(self, wanted):
        """See to it that so many threads wait for work."""
        if self.process != os.getpid():  # threads do not outlive a fork
            self.process, self.members = os.getpid(), []
        while len(self.members) < wanted:
            member = threading.Semaphore(0), np.full(APART, ASLEEP, np.int64)
            self.members.append(member)
            arguments = (len(self.members), *member)
            threading.Thread(target=self.member, args=arguments, daemon=True).start()

    def member(self, thread, gate, cell):
        """What a thread does all its life."""
        call, cell_at = acting(), cell.ctypes.data
        while True:
            gate.acquire()
            cell[LEFT] = AWAKE
            while cell[LEFT] != ASLEEP:
                call(SERVE, thread, cell_at, self.work, 0)


TEAM = Team()
