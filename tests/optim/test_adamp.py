"""On weights whose norm the loss does not see, AdamP keeps the effective step |dw| / |w|.

A scale-invariant gradient is orthogonal to its weight, so |w|^2 grows by the square of each step.
Momentum repeats steps that were orthogonal to earlier weights and no longer are: under gradients of
pure noise, |w|^2 grows by |sum g|^2 instead of sum |m|^2, (1 + b1) / (1 - b1) = 19 times faster for
b1 = 0.9 (Heo et al., arXiv 2006.08217). AdamP takes that back.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transfer import optim
from transfer.scaling import Annotated, Axes, Layout, Recipe

FAN_IN, FAN_OUT, LR, STEPS = 64, 16, 0.02, 160
# Until Adam's momentum has filled up, its debiased steps shrink by themselves.
FILLED = 20


def declared(width):
    axes = Axes.parse("embed -> ffn")
    return {"kernel": Annotated(axes=axes, shape=(width, FAN_OUT), gain=1.0)}


LAYOUT = Layout.compare(base=declared(FAN_IN), probe=declared(2 * FAN_IN), target=declared(FAN_IN))


def by_output(kernel):
    return kernel / jnp.linalg.norm(kernel, axis=0)


def as_a_whole(kernel):
    return kernel / jnp.linalg.norm(kernel)


@functools.cache
def norms(name, normalized, **settings):
    """Squared norm of the kernel over its first, and the effective step, at every step."""
    tx = getattr(optim, name)(LR, layout=LAYOUT, recipe=Recipe("standard"), **settings)

    def loss(parameters, noise):
        return jnp.sum(noise * normalized(parameters["kernel"]))

    def step(carry, key):
        parameters, state = carry
        noise = jax.random.normal(key, (FAN_IN, FAN_OUT))
        updates, state = tx.update(jax.grad(loss)(parameters, noise), state, parameters)
        norm = jnp.linalg.norm(parameters["kernel"])
        measured = norm, jnp.linalg.norm(updates["kernel"]) / norm
        return (optax.apply_updates(parameters, updates), state), measured

    kernel = jax.random.normal(jax.random.key(0), (FAN_IN, FAN_OUT)) / FAN_IN**0.5
    start = {"kernel": kernel}
    keys = jax.random.split(jax.random.key(1), STEPS)
    _, (norm, effective) = jax.lax.scan(step, (start, tx.init(start)), keys)
    return np.square(norm / norm[0]), np.asarray(effective)


def growth(name, normalized, **settings):
    """By how much of its first value |w|^2 grows once the momentum is full."""
    square, _ = norms(name, normalized, **settings)
    return float(square[-1] - square[FILLED])


# A column of FAN_IN entries of size LR adds LR^2 FAN_IN to a norm that was about 1.
EXPECTED = LR**2 * FAN_IN * (STEPS - 1 - FILLED)
normalized = pytest.mark.parametrize("normalized", [by_output, as_a_whole])


@normalized
def test_momentum_grows_the_norm_and_adamp_takes_it_back(normalized):
    # The noise of 64 x 16 entries over 140 steps leaves the sums to some percent.
    assert growth("adamw", normalized) == pytest.approx(EXPECTED, rel=0.15)
    assert growth("adamp", normalized) == pytest.approx(EXPECTED / 19, rel=0.15)


@normalized
def test_the_effective_step_decays_under_adamw_and_hardly_under_adamp(normalized):
    def kept(name):
        square, effective = norms(name, normalized)
        early, late = slice(FILLED, 2 * FILLED), slice(STEPS - FILLED, STEPS)
        predicted = np.sqrt(np.mean(square[early]) / np.mean(square[late]))
        measured = np.mean(effective[late]) / np.mean(effective[early])
        # The step before dividing by the norm is the same throughout, to some percent.
        assert measured == pytest.approx(predicted, rel=0.1)
        return measured

    assert kept("adamw") < 0.65
    assert kept("adamp") > 0.85


def test_without_momentum_there_is_nothing_to_take_back():
    with_adam, with_adamp = (growth(name, by_output, b1=0.0) for name in ("adamw", "adamp"))
    assert with_adamp == pytest.approx(with_adam, rel=0.05)


def test_a_threshold_of_zero_is_adamw():
    for measured, expected in zip(
        norms("adamp", by_output, delta=0.0), norms("adamw", by_output), strict=True
    ):
        np.testing.assert_array_equal(measured, expected)


def test_a_projected_weight_decays_by_the_ratio():
    """One step on a scale-invariant gradient, with a decay and without it."""
    kernel = jnp.zeros((FAN_IN, FAN_OUT)).at[0].set(1.0)
    gradient = jnp.zeros((FAN_IN, FAN_OUT)).at[1].set(1.0)

    def moved(decay, **settings):
        recipe = Recipe("standard", decay_readout=True)
        tx = optim.adamp(0.5, decay, layout=LAYOUT, recipe=recipe, **settings)
        start = {"kernel": kernel}
        updates, _ = tx.update({"kernel": gradient}, tx.init(start), start)
        return updates["kernel"]

    for ratio in (0.1, 1.0):
        lost = moved(0.0, wd_ratio=ratio) - moved(0.2, wd_ratio=ratio)
        np.testing.assert_allclose(lost, 0.5 * 0.2 * ratio * kernel, rtol=1e-5)
    along = moved(0.2, delta=0.0, wd_ratio=0.1) - moved(0.0, delta=0.0, wd_ratio=0.1)
    np.testing.assert_allclose(-along, 0.5 * 0.2 * kernel, rtol=1e-5)
