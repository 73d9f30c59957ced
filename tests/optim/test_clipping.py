"""The clipped norm: sqrt(sum_l c_l |g_l|^2)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer import optim
from transfer.scaling import Recipe

from .leaves import LAYOUT, M, after, ones, random, recipe
from .training import MUP_FORMS, STANDARD_CLASS

few = settings(max_examples=10, deadline=None)


def sgd(recipe, clip):
    """Moves every parameter by its rate times its clipped gradient."""
    return optim.sgd(1.0, layout=LAYOUT, recipe=recipe, clip=clip)


def clipped(gradients, recipe, clip):
    rules = recipe.rules(LAYOUT, "linear")
    moved = after(sgd(recipe, clip), gradients, jax.tree.map(jnp.zeros_like, gradients))
    return {path: -leaf / rules[path].learning_rate for path, leaf in moved.items()}


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # SGD learning rates of input, hidden, output, vector and scalar at four times the width.
        ("mup", (M, 1, M, M, 1)),
        ("mup_table3", (M, 1, 1 / M, M, 1)),
        ("mean_field", (M, M, M, M, 1)),
        ("standard", (M**0.5, M**-0.5, 1 / M, M**0.5, 1)),
    ],
)
def test_the_norm_weighs_squares_by_the_sgd_rates(name, weights):
    gradients = random()
    expected = math.sqrt(
        sum(
            weight * float(np.sum(np.square(np.asarray(gradients[path], np.float64))))
            for weight, path in zip(weights, LAYOUT, strict=True)
        )
    )
    assert float(optim.gradient_norm(gradients, LAYOUT, recipe(name))) == pytest.approx(expected)


def test_the_raw_norm_weighs_nothing():
    gradients = random()
    flat = np.concatenate([np.ravel(leaf) for leaf in gradients.values()])
    for framework in (Recipe("standard"), recipe(clipping="raw")):
        norm = float(optim.gradient_norm(gradients, LAYOUT, framework))
        assert norm == pytest.approx(np.linalg.norm(flat))


@pytest.mark.parametrize("forms", [MUP_FORMS, STANDARD_CLASS], ids=["mup", "standard"])
def test_all_forms_of_a_class_have_the_same_norm(forms):
    """The gradient of a form is its multiplier times that of the effective weight."""
    of_effective_weights = random()
    norms = []
    for form in forms:
        rules = recipe(form).rules(LAYOUT)
        gradients = {path: rules[path].multiplier * g for path, g in of_effective_weights.items()}
        norms.append(float(optim.gradient_norm(gradients, LAYOUT, recipe(form))))
    assert norms == pytest.approx([norms[0]] * len(forms), rel=1e-6)


@few
@given(st.floats(1e-3, 1e3), st.sampled_from([*MUP_FORMS, *STANDARD_CLASS, "unit"]))
def test_what_is_too_large_is_scaled_to_the_bound(size, name):
    gradients = random(scale=size)
    norm = float(optim.gradient_norm(gradients, LAYOUT, recipe(name)))
    left = clipped(gradients, recipe(name), clip=norm / 3)
    # All leaves by the same factor: the direction stays.
    for path in LAYOUT:
        np.testing.assert_allclose(left[path], gradients[path] / 3, rtol=1e-5)
    assert float(optim.gradient_norm(left, LAYOUT, recipe(name))) == pytest.approx(norm / 3)


@few
@given(st.floats(1e-3, 1e3))
def test_what_is_small_enough_is_left_to_the_last_bit(size):
    gradients = random(scale=size)
    bound = 1.01 * float(optim.gradient_norm(gradients, LAYOUT, recipe()))
    free = after(optim.sgd(1.0, layout=LAYOUT, recipe=recipe()), gradients)
    for path, leaf in after(sgd(recipe(), bound), gradients).items():
        np.testing.assert_array_equal(leaf, free[path])


def test_the_bound_is_met_exactly_however_small_it_is():
    """A guard against dividing by zero must not show."""
    gradients = random(scale=1e-12)
    norm = float(optim.gradient_norm(gradients, LAYOUT, recipe()))
    left = clipped(gradients, recipe(), clip=norm / 2)
    np.testing.assert_allclose(left["hidden"], gradients["hidden"] / 2, rtol=1e-5)


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
def test_zero_gradients_stay_zero(make):
    zeros = jax.tree.map(jnp.zeros_like, ones())
    moved = after(make(0.1, layout=LAYOUT, recipe=recipe(), clip=1.0), zeros)
    for leaf in moved.values():
        np.testing.assert_array_equal(leaf, 1.0)


def test_adamw_clips_before_its_moments():
    """Clipping by half is halving the gradients, which a large epsilon does not forgive."""
    gradients = random()
    norm = float(optim.gradient_norm(gradients, LAYOUT, recipe()))
    settings = {"layout": LAYOUT, "recipe": recipe(), "eps": 1.0}
    one = after(optim.adamw(0.1, clip=norm / 2, **settings), gradients)
    other = after(optim.adamw(0.1, **settings), jax.tree.map(lambda g: g / 2, gradients))
    free = after(optim.adamw(0.1, **settings), gradients)
    for path in LAYOUT:
        np.testing.assert_allclose(one[path], other[path], rtol=1e-5)
        assert np.max(np.abs(one[path] - free[path])) > 1e-3


def test_a_gradient_in_bfloat16_among_others_keeps_its_type():
    gradients = random() | {"hidden": random()["hidden"].astype(jnp.bfloat16)}
    tx = sgd(recipe(), 1e-2)
    updates, _ = tx.update(gradients, tx.init(gradients), gradients)
    for path, leaf in updates.items():
        assert leaf.dtype == gradients[path].dtype


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan])
def test_a_bound_that_bounds_nothing_is_refused(clip):
    with refused(clip):
        sgd(Recipe("mup"), clip)
