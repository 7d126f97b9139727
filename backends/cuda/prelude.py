import math
import warnings
from types import SimpleNamespace

import numpy as np
from numba import cuda

THREADS = 128
LANES = 256
# Small networks make small grids, which is no news to anybody.
warnings.filterwarnings("ignore", "Grid size")
device = cuda.jit(device=True)


@device
def lanes(count):
    """The turns of a loop that fall to this thread of those that share a sample."""
    return range(cuda.threadIdx.x, count, cuda.blockDim.x)


@device
def sync():
    """Wait for the threads that share a sample."""
    cuda.syncthreads()


class Kernel:
    """A kernel with a thread for each element of its first argument, or a block for each sample."""

    def __init__(self, function, types, samples):
        self.function = function
        self.types = f"void({', '.join(types)})"
        self.samples = samples
        self.launcher = None

    def __call__(self, out, *arguments):
        if self.samples:
            # As many threads as a step in time has elements: the first axis of a sample is time.
            blocks, threads = out.shape[0], min(LANES, out.size // (out.shape[0] * out.shape[1]))
        else:
            threads = min(THREADS, out.size)
            blocks = (out.size + threads - 1) // threads
        self.launcher[blocks, threads](out, *arguments)


def kernel(*types, parallel=True, samples=False):
    """A CUDA kernel of arrays and numbers, for exactly these types."""

    def compiled(function):
        return Kernel(function, types, samples)

    return compiled


def compile_kernel(compiled):
    """Compile, or read from the cache; other types are an error from then on."""
    if compiled.launcher is None:
        compiled.launcher = cuda.jit(compiled.types, cache=True)(compiled.function)


def empty(shape, dtype):
    """An array of zeros on the device."""
    return cuda.to_device(np.zeros(shape, dtype))


def copy_in(array, values):
    """Copy numbers to the device."""
    array.copy_to_device(np.ascontiguousarray(values, dtype=array.dtype).reshape(array.shape))


def copy_out(array):
    """A copy of the numbers on the device."""
    return array.copy_to_host()


class Program:
    """Passes over the tensors of a batch, which are run anew every time."""

    def __init__(self, passes, values):
        self.passes, self.values = passes, values

    def run(self, live):
        """Run them with the numbers of this time."""
        for part in self.passes:
            part(self.values, SimpleNamespace(**live))


def record(passes, values, threads=None):
    """What runs some passes over the tensors of a batch."""
    return Program(passes, values)


def memory_of(shapes, lives):
    """An array for every tensor of a step, of its shape and type."""
    return {name: empty(*shape) for name, shape in shapes.items()}


def room_of(shapes, lives):
    """The bytes of all of them."""
    return sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes.values())
