"""Counter-based random numbers: a function of seed, step, layer and element, and of nothing else.

No state, so the same numbers come out whatever the order or the number of threads, on the CPU as on
a GPU, and a resumed run goes on where it stopped.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from netdsl.kernel import device, real


@device
def philox(c0, c1, c2, c3, key0, key1):
    """The first word of Philox4x32-10 (Salmon et al. 2011): four counters and two keys of 32 bits.

    The products are masked: the low 64 bits are the same whether integers are unbounded (Python)
    or wrap around (compiled).
    """
    for _ in range(10):
        p0 = 0xD2511F53 * c0
        p1 = 0xCD9E8D57 * c2
        high0 = (p0 >> 32) & 0xFFFFFFFF
        high1 = (p1 >> 32) & 0xFFFFFFFF
        c0, c1, c2, c3 = (high1 ^ c1 ^ key0), p1 & 0xFFFFFFFF, (high0 ^ c3 ^ key1), p0 & 0xFFFFFFFF
        key0 = (key0 + 0x9E3779B9) & 0xFFFFFFFF
        key1 = (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0


@device
def uniform(seed, step, layer, element):
    """A number in [0, 1) for one element of a layer at a step: 24 random bits, exact in float32."""
    word = philox(
        element & 0xFFFFFFFF,
        (element >> 32) & 0xFFFFFFFF,
        step & 0xFFFFFFFF,
        layer & 0xFFFFFFFF,
        seed & 0xFFFFFFFF,
        (seed >> 32) & 0xFFFFFFFF,
    )
    return real(word >> 8) * real(5.9604644775390625e-08)


def permutation(count: int, seed: int, purpose: str, turn: int = 0) -> np.ndarray:
    """The numbers below ``count`` in an order that is a function of seed, purpose and turn alone.

    Two purposes never share their random numbers. It sorts raw words of the generator, which NumPy
    promises never to change (NEP 19), so that the order is the same on every machine.
    """
    key = seed & 0xFFFFFFFFFFFFFFFF | crc32(purpose.encode()) << 64 | (turn & 0xFFFFFFFF) << 96
    words = np.random.Philox(key=key).random_raw(count)
    return np.argsort(words, kind="stable")
