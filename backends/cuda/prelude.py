import math

import numpy as np
from numba import cuda

THREADS = 128


def device(function):
    """A function that kernels call."""
    return cuda.jit(device=True, fastmath=False)(function)


class Kernel:
    """A kernel with a thread for each element of its first argument."""

    def __init__(self, function, types):
        self.types = types
        self.function = function
        self.launcher = cuda.jit(function)

    def __call__(self, out, *arguments):
        blocks = (out.size + THREADS - 1) // THREADS
        self.launcher[blocks, THREADS](out, *arguments)


def kernel(*types, parallel=True):
    """A CUDA kernel of arrays and numbers."""

    def compiled(function):
        return Kernel(function, types)

    return compiled


def compile_kernel(launcher):
    """Nothing to do: kernels compile when they are first launched."""


def empty(shape, dtype):
    """An array of zeros on the device."""
    return cuda.to_device(np.zeros(shape, dtype))


def copy_in(array, values):
    """Copy numbers to the device."""
    array.copy_to_device(np.ascontiguousarray(values, dtype=array.dtype).reshape(array.shape))


def copy_out(array):
    """A copy of the numbers on the device."""
    return array.copy_to_host()
