"""Measurements of a model's parameters: the reference, vectors from one to the next, and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from transfer.models import TransformerConfig, initialize, model_layout
from transfer.probes import initial_vectors, measure_spectrum, spectrum, top_singular_values
from transfer.scaling import Hyperparameters, Recipe, Role

from .drawn import gaussian, layout_of, quick

CONFIG = TransformerConfig(
    width=32, layers=2, vocabulary=7, head_dim=8, queries_per_kv_head=2, dtype="float32"
)
LAYOUT = model_layout(CONFIG, base_width=16).parameters
# A few roundings of float32.
CLOSE = {"rtol": 2e-6}


def measure(parameters, layout, start, *, pairs):
    return quick(lambda w, v: measure_spectrum(w, layout, v, pairs=pairs))(parameters, start)


@pytest.fixture(scope="module")
def parameters():
    one = Hyperparameters(learning_rate=1.0)
    layout = model_layout(CONFIG, base_width=16)
    draw = jax.jit(lambda key: initialize(CONFIG, layout, Recipe("ntk"), one, key)[0])
    return draw(jax.random.key(0))


def test_every_hidden_matrix_of_a_model_is_measured(parameters):
    """Stacked layers, split heads on either side, tall and wide, and the multipliers of ntk."""
    recipe = Recipe("ntk")
    exact = top_singular_values(parameters, LAYOUT, k=3, recipe=recipe)
    measure = quick(lambda: top_singular_values(parameters, LAYOUT, k=3, recipe=recipe, pairs=12))
    measured = measure()
    assert set(measured) == {path for path in LAYOUT if LAYOUT[path].role == Role.HIDDEN}
    for path, values in measured.items():
        assert values.shape == exact[path].shape == (2, 3)
        np.testing.assert_allclose(values, exact[path], **CLOSE)


def test_vectors_are_those_of_the_smaller_side_and_capped_by_it(parameters):
    start = initial_vectors(LAYOUT, 20, jax.random.key(0))
    shapes = {path.removeprefix("blocks."): each.shape for path, each in start.items()}
    assert shapes["attention.key.kernel"] == (2, 16, 2, 8)
    assert shapes["attention.out.kernel"] == (2, 20, 32)
    assert shapes["feed_forward.up.kernel"] == (2, 20, 32)
    assert shapes["feed_forward.down.kernel"] == (2, 20, 32)
    found = jax.eval_shape(lambda: measure_spectrum(parameters, LAYOUT, start, pairs=2))
    assert {path: each.shape for path, each in found.vectors.items()} == {
        path: each.shape for path, each in start.items()
    }


def test_they_are_the_singular_vectors():
    matrix = gaussian(30, 20)
    layout = layout_of(30, 20)
    start = initial_vectors(layout, 2, jax.random.key(0))
    found = measure({"w": jnp.asarray(matrix)}, layout, start, pairs=10)
    images = found.vectors["w"] @ matrix.T
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), found.values["w"], rtol=1e-5)
    np.testing.assert_allclose(images @ images.T, np.diag(found.values["w"]) ** 2, atol=1e-3)


def test_a_matrix_stored_as_out_in_is_the_same_matrix():
    matrix = jnp.asarray(gaussian(4, 12, 20))
    layout, turned = (
        layout_of(4, 12, 20, axes="0 | 1 -> 2"),
        layout_of(4, 20, 12, axes="0 | 2 -> 1"),
    )
    start = initial_vectors(layout, 1, jax.random.key(0))
    values = measure({"w": matrix}, layout, start, pairs=9).values["w"]
    other = measure({"w": matrix.transpose(0, 2, 1)}, turned, start, pairs=9).values["w"]
    np.testing.assert_allclose(other, values, **CLOSE)


def test_trials_under_vmap_are_measured_as_alone():
    layout = layout_of(3, 20, 24, axes="layers | embed -> ffn")
    weights = jnp.asarray(gaussian(2, 3, 20, 24))
    start = initial_vectors(layout, 2, jax.random.key(0))

    def one(weight):
        return measure_spectrum({"w": weight}, layout, start, pairs=4)

    together, one = quick(jax.vmap(one))(weights), quick(one)
    for trial, weight in enumerate(weights):
        alone = one(weight)
        np.testing.assert_allclose(together.values["w"][trial], alone.values["w"], **CLOSE)
        np.testing.assert_allclose(together.bounds["w"][trial], alone.bounds["w"], rtol=1e-3)


def test_half_precision_is_measured_as_float32():
    matrix = jnp.asarray(gaussian(24, 24), jnp.bfloat16)
    layout = layout_of(24, 24)
    values = quick(lambda w: top_singular_values({"w": w}, layout, k=2, pairs=12)["w"])(matrix)
    assert values.dtype == jnp.float32
    exact = np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)
    np.testing.assert_allclose(values, exact[:2], **CLOSE)


def test_vectors_of_a_zero_matrix_find_what_it_becomes():
    """Many forms start a weight at zero."""
    layout = layout_of(24, 24)
    start = initial_vectors(layout, 2, jax.random.key(0))
    zero = measure({"w": jnp.zeros((24, 24))}, layout, start, pairs=12)
    assert np.all(zero.values["w"] == 0)
    matrix = gaussian(24, 24)
    found = measure({"w": jnp.asarray(matrix)}, layout, zero.vectors, pairs=12)
    exact = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(found.values["w"], exact[:2], **CLOSE)


@pytest.mark.parametrize(("fresh", "found"), [(spectrum._FRESH, True), (0.0, False)])
def test_a_direction_that_the_last_vectors_did_not_contain_is_found(monkeypatch, fresh, found):
    """A second block grows, which products with the first one's vectors never reach."""
    monkeypatch.setattr(spectrum, "_FRESH", fresh)
    layout = layout_of(40, 40)
    first = np.zeros((40, 40), np.float32)
    first[:20, :20] = gaussian(20, 20)
    start = {"w": jnp.eye(40)[:1]}
    last = measure({"w": jnp.asarray(first)}, layout, start, pairs=12)

    grown = first.copy()
    grown[20:, 20:] = 2 * gaussian(20, 20, seed=1)
    exact = np.linalg.svd(grown, compute_uv=False)[0]
    new = measure({"w": jnp.asarray(grown)}, layout, last.vectors, pairs=12)
    assert (abs(float(new.values["w"][0]) / exact - 1) < 1e-3) == found


@pytest.mark.parametrize(("pairs", "path"), [(0, "w"), (1, "another")])
def test_no_pairs_and_vectors_of_another_model_are_refused(pairs, path):
    start = {path: jnp.ones((1, 5))}
    with refused(1):
        measure_spectrum({"w": jnp.ones((5, 5))}, layout_of(5, 5), start, pairs=pairs)
