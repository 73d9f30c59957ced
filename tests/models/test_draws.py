"""One stream of normal draws, cut into weights."""

import jax
import numpy as np
import pytest
from refusals import refused

from transfer.models import draws
from transfer.models.draws import standard_normals

KEY = jax.random.key(3, impl="threefry2x32")
SHAPES = {"stack": (3, 4, 5), "scalar": (), "vector": (7,), "matrix": (2, 6)}
SIZE = 60 + 1 + 7 + 12


@pytest.mark.parametrize("at_once", [True, False])
def test_arrays_are_the_stream_of_jax_itself_cut_in_their_order(at_once):
    found = standard_normals(KEY, SHAPES, at_once=at_once)

    assert {path: leaf.shape for path, leaf in found.items()} == SHAPES
    stream = np.concatenate([np.ravel(leaf) for leaf in found.values()])
    np.testing.assert_array_equal(stream, jax.random.normal(KEY, (SIZE,)))


@pytest.mark.parametrize("large", [2**32, 4])
@pytest.mark.parametrize("start", [0, 2**32 - 17, 5 * 2**32 - 1])
def test_places_beyond_a_word_are_counted_in_the_next(monkeypatch, start, large):
    monkeypatch.setattr(draws, "_LARGE", large)  # 4: as arrays are counted that exceed a word
    for shape in SHAPES.values():
        high, low = draws._counters(start, shape)
        places = np.asarray(high, np.uint64) * 2**32 + np.asarray(low, np.uint64)
        expected = start + np.arange(np.prod(shape, dtype=int), dtype=np.uint64)
        np.testing.assert_array_equal(places.ravel(), expected)


def test_a_key_of_another_generator_is_refused():
    with refused("rbg", "threefry2x32"):
        standard_normals(jax.random.key(0, impl="rbg"), SHAPES)
