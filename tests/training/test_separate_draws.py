"""Recipes that are data change no result: losses of the time when they were compiled in."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from transfer.models import map_paths
from transfer.models.functional import multiplier_value
from transfer.models.variables import Multiplier
from transfer.scaling import Hyperparameters, Recipe
from transfer.training import population

from .tiny import train

# By recipe, (trial, step): what each population of one recipe gave, its weights drawn one by one.
BEFORE = json.loads(pathlib.Path(__file__).with_name("losses_of_separate_draws.json").read_text())
SETTINGS = (
    (Hyperparameters(learning_rate=2.0**-8, weight_decay=0.1), 0),
    (Hyperparameters(learning_rate=2.0**-7, readout_output=2.0), 0),
    (Hyperparameters(learning_rate=2.0**-9, init_scale=0.5), 3),
)
RECIPES = ("mup", "standard", "ntk+independent")


def drawn_one_by_one(
    config: Any, layout: Any, recipe: Any, hyperparameters: Any, key: jax.Array, *, at_once: bool
) -> Any:
    """`initialize` with a key for every weight, as it was once."""
    del at_once
    module = config.build(nnx.Rngs(params=key))
    parameters, multipliers = nnx.state(module, nnx.Param, Multiplier)

    def scaled(path: str, unit: jax.Array) -> jax.Array:
        std = recipe.init_std(layout.parameters[path])
        return unit if std is None else unit * (std * hyperparameters.init_scale)

    def value(path: str, unit: jax.Array) -> jax.Array:
        return unit * multiplier_value(layout.multipliers[path], recipe, hyperparameters)

    return (
        map_paths(scaled, nnx.to_pure_dict(parameters)),
        map_paths(value, nnx.to_pure_dict(multipliers)),
    )


@pytest.fixture
def separate(monkeypatch):
    monkeypatch.setattr(population, "initialize", drawn_one_by_one)


def test_trials_of_three_recipes_in_one_program_are_those_of_a_program_each(separate):
    settings = [(*each, Recipe.parse(name)) for name in RECIPES for each in SETTINGS]
    losses = train(settings, clip=1.0).history["loss"]
    expected = np.concatenate([BEFORE[name] for name in RECIPES])

    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    # Or the recipes would not be told apart.
    assert np.abs(losses[:3, -1] / losses[3:6, -1] - 1).max() > 1e-2


def test_so_are_those_of_another_family(separate):
    losses = train(SETTINGS, optimizer="sgd", clip=1.0).history["loss"]
    np.testing.assert_allclose(losses, BEFORE["mup sgd"], rtol=1e-5)


def test_another_draw_gives_other_losses():
    losses = train(SETTINGS, optimizer="sgd", clip=1.0).history["loss"]
    assert np.abs(losses / BEFORE["mup sgd"] - 1).max() > 1e-3
