"""The learning rates of the four families, as printed and as derived."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling import Recipe, Role
from transfer.scaling.recipe import FAMILIES

from .parameters import EVERY, MUP_FORMS, ROLES, few, of_role

RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
FULL_AND_NONE = ("full", "none")

# Everett et al., arXiv 2407.05872, Table 1, Adafactor: exponents of m under full and no alignment
# of input, hidden and output.
_HALF = Fraction(1, 2)
ADAFACTOR = {
    "standard": {Role.INPUT: (0, 0), Role.HIDDEN: (-_HALF, 0), Role.OUTPUT: (-_HALF, 0)},
    "ntk": {Role.INPUT: (0, 0), Role.HIDDEN: (-_HALF, 0), Role.OUTPUT: (-_HALF, 0)},
    "mup_table9": {Role.INPUT: (0, 0), Role.HIDDEN: (-_HALF, 0), Role.OUTPUT: (0, _HALF)},
    "mean_field": {Role.INPUT: (0, 0), Role.HIDDEN: (-_HALF, 0), Role.OUTPUT: (0, _HALF)},
}


@pytest.mark.parametrize("name", ADAFACTOR)
@pytest.mark.parametrize("m", [3, 4, Fraction(1, 2)])
def test_adafactor_as_printed(name, m):
    for role, exponents in ADAFACTOR[name].items():
        for rates, exponent in zip(FULL_AND_NONE, exponents, strict=True):
            rule = Recipe(name, rates=rates).rule(of_role(role, m), "relative")
            assert rule.learning_rate == pytest.approx(float(m) ** float(exponent))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rates", FULL_AND_NONE)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_a_relative_step_is_as_large_as_an_entrywise_one(name, rates, m_in, m_out):
    """lr * rms(w), of the size that the weight has at initialisation, is Adam's lr."""
    recipe = Recipe(name, rates=rates)
    for role in ROLES:
        weight = of_role(role, m_in, m_out)
        relative, entrywise = (recipe.rule(weight, each) for each in ("relative", "entrywise"))
        assert relative.learning_rate * relative.std == pytest.approx(entrywise.learning_rate)


@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_a_relative_rate_is_the_same_in_every_form(m_in, m_out):
    """Its step moves with the weight from form to form, so that its rate need not."""
    for role in ROLES:
        rates = [
            Recipe(name).rule(of_role(role, m_in, m_out), "relative").learning_rate
            for name in MUP_FORMS
        ]
        assert rates == pytest.approx([rates[0]] * len(rates))


@pytest.mark.parametrize("name", EVERY)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_a_spectral_step_meets_the_spectral_condition(name, m_in, m_out):
    """arXiv 2310.17813: |A dW|_2 = A lr |O|_2 follows sqrt(m_out / m_in), with |O|_2 = 1."""
    rule = Recipe(name, rates="full").rule(of_role(Role.HIDDEN, m_in, m_out), "spectral")
    wanted = float(m_out / m_in) ** 0.5
    assert rule.multiplier * rule.learning_rate == pytest.approx(wanted)


@pytest.mark.parametrize("name", EVERY)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_a_coherent_entrywise_step_meets_it_too(name, m_in, m_out):
    """A sign matrix of rank one has |.|_2 = sqrt(fan-in fan-out): Adam's 1 / m_in is the same."""
    weight, recipe = of_role(Role.HIDDEN, m_in, m_out), Recipe(name, rates="full")
    entrywise, spectral = (recipe.rule(weight, each) for each in ("entrywise", "spectral"))
    norm = float(m_in * m_out) ** 0.5
    assert entrywise.learning_rate * norm == pytest.approx(spectral.learning_rate)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_hidden_is_entrywise_beside_a_spectral_optimizer(name):
    recipe = Recipe(name, rates="full", decay_readout=True)
    for role in set(ROLES) - {Role.HIDDEN}:
        weight = of_role(role, 3, 2)
        assert recipe.rule(weight, "spectral") == recipe.rule(weight, "entrywise")


@pytest.mark.parametrize("name", EVERY)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_all_but_the_entrywise_hold_the_decay_per_step(name, m_in, m_out):
    for decay in ("constant", "sqrt", "independent"):
        recipe, weight = Recipe(name, rates="full", decay=decay), of_role(Role.HIDDEN, m_in, m_out)
        for family in set(FAMILIES) - {"entrywise"}:
            rule = recipe.rule(weight, family)
            assert rule.learning_rate * rule.weight_decay == pytest.approx(1.0)


def test_the_entrywise_follow_the_decay_rule():
    rule = Recipe("mup", decay="sqrt").rule(of_role(Role.HIDDEN, 4))
    assert rule.learning_rate * rule.weight_decay == 0.5
