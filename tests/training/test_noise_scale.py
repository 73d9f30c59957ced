"""The gradient noise scale: the estimate, and what training records for it."""

import math

import numpy as np
import pytest
from refusals import refused

from transfer.training import TrainingConfig
from transfer.training.noise_scale import CURVE, noise_scale

from .tiny import group, train


@pytest.mark.parametrize("known", [4.0, 64.0])
def test_the_noise_scale_of_known_gradients_is_found(known):
    """Gradients G + n with tr(Sigma) / |G|^2 = known, in halves of a batch of 16."""
    generator = np.random.default_rng(0)
    steps, size, batch = 4000, 50, 16
    mean = np.full(size, 1 / math.sqrt(size))
    halves = mean + generator.normal(0, math.sqrt(known / (batch / 2) / size), (2, steps, size))
    whole, difference = halves.mean(axis=0), (halves[0] - halves[1]) / 2

    found = noise_scale(
        np.linalg.norm(whole, axis=1), np.linalg.norm(difference, axis=1), batch, share=1.0
    )
    # Three standard errors, from the spread of |g1 - g2|^2 and of the product of the halves.
    assert found == pytest.approx(known, rel=0.1)


def test_means_are_taken_before_dividing():
    grad_norm, grad_noise = np.array([5.0, 13.0]), np.array([3.0, 5.0])
    assert noise_scale(grad_norm, grad_noise, 2, share=1.0) == pytest.approx(
        2 * (9 + 25) / (16 + 144)
    )
    assert noise_scale(grad_norm, grad_noise, 2) == pytest.approx(2 * 25 / 144)


def test_a_gradient_that_is_lost_in_the_noise_has_no_finite_scale():
    assert noise_scale(np.array([1.0]), np.array([1.0]), 8) == math.inf
    assert math.isnan(noise_scale(np.array([math.nan]), np.array([1.0]), 8))


@pytest.fixture(scope="module")
def outcomes():
    return [train(noise_scale=on) for on in (False, True)]


def test_training_in_halves_is_the_same_training(outcomes):
    plain, halved = outcomes
    assert set(plain.history) == {"loss", "grad_norm"}
    assert set(halved.history) == {"loss", "grad_norm", CURVE}
    for name in ("loss", "grad_norm"):
        # Sums of float32 in another order; the learning rates are below what would amplify that.
        assert np.allclose(plain.history[name], halved.history[name], rtol=1e-4)


def test_the_noise_is_below_the_gradient_while_it_is_learned_and_never_zero(outcomes):
    _, halved = outcomes
    assert (halved.history[CURVE] > 0).all()
    assert (halved.history[CURVE][:, 0] < halved.history["grad_norm"][:, 0]).all()


def test_a_batch_without_halves_is_refused():
    with refused("training.noise_scale", 7):
        TrainingConfig(noise_scale=True).at_once(7)
    with refused("training.noise_scale", 4, 12, 8):
        TrainingConfig(noise_scale=True, microbatches=4).at_once(12)


def test_it_names_a_trial_where_it_is_asked_for_alone():
    plain, halved = group(), group(noise_scale=True)
    (first, *_) = plain.trials
    assert plain.trial_name(first) != halved.trial_name(first)
