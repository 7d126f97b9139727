"""What the compiled code is for: a precision, and the vectors that the machine has.

Generated files say these numbers themselves; imported, this is float32 and the machine as it is.
"""

import os

import numpy as np
from llvmlite import binding


def machine_lanes():
    """How many float32 the machine's widest registers hold: 16, 8 or 4; ``NETDSL_LANES`` first."""
    asked = os.environ.get("NETDSL_LANES")
    if asked in ("4", "8", "16"):
        return int(asked)
    features = binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


def machine_registers():
    """How many vector registers the machine has."""
    features = binding.get_host_cpu_features()
    return 16 if features.get("sse2") and not features.get("avx512vl") else 32


def machine_checked():
    """Whether vectors check their indices: ``NETDSL_CHECKED`` is set, for tests."""
    return bool(os.environ.get("NETDSL_CHECKED"))


real = np.float32
LANES = machine_lanes() * 4 // np.dtype(real).itemsize
REGISTERS = machine_registers()
CHECKED = machine_checked()
