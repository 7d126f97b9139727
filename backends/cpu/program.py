"""Programs: calls of kernels in order, which a team of threads executes together.

A call falls apart into tasks. Each thread has a share of them, and takes of others' when its own is
done: so a thread that the system stops for a while holds up nobody for long. What comes out does
not depend on who did what, since every task writes what is its own. A call waits for those before
it that it depends on, by the memory that both touch.
"""

import itertools
import os

import numpy as np
from numba.core import types

from netdsl.backends.cpu.machine import real
from netdsl.backends.cpu.prelude import RECORDING, operand_type
from netdsl.backends.cpu.team import AFTER, APART, PROGRAM, TABLE, TEAM

SHARES = 8  # a call is taken in about so many parts by each thread
NUMBERS = itertools.count(2)  # of programs; what is less has a meaning of its own


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
        self.rows.append((kernel.address, 8 * start, tasks, grain, self.after()))

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
        TEAM.run(self.told.ctypes.data, self.number, self.threads)

    def finish(self):
        """Nothing more will be recorded."""
        self.cells = np.array(self.cells, np.int64)
        table = np.array(self.rows, np.int64)
        table[:, TABLE] += self.cells.ctypes.data
        self.counters = np.zeros((len(table) + 1, 1 + self.threads, APART), np.int64)
        self.own = lines(self.threads, self.memory)
        self.table = table
        self.tell()

    def tell(self):
        """Write down for the team where all is."""
        self.number = next(NUMBERS)
        given = (self.table, self.counters, self.threads, self.own, self.clock, self.number)
        told = zip(given, map(operand_type, PROGRAM.values()), strict=True)
        self.told = np.array([cell for each in told for cell in self.describe(*each)], np.int64)

    def timed(self):
        """Take the time of every call from now on: ``clock`` gets nanoseconds for each."""
        self.clock = np.zeros(len(self.rows), np.int64)
        if isinstance(self.cells, list):
            self.finish()
        self.tell()


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
