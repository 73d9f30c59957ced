"""The decay `measured`: exponents by matrix, from the widest proxy on."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Calibration, Layout, Recipe, Role, Scale, extrapolate

from .parameters import EVERY, MUP_CLASS, few, layout, of_role

RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
EXPONENTS = st.floats(-1.5, 1.5)
PAIR = Calibration(paths=("up", "down"), exponents=(0.25, 1.0), swept=0.5, widest=4.0)


def of(exponent, swept=0.0, widest=1.0):
    """A calibration of the parameter that the tests' layouts have."""
    return Calibration(paths=("w",), exponents=(exponent,), swept=swept, widest=widest)


def test_up_to_the_widest_proxy_as_swept_and_beyond_as_measured():
    assert [PAIR.factor("up", m) for m in (0.25, 1, 4, 64)] == [0.5, 1.0, 2.0, 4.0]
    assert [PAIR.factor("down", m) for m in (0.25, 1, 4, 64)] == [0.5, 1.0, 2.0, 32.0]


@few
@given(EXPONENTS, EXPONENTS, st.floats(1, 32))
def test_it_is_exactly_1_at_the_base_and_does_not_jump_at_the_widest(x, swept, widest):
    measured = of(x, swept, widest)
    assert measured.factor("w", 1.0) == 1.0
    below, above = (measured.factor("w", widest * (1 + step)) for step in (-1e-9, 1e-9))
    # Exponents of at most 1.5 over a step of 2e-9.
    assert above == pytest.approx(below, rel=1e-8)


@few
@given(RATIOS, EXPONENTS, st.floats(1, 16))
def test_where_nothing_but_the_swept_exponent_was_found_it_is_that_rule(m, x, widest):
    parameter = of_role(Role.HIDDEN, m)
    for name in EVERY:
        found = Recipe(name, decay=of(x, x, widest)).rule(parameter)
        rule = Recipe(name, decay=x).rule(parameter)
        assert found.weight_decay == pytest.approx(rule.weight_decay, rel=1e-12)
        assert dataclasses.replace(found, weight_decay=rule.weight_decay) == rule


@few
@given(st.floats(0.25, 1.25), st.floats(1, 16), st.sampled_from(MUP_CLASS))
def test_it_levels_a_matrix_of_any_p_beyond_the_proxies(p, growth, name):
    """sigma_1 ~ sqrt(step / decay) m^p, from the widest proxy (m = 4) to the target."""

    def sigma_1(decay, m):
        rule = Recipe(name, decay=decay).rule(of_role(Role.HIDDEN, m))
        step = rule.multiplier * rule.learning_rate
        return (step * rule.multiplier / rule.weight_decay) ** 0.5 * float(m) ** p

    target = 4 * Fraction(growth).limit_denominator(40)
    measured = of(2 * p - 1, swept=0.5, widest=4.0)
    assert sigma_1(measured, target) == pytest.approx(sigma_1(measured, 4))
    # The swept rule leaves what p is off 3/4 by.
    tilt = sigma_1("sqrt", target) / sigma_1("sqrt", 4)
    assert tilt == pytest.approx(float(target / 4) ** (p - 0.75))


def test_only_hidden_matrices_and_only_entrywise_steps_follow_it():
    recipe = Recipe("mup", decay=of(0.9))
    for role in (Role.INPUT, Role.OUTPUT, Role.VECTOR, Role.SCALAR):
        assert recipe.rule(of_role(role, 4)).weight_decay == 0.0
    hidden = of_role(Role.HIDDEN, 4)
    for family in ("linear", "spectral", "relative"):
        assert recipe.rule(hidden, family) == Recipe("mup").rule(hidden, family)


def test_a_name_and_a_calibration_make_the_recipe_again():
    recipe = Recipe("mup_table3", rates="none", decay=PAIR)
    assert str(recipe) == "mup_table3/none+measured"
    assert Recipe.parse(str(recipe), PAIR) == recipe
    # A calibration is for the decay of that name alone.
    assert Recipe.parse("mup+sqrt", PAIR) == Recipe("mup", decay="sqrt")
    assert hash(recipe) != hash(Recipe("mup_table3", rates="none"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Recipe.parse("mup+measured"),
        lambda: Recipe("mup", decay="measured"),
        lambda: Recipe("mup", decay=Calibration()),
    ],
)
def test_without_a_calibration_it_says_how_to_come_by_one(make):
    with refused("--decay=measured"):
        make()


def test_a_misspelt_name_finds_it():
    with refused("mesured", "measured"):
        Recipe("mup", decay="mesured")


def test_the_matrices_measured_are_those_of_the_model():
    recipe, hidden = Recipe("mup", decay=of(0.9)), layout("embed -> ffn", (8, 8), (32, 32))
    assert recipe.rules(hidden)["w"].weight_decay == pytest.approx(4**0.9)
    for paths in (("w", "v"), ("v",)):
        other = Calibration(paths=paths, exponents=(0.9,) * len(paths))
        with refused("v"):
            Recipe("mup", decay=other).rules(hidden)
    with refused("w"):
        Recipe("mup", decay=PAIR).rule(hidden["w"])
    # An embedding has no decay to measure.
    lookup = layout("vocab -> embed", (8, 8), (8, 32))
    assert isinstance(lookup, Layout)
    with refused("w"):
        recipe.rules(lookup)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"paths": ("up",)}, (2, 1)),
        ({"paths": ("up", "up")}, ()),
        ({"exponents": (0.5, float("nan"))}, ()),
        ({"swept": float("inf")}, ()),
        ({"widest": 0.5}, (0.5,)),
    ],
)
def test_what_is_no_calibration(wrong, names):
    with refused(*names):
        dataclasses.replace(PAIR, **wrong)


def test_an_extrapolation_names_every_matrix_and_is_empirical():
    start = Scale(width=128, layers=2, batch_size=8, tokens=1000)
    base, target = (dataclasses.replace(start, width=width) for width in (32, 512))
    for name in ("mup", "mean_field"):
        widths = start, target, base
        rates, decay = extrapolate(Recipe(name, decay=PAIR), "entrywise", *widths)
        # mean_field's multiplier of m^-1/2 is on the side of the coefficient.
        form = {"mup": 1.0, "mean_field": 16**-0.5}[name]
        # As swept up to 4 times the base width, and as measured from there.
        expected = {"up weight decay": 2 * 4**0.25 * form, "down weight decay": 2 * 4.0 * form}
        assert decay.effects == pytest.approx(expected)
        assert decay.evidence.level == "empirical"
        assert rates.effects == extrapolate(Recipe(name), "entrywise", *widths)[0].effects
