"""A recipe as arrays stands wherever a recipe does, traced and mapped over trials too."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from refusals import refused

from transfer import RecipeArrays, gradient_norm, top_singular_values
from transfer.models import MLPConfig, initialize, model_layout
from transfer.optim import OPTIMIZERS
from transfer.scaling import Hyperparameters, Layout, Recipe

MODEL = MLPConfig(width=16, layers=2, features=3, outputs=2, biases=True)
DOUBLE = dataclasses.replace(MODEL, dtype="float64")
LAYOUT = model_layout(MODEL, 4)
RECIPES = (
    Recipe("mup"),
    Recipe("standard"),
    Recipe("mup_table3", decay="independent", decay_readout=True),
    Recipe("ntk", rates="full"),
)
TUNED = Hyperparameters(learning_rate=2.0**-4)
KEY = jax.random.key(0)


def arrays(recipe, family="entrywise"):
    return RecipeArrays.of(recipe, LAYOUT.parameters, family, multipliers=LAYOUT.multipliers)


def stepped(name, recipe, parameters):
    """Two updates of every parameter, with decay and clipping on."""
    make = OPTIMIZERS[name].make
    tx = make(2.0**-4, 0.3, layout=LAYOUT.parameters, recipe=recipe, clip=0.1)
    state, moved = tx.init(parameters), parameters
    for _ in range(2):
        updates, state = tx.update(jax.tree.map(jnp.sin, moved), state, moved)
        moved = optax.apply_updates(moved, updates)
    return moved


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_the_same_steps_by_arrays_mapped_over_recipes(name):
    with jax.enable_x64(True):
        parameters, _ = initialize(DOUBLE, LAYOUT, RECIPES[0], TUNED, KEY)
        stacked = RecipeArrays.stack([arrays(each, OPTIMIZERS[name].family) for each in RECIPES])
        mapped = jax.jit(jax.vmap(lambda each: stepped(name, each, parameters)))(stacked)

        for place, recipe in enumerate(RECIPES):
            expected = stepped(name, recipe, parameters)
            for leaf, other in zip(jax.tree.leaves(mapped), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(leaf[place], other, rtol=1e-12, atol=1e-15)
        kernels = jax.tree.leaves(mapped)
        assert max(float(np.ptp(np.asarray(leaf), axis=0).max()) for leaf in kernels) > 1e-2


def test_init_multipliers_norms_and_singular_values_are_those_of_the_recipe():
    def measured(recipe):
        parameters, multipliers = initialize(MODEL, LAYOUT, recipe, TUNED, KEY)
        norm = gradient_norm(parameters, LAYOUT.parameters, recipe)
        return (
            parameters,
            multipliers,
            norm,
            top_singular_values(parameters, LAYOUT.parameters, recipe=recipe),
        )

    mapped = jax.jit(jax.vmap(measured))(RecipeArrays.stack([arrays(each) for each in RECIPES]))
    for place, recipe in enumerate(RECIPES):
        for leaf, other in zip(
            jax.tree.leaves(mapped), jax.tree.leaves(measured(recipe)), strict=True
        ):
            np.testing.assert_allclose(leaf[place], other, rtol=1e-5, atol=1e-6)


def test_another_family_and_another_model_are_refused():
    with refused("linear", "entrywise"):
        OPTIMIZERS["sgd"].make(0.1, layout=LAYOUT.parameters, recipe=arrays(RECIPES[0]))
    part = Layout(dict(list(LAYOUT.parameters.items())[:2]))
    with refused("layers.1"):
        gradient_norm({}, LAYOUT.parameters, RecipeArrays.of(RECIPES[0], part))
