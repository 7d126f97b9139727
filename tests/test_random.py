"""Random numbers: are they the published generator's, and what its users rely on?"""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.random import philox, uniform

# The known-answer vectors of Random123 (kat_vectors, philox4x32 with 10 rounds), first word.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), 0x6627E8D5),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, 0x408F276D),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), 0xD16CFE09),
]


@pytest.mark.parametrize(("counter", "key", "first"), VECTORS)
def test_philox_gives_the_published_words(counter, key, first):
    assert philox(*counter, *key) == first


def test_uniform_is_uniform_from_0_to_below_1():
    draws = np.array([uniform(3, 5, 7, element) for element in range(4000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 1 / 2) < 4 * np.sqrt(1 / 12 / len(draws))
    assert abs(draws.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / len(draws))
    counts = np.histogram(draws, bins=16, range=(0, 1))[0]
    assert ((counts - 250) ** 2 / 250).sum() < 44.3  # chi-squared, 15 degrees of freedom: 1 in 10^4


def test_uniform_is_exact_in_single_precision():
    draws = [uniform(3, 5, 7, element) for element in range(100)]
    assert [float(np.float32(draw)) for draw in draws] == draws


def test_uniform_depends_on_each_of_seed_step_layer_and_element():
    places = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1 + 2**32, 1, 1), (-1, 1, 1)]
    draws = {place: tuple(uniform(*place, e) for e in range(20)) for place in places}
    assert len(set(draws.values())) == len(places)
    assert len(set(draws[1, 1, 1])) == 20
    assert uniform(1, 1, 1, 5) != uniform(1, 1, 1, 5 + 2**32)
    assert draws[1, 1, 1] == tuple(uniform(1, 1, 1, e) for e in range(20))
