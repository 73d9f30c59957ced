"""abc-exponents: how they are written, shifted, and read off a recipe."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Exponents, Recipe
from transfer.scaling.recipe import FAMILIES

from .parameters import EVERY, of_role
from .tables import AT_4


def test_text_goes_there_and_back():
    text = "-1/2 1/2 0 | 0 1/2 1/4 | 1/2 1/2 -3"
    assert str(Exponents.parse(text, "linear")) == text
    assert Exponents.parse("0.25 0 0 | 1 0 1e-1", "linear").layers[1].c == Fraction(1, 10)


@pytest.mark.parametrize("text", ["", "0 0 | 0 0 0", "0 0 0 | 0 0 0 0", "0 0 x | 0 0 0", "1/0 0 0"])
def test_text_that_is_no_table_is_refused(text):
    with refused():
        Exponents.parse(text, "linear")


def test_a_network_without_a_hidden_layer_is_refused():
    with refused(2):
        Exponents.parse("0 0 0", "linear")
    with refused(0):
        Exponents.of(Recipe("mup"), "linear", hidden_layers=0)


def test_an_unknown_family_is_refused():
    with refused("sgd", "linear"):
        Exponents.parse("0 0 0 | 0 0 0", "sgd")


@pytest.mark.parametrize(
    ("family", "shifted"),
    [
        ("linear", "0 1/2 0 | 3/4 -1/4 -1/2 | 1 0 0"),
        ("entrywise", "0 1/2 0 | 3/4 -1/4 1/4 | 1 0 0"),
        ("relative", "0 1/2 0 | 3/4 -1/4 1 | 1 0 0"),
        ("spectral", "0 1/2 0 | 3/4 -1/4 1/4 | 1 0 0"),
    ],
)
def test_the_symmetry_moves_one_layer(family, shifted):
    before = Exponents.parse("0 1/2 0 | 0 1/2 1 | 1 0 0", family)
    assert str(before.reparametrized(2, "3/4")) == shifted


@given(st.sampled_from(FAMILIES), st.integers(1, 3), st.fractions(-3, 3))
def test_shifting_back_restores(family, layer, theta):
    before = Exponents.parse("0 1/2 0 | 0 1/2 1 | 1 0 0", family)
    assert before.reparametrized(layer, theta).reparametrized(layer, -theta) == before


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rates", ["uniform", "full", "none"])
def test_exponents_of_a_recipe_are_those_of_its_factors(name, family, rates):
    recipe = Recipe(name, rates=rates)
    exponents = Exponents.of(recipe, family, hidden_layers=3)
    roles = list(AT_4[name])[:3]
    for role, layer in zip((roles[0], roles[1], roles[1], roles[2]), exponents.layers, strict=True):
        rule = recipe.rule(of_role(role, 4), family)
        # Powers of two, so exact.
        assert (rule.multiplier, rule.std, rule.learning_rate) == tuple(
            2 ** -float(2 * exponent) for exponent in (layer.a, layer.b, layer.c)
        )
