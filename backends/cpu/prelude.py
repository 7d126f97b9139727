import math
import os
from contextlib import suppress

import numpy as np
from numba import njit, prange

# Threads that wait for work in a busy loop keep others from it as soon as the machine has anything
# else to do: steps then took 20 times as long. They sleep instead, unless the user says otherwise.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# Sums may be reordered, so that loops use SIMD; NaN and infinity stay what they are.
FAST = {"reassoc", "contract", "nsz", "arcp"}
# A division by zero is infinite or NaN, as everywhere else in numerical code.
OPTIONS = {"fastmath": FAST, "error_model": "numpy"}
device = njit(forceinline=True, **OPTIONS)
lanes = range  # a sample is the work of one thread


@device
def sync():
    """Wait for the threads that share a sample: here it is one."""


def kernel(*types, parallel=True):
    """A compiled function of arrays and numbers, for exactly these types."""

    def compiled(function):
        dispatcher = njit(parallel=parallel, nogil=True, **OPTIONS)(function)
        with suppress(RuntimeError):  # where it cannot be kept it is compiled anew each time
            dispatcher.enable_caching()
        dispatcher.types = f"void({', '.join(types)})"
        return dispatcher

    return compiled


def compile_kernel(dispatcher):
    """Compile, or read from the cache; other types are an error from then on."""
    if not dispatcher.signatures:
        dispatcher.compile(dispatcher.types)
        dispatcher.disable_compile()


def empty(shape, dtype):
    """An array of zeros in the memory that kernels work on."""
    return np.zeros(shape, dtype)


def copy_in(array, values):
    """Copy numbers to an array of kernels."""
    array[...] = values


def copy_out(array):
    """A copy of the numbers in an array of kernels."""
    return array.copy()
