"""Reparametrizing layers by any numbers changes no training run (Tensor Programs V, Lemma J.1)."""

import dataclasses

import pytest

from transfer.scaling import Recipe, Rule

from .training import MLP, TRANSFORMER, at_width, deviation, train

THETAS = {"layers.0.linear": 3.7, "layers.1.linear": 0.13, "layers.2.linear": 29.0}
# Measured in float64: 6e-16 for the perceptron and 1e-13 for the transformer, which amplifies its
# roundings over so many steps; in float32 3e-7. A missing conversion is seen at 0.09 or more.
ROUNDING = {"float64": 1e-12, "float32": 1e-5}
BROKEN = 1e-2
STEPS = 50
OPTIMIZERS = {
    "momentum": {"optimizer": "sgd", "weight_decay": 0.0},
    "sgd with decay": {"optimizer": "sgd", "momentum": 0.0},
    "adam": {"optimizer": "adamw", "weight_decay": 0.0},
    "adamw": {"optimizer": "adamw"},
}
RECIPE = Recipe("mup")


def moved(recipe, factors=THETAS, config=MLP, **settings):
    """How far a reparametrized recipe's run is from the recipe's own."""
    config, own = (
        at_width(config, 3),
        dataclasses.replace(recipe, reparametrization=RECIPE.reparametrization),
    )
    one, other = (
        train(config, each, steps=STEPS, **settings)
        for each in (own, recipe.reparametrized(factors))
    )
    return deviation(one, other)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_reparametrized_perceptron_trains_the_same(name, dtype):
    assert moved(RECIPE, dtype=dtype, **OPTIMIZERS[name]) < ROUNDING[dtype]


@pytest.mark.parametrize("name", ["standard", "mean_field"])
def test_so_it_does_under_other_recipes(name):
    recipe = Recipe(name, clipping="invariant")
    assert moved(recipe) < ROUNDING["float64"]


@pytest.mark.parametrize("tied", [False, True])
def test_layers_of_a_transformer_reparametrization_with_their_multipliers(tied):
    config = dataclasses.replace(TRANSFORMER, tied=tied)
    factors = {"embedding": 3.7, "blocks.attention.out": 0.13, "blocks.feed_forward.up": 29.0}
    assert moved(RECIPE, factors, config) < ROUNDING["float64"]


class UnconvertedEpsilon(Recipe):
    def rule(self, parameter, family="entrywise") -> Rule:
        rule = super().rule(parameter, family)
        theta = self.reparametrization.factor(parameter)
        return dataclasses.replace(rule, epsilon=rule.epsilon / theta)


class UnconvertedDecay(Recipe):
    def rule(self, parameter, family="entrywise") -> Rule:
        rule = super().rule(parameter, family)
        theta = self.reparametrization.factor(parameter) ** (2 if family == "linear" else 1)
        return dataclasses.replace(rule, weight_decay=rule.weight_decay / theta)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_an_epsilon_left_alone_breaks_it(name):
    assert moved(UnconvertedEpsilon("mup"), **OPTIMIZERS[name]) > BROKEN


@pytest.mark.parametrize("name", ["sgd with decay", "adamw"])
def test_a_decay_left_alone_breaks_it(name):
    assert moved(UnconvertedDecay("mup"), **OPTIMIZERS[name]) > BROKEN


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_clipping_the_raw_norm_breaks_it(name):
    assert moved(Recipe("mup", clipping="raw"), **OPTIMIZERS[name]) > BROKEN
