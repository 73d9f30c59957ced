"""Which matrices are decomposed and which are followed by Lanczos, with one kind of result."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer import probes
from transfer.probes import track_spectrum, tracked_vectors, tracking
from transfer.scaling import Annotated, Axes, Layout, Recipe

from .drawn import gaussian, quick

AXES = Axes.parse("layers | embed -> ffn")
# On either side of the limit, tall and wide.
SHAPES = {"tall": (2, 80, 64), "wide": (2, 64, 80), "large": (2, 65, 80)}


def declared(scale):
    return {
        path: Annotated(axes=AXES, shape=(layers, scale * rows, scale * columns), gain=1.0)
        for path, (layers, rows, columns) in SHAPES.items()
    }


LAYOUT = Layout.compare(base=declared(1), probe=declared(2), target=declared(1))
WEIGHTS = {path: jnp.asarray(gaussian(*shape)) for path, shape in SHAPES.items()}


def track(vectors, pairs):
    return quick(lambda w, v: track_spectrum(w, LAYOUT, v, k=3, pairs=pairs))(WEIGHTS, vectors)


def test_values_are_within_their_bounds_whichever_way_they_were_measured():
    vectors = tracked_vectors(LAYOUT, 3, jax.random.key(0))
    found = track(vectors, pairs=22)
    assert set(found.values) == set(found.bounds) == set(SHAPES)
    for path, weight in WEIGHTS.items():
        exact = np.linalg.svd(np.asarray(weight, np.float64), compute_uv=False)[:, :3]
        assert found.values[path].shape == found.bounds[path].shape == (2, 3)
        assert (np.abs(found.values[path] - exact) <= found.bounds[path]).all()
        assert (found.bounds[path] < 1e-4 * exact).all()


def test_only_matrices_above_the_limit_on_both_sides_keep_vectors(monkeypatch):
    vectors = tracked_vectors(LAYOUT, 3, jax.random.key(0))
    assert {path: each.shape for path, each in vectors.items()} == {"large": (2, 3, 65)}
    assert set(track(vectors, pairs=2).vectors) == {"large"}
    monkeypatch.setattr(tracking, "EXACT_UP_TO", 65)
    assert tracked_vectors(LAYOUT, 3, jax.random.key(0)) == {}
    monkeypatch.setattr(tracking, "EXACT_UP_TO", 63)
    assert set(tracked_vectors(LAYOUT, 3, jax.random.key(0))) == set(SHAPES)


def decomposed(function, *arguments):
    """Shapes of what LAPACK is given in a program for CPUs."""
    program = jax.jit(function).lower(*arguments).compile().as_text()
    return re.findall(r"f32\[([\d,]+)\]\S* .*custom_call_target=\"lapack_", program)


def test_a_large_matrix_is_measured_from_the_vectors_that_are_given():
    vectors = tracked_vectors(LAYOUT, 3, jax.random.key(0))
    cold = track(vectors, pairs=4)
    warm = track(cold.vectors, pairs=4)
    exact = np.linalg.svd(np.asarray(WEIGHTS["large"], np.float64), compute_uv=False)[:, 0]
    errors = [np.max(1 - each.values["large"][:, 0] / exact) for each in (cold, warm)]
    # Twice the products are worth far more than twice the accuracy, from the right vectors only.
    assert errors[1] < errors[0] / 10
    # What is decomposed starts from nothing.
    np.testing.assert_array_equal(cold.values["wide"], warm.values["wide"])


@pytest.mark.parametrize("limit", [0, tracking.EXACT_UP_TO])
def test_values_are_those_of_effective_weights(monkeypatch, limit):
    monkeypatch.setattr(tracking, "EXACT_UP_TO", limit)
    layout = Layout.compare(base=declared(1), probe=declared(2), target=declared(2))
    weights = {path: jnp.ones(parameter.shape) for path, parameter in layout.items()}
    vectors = tracked_vectors(layout, 1, jax.random.key(0))
    recipe = Recipe("mean_field")
    plain, effective = (
        quick(lambda w, v, each=each: track_spectrum(w, layout, v, k=1, pairs=2, recipe=each))(
            weights, vectors
        ).values
        for each in (None, recipe)
    )
    for path, parameter in layout.items():
        factor = recipe.multiplier(parameter)
        assert factor == pytest.approx(2**-0.5)
        np.testing.assert_allclose(effective[path], factor * plain[path], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("rank", [0, 1, 2, 8])
def test_what_is_decomposed_is_within_its_bound(scale, rank):
    """Few ranks, none, and scales whose squares float32 cannot hold."""
    weight = gaussian(1, 12, rank) @ gaussian(1, rank, 9, seed=1) if rank else np.zeros((1, 12, 9))
    shapes = {"w": Annotated(axes=AXES, shape=(1, 12, 9), gain=1.0)}
    wider = {"w": Annotated(axes=AXES, shape=(1, 24, 18), gain=1.0)}
    layout = Layout.compare(base=shapes, probe=wider, target=shapes)
    weight = (weight * scale).astype(np.float32)
    found = quick(lambda w: track_spectrum({"w": w}, layout, {}, k=3, pairs=1))(weight)
    exact = np.linalg.svd(weight.astype(np.float64), compute_uv=False)[:, :3]
    assert (np.abs(found.values["w"] - exact) <= found.bounds["w"]).all()
    # The bound is a statement: a hundred roundings of the largest value.
    assert (found.bounds["w"] <= 1e-5 * exact[:, :1]).all()


@pytest.mark.parametrize("measure", ["track_spectrum", "top_singular_values"])
def test_a_cpu_decomposes_one_matrix_at_a_time(measure):
    # LAPACK's calls of several matrices wait, on a thread of the pool, for other threads of that
    # pool: as many of them at once as there are cores never end.
    axes = Axes.parse("layers | embed -> ffn")

    def kernel(width):
        return {"up": Annotated(axes=axes, shape=(3, width, width), gain=1.0)}

    layout = Layout.compare(base=kernel(8), probe=kernel(16), target=kernel(64))
    measured = {
        "track_spectrum": lambda tree: probes.track_spectrum(tree, layout, {}, k=4, pairs=4).values,
        "top_singular_values": lambda tree: probes.top_singular_values(tree, layout, k=4),
    }[measure]

    def calls(function, *shape):
        trials = {"up": jax.ShapeDtypeStruct(shape, jnp.float32)}
        text = jax.jit(jax.vmap(function)).lower(trials).compile().as_text()
        lines = [line for line in text.splitlines() if 'custom_call_target="lapack' in line]
        return {re.search(r"= \(?\w+\[([\d,]+)\]", line)[1] for line in lines}

    found = calls(measured, 2, 3, 64, 64)
    assert found
    assert all(shape.count(",") == 1 for shape in found)
    # What is avoided looks like this.
    assert calls(lambda tree: jnp.linalg.svd(tree["up"])[1], 2, 64, 64) == {"2,64,64"}
