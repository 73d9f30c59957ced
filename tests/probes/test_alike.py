"""Matrices of one size are measured in one loop, with what each gives alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer.probes import alike, initial_vectors, measure_spectrum, track_spectrum
from transfer.scaling import Annotated, Axes, Layout

# Square in four axes of either order, and one size wide and tall, stored in either order.
KERNELS = {
    "query": ("layers | embed -> heads head_dim", lambda n: (2, n, n // 4, 4)),
    "out": ("layers | heads head_dim -> embed", lambda n: (2, n // 4, 4, n)),
    "up": ("layers | embed -> ffn", lambda n: (2, n, 2 * n)),
    "down": ("layers | ffn -> embed", lambda n: (2, 2 * n, n)),
    "stored out in": ("1 -> 0", lambda n: (2 * n, n)),
    "odd": ("embed -> ffn", lambda n: (n, 3 * n)),
}


def layout(width):
    def at(n):
        return {
            path: Annotated(axes=Axes.parse(axes), shape=shape(n), gain=1.0)
            for path, (axes, shape) in KERNELS.items()
        }

    return Layout.compare(base=at(8), probe=at(16), target=at(width))


def weights(width):
    keys = jax.random.split(jax.random.key(1), len(KERNELS))
    return {
        path: scale * jax.random.normal(key, shape(width))
        for key, scale, (path, (_, shape)) in zip(
            keys, (1.0, 3.0, 2.0**20, 0.1, 1.0, 1.0), KERNELS.items(), strict=True
        )
    }


def loops(function, *arguments):
    """How many loops a function is traced to."""
    return str(jax.make_jaxpr(function)(*arguments)).count(" while[")


def measured(width, together):
    parameters = layout(width)
    start = initial_vectors(parameters, 3, jax.random.key(0))

    def measure(weights, start):
        return measure_spectrum(weights, parameters, start, pairs=4, together=together)

    return jax.jit(measure)(weights(width), start), loops(measure, weights(width), start)


def test_in_one_loop_each_gives_what_it_gives_alone():
    (alone, separate), (together, joined) = (measured(16, each) for each in (False, True))
    # Six kernels of three sizes.
    assert joined * 2 == separate
    for path, vectors in alone.vectors.items():
        top = alone.values[path].max()
        np.testing.assert_allclose(together.values[path], alone.values[path], atol=1e-5 * top)
        np.testing.assert_allclose(together.bounds[path], alone.bounds[path], atol=1e-5 * top)
        assert together.vectors[path].shape == vectors.shape
        # One vector may have the other sign; of all, the same weight is stretched as much.
        np.testing.assert_allclose(
            jnp.abs(together.vectors[path]), jnp.abs(vectors), atol=2e-3, err_msg=path
        )


def test_what_is_decomposed_is_too():
    parameters = layout(16)
    alone, together = (
        track_spectrum(weights(16), parameters, {}, k=3, pairs=4, together=each)
        for each in (False, True)
    )
    for path, values in alone.values.items():
        np.testing.assert_allclose(together.values[path], values, rtol=1e-5)
        assert together.bounds[path].shape == alone.bounds[path].shape == values.shape


def test_a_copy_of_large_matrices_is_not_taken(monkeypatch):
    monkeypatch.setattr("transfer.probes.alike.MOST_COPIED", 0)
    found, separate = measured(16, True)
    assert separate == measured(16, False)[1]
    assert found.vectors["query"].shape == (2, 3, 4, 4)


@pytest.mark.parametrize("together", [False, True])
def test_every_weight_is_in_one_part(together):
    arrays = weights(16)
    parts = alike.alike(arrays, layout(16), together=together)
    assert sorted(path for part in parts for path in part.members) == sorted(arrays)
    assert len(parts) == (3 if together else 6)
