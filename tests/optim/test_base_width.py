"""At the base width every recipe is optax's AdamW on the model's own init, to the last bit."""

import itertools

import jax
import numpy as np
import optax
import optax.contrib
import pytest

from transfer.optim import OPTIMIZERS
from transfer.scaling import PARAMETRIZATIONS, Recipe, Role

from .training import ADAMW, GROWING_HEADS, MLP, RESNET, TRANSFORMER, at_width, train

pytestmark = pytest.mark.sampled

RATES = ("uniform", "full", "none")
DECAYS = ("constant", "sqrt", "independent")
EVERY = tuple(PARAMETRIZATIONS)


@pytest.mark.parametrize("name", EVERY)
def test_every_parametrization_trains_the_same_transformer(name):
    np.testing.assert_array_equal(train(TRANSFORMER, Recipe(name)), train(TRANSFORMER, Recipe()))


@pytest.mark.parametrize("name", EVERY)
def test_every_parametrization_trains_the_same_residual_network(name):
    ours = train(RESNET, Recipe(name), steps=6)
    np.testing.assert_array_equal(ours, train(RESNET, Recipe(), steps=6))


def test_residual_networks_part_by_recipe_off_the_base_width():
    one, other = (train(at_width(RESNET, 3), Recipe(name)) for name in ("standard", "mup"))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("depth", ["completep", "depth_mup"])
def test_a_depth_rule_changes_nothing_at_the_base_depth(depth):
    ruled = train(TRANSFORMER, Recipe("mup", depth=depth))
    np.testing.assert_array_equal(ruled, train(TRANSFORMER, Recipe()))


def test_both_classes_train_the_same_transformer_whose_heads_grow():
    """Their attention multipliers meet at the base head dimension, whatever it is."""
    np.testing.assert_array_equal(*(train(GROWING_HEADS, Recipe(n)) for n in ("standard", "mup")))


# A Latin square: every pair of name, rates and decay rule is met.
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rates", RATES)
def test_rates_and_decay_rules_change_nothing(name, rates):
    decay = DECAYS[(EVERY.index(name) + RATES.index(rates)) % 3]
    recipe = Recipe(name, rates=rates, decay=decay)
    np.testing.assert_array_equal(train(MLP, recipe), train(MLP, Recipe()))


# The factors of the other forms are 1.0 just the same (tests/scaling/test_recipe.py).
FORMS = ("standard", "mup", "mean_field")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_the_same_by_any_recipe(optimizer):
    """Six steps, in which clipping, decay and momentum have all acted."""
    first, *others = (
        train(MLP, Recipe(name, rates="full", decay=decay), optimizer=optimizer, steps=6)
        for name, decay in zip(FORMS, itertools.cycle(DECAYS), strict=False)
    )
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("optimizer", ["sgd", "adafactor", "muon"])
def test_every_optimizer_parts_by_recipe_off_the_base_width(optimizer):
    one, other = (
        train(at_width(MLP, 2), Recipe(name), optimizer=optimizer, steps=2)
        for name in ("standard", "mup")
    )
    assert not np.array_equal(one, other)


def test_recipes_part_off_the_base_width():
    names = ("standard", "mup", "unit")
    wide = [train(at_width(MLP, 2), Recipe(name), steps=2) for name in names]
    for one, other in itertools.combinations(wide, 2):
        assert not np.array_equal(one, other)


def plain(layout, recipe):
    """Optax as a user of a framework writes it: one AdamW, one norm, decay on matrices."""
    del recipe

    def decayed(parameters):
        return jax.tree_util.tree_map_with_path(
            lambda keys, _: (
                layout[jax.tree_util.keystr(keys, simple=True, separator=".")].role == Role.HIDDEN
            ),
            parameters,
        )

    return optax.chain(
        optax.clip_by_global_norm(ADAMW["clip"]),
        optax.adamw(
            ADAMW["learning_rate"],
            b1=0.9,
            b2=0.95,
            eps=ADAMW["eps"],
            weight_decay=ADAMW["weight_decay"],
            mask=decayed,
        ),
    )


@pytest.mark.parametrize("config", [MLP, TRANSFORMER], ids=["mlp", "transformer"])
def test_it_is_the_adamw_of_optax_with_a_mask(config):
    ours, theirs = train(config, Recipe("standard")), train(config, Recipe(), optimizer=plain)
    # Not to the last bit: optax divides by the norm before it multiplies by the bound.
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def optax_nadam(layout, recipe):
    del layout, recipe
    return optax.nadamw(0.02, b1=0.9, b2=0.95, eps=3e-3, weight_decay=0.0)


def optax_lion(layout, recipe):
    del layout, recipe
    return optax.lion(0.02, weight_decay=0.0)


def optax_adafactor(layout, recipe):
    del layout, recipe
    return optax.adafactor(0.02, min_dim_size_to_factor=1)


def optax_muon(layout, recipe):
    """Muon on hidden matrices alone; optax hands `nesterov` to the AdamW beside it too."""
    del recipe

    def hidden(parameters):
        return jax.tree_util.tree_map_with_path(
            lambda keys, _: (
                optax.contrib.MuonDimensionNumbers()
                if layout[jax.tree_util.keystr(keys, simple=True, separator=".")].role
                == Role.HIDDEN
                else None
            ),
            parameters,
        )

    return optax.contrib.muon(
        0.02, nesterov=False, adam_b2=0.95, muon_weight_dimension_numbers=hidden
    )


@pytest.mark.parametrize(
    ("name", "settings", "theirs", "rounding"),
    [
        ("nadam", {"eps": 3e-3}, optax_nadam, 1e-12),
        ("lion", {}, optax_lion, 1e-12),
        # Optax computes the decay of the second moment in float32.
        ("adafactor", {"eps": 1e-30, "min_scale": 1e-3}, optax_adafactor, 1e-5),
        ("muon", {"eps": 1e-8, "nesterov": False}, optax_muon, 1e-12),
    ],
)
def test_it_is_the_same_optimizer_of_optax(name, settings, theirs, rounding):
    plain = {"learning_rate": 0.02, "weight_decay": 0.0, "clip": None}
    ours = train(MLP, Recipe("standard"), optimizer=name, **plain, **settings)
    expected = train(MLP, Recipe("standard"), optimizer=theirs)
    np.testing.assert_allclose(ours, expected, rtol=rounding, atol=rounding)
