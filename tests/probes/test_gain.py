"""Gains, alignments, ranks and the equilibrium of weight decay against numbers known otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.probes import (
    SUBLAYER_QUANTITIES,
    alignment,
    equilibrium_rms,
    relative_update,
    spectrum_shape,
    stable_rank,
    weight_rms,
)
from transfer.run_directory import GAINS_SCHEMA

from .drawn import gaussian, layout_of

LAYOUT = layout_of(3, 20, 12, axes="layers | embed -> ffn")


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@given(st.integers(0, 2**32 - 1))
def test_gain_is_width_times_the_top_value_times_an_alignment_of_at_most_one(seed):
    rng = np.random.default_rng(seed)
    weight, x = rng.standard_normal((20, 12)), rng.standard_normal((5, 20))
    _, values, _ = np.linalg.svd(weight)
    found = alignment(rms(x @ weight) / rms(x), values[0], LAYOUT["w"])
    assert 0 <= found <= 1 + 1e-6


def test_inputs_along_the_first_direction_are_aligned_and_random_ones_are_not():
    weight = gaussian(20, 12)
    left, values, _ = np.linalg.svd(weight)
    x = left[:, :1].T
    assert alignment(rms(x @ weight) / rms(x), values[0], LAYOUT["w"]) == pytest.approx(1)
    # Inputs of no direction meet all singular values: sqrt(stable rank / fan_in), 5000 of them
    # to a percent.
    x = gaussian(5000, 20, seed=1)
    expected = np.sqrt(np.sum(values**2) / values[0] ** 2 / 20)
    found = alignment(rms(x @ weight) / rms(x), values[0], LAYOUT["w"])
    assert found == pytest.approx(expected, rel=0.02)
    assert expected < 0.7


def test_stable_rank_and_shape_are_those_of_the_singular_values():
    weight = gaussian(3, 20, 12)
    values = np.linalg.svd(weight, compute_uv=False)
    found = stable_rank(weight_rms(jnp.asarray(weight), LAYOUT["w"]), values[:, 0], LAYOUT["w"])
    expected = np.sum(values**2, axis=1) / values[:, 0] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(spectrum_shape(values)[:, 1], values[:, 1] / values[:, 0])


def test_updates_are_relative_to_what_they_change():
    before = jnp.asarray(gaussian(3, 20, 12))
    scale = jnp.array([0.0, 0.5, -0.1])[:, None, None]
    found = relative_update(before * (1 + scale), before, LAYOUT["w"])
    np.testing.assert_allclose(found, [0, 0.5, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("rate", "decay", "rms", "limit"), [(0.01, 0.5, 0.0978, 0.1), (0.02, 1.0, 0.0921, 0.1)]
)
def test_the_equilibrium_is_the_published_number(rate, decay, rms, limit):
    assert equilibrium_rms(rate, decay, 0.9) == pytest.approx(rms, abs=5e-5)
    # The limit for small steps is another number, and is the limit.
    assert np.sqrt(rate / (2 * decay)) == pytest.approx(limit)
    small = equilibrium_rms(rate * 1e-4, decay, 0.9)
    assert small == pytest.approx(limit * 1e-2, rel=1e-3)


def test_steps_and_decay_on_noise_settle_at_the_equilibrium():
    """w' = a w - lr u, with u the running mean of noise that Adam's first moment is.

    The steady state is exact for this process; 4000 coordinates tell their RMS to 1.1 %.
    """
    rate, decay, b1 = 0.02, 1.0, 0.9

    def step(carry, key):
        w, m = carry
        m = b1 * m + (1 - b1) * jax.random.normal(key, w.shape)
        return ((1 - rate * decay) * w - rate * m, m), None

    zeros = jnp.zeros(4000)
    # Twelve decay times.
    (w, _), _ = jax.lax.scan(step, (zeros, zeros), jax.random.split(jax.random.key(0), 600))
    assert rms(w) == pytest.approx(equilibrium_rms(rate, decay, b1), rel=0.04)
    assert abs(rms(w) / equilibrium_rms(rate, decay, 0.0) - 1) > 0.06


def test_every_quantity_of_a_sublayer_has_a_column():
    assert set(SUBLAYER_QUANTITIES) < set(GAINS_SCHEMA.names)
