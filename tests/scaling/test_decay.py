"""How decay follows width: the four published rules, in every form that a table can take."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Recipe, Role
from transfer.scaling.decay import parse, power
from transfer.scaling.powers import Power

from .parameters import EVERY, MUP_CLASS, MUP_FORMS, STANDARD_CLASS, few, of_role

CLOSE = 1e-12
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
EXPONENTS = st.floats(-1.5, 1.5)
NO_HIDDEN = (Role.INPUT, Role.OUTPUT, Role.VECTOR, Role.SCALAR)


def hidden(recipe: Recipe, m_in: Fraction | int, m_out: Fraction | int = 1, family="entrywise"):
    """Effective step, decay of the effective weight, and decay per step, over the base's."""
    rule = recipe.rule(of_role(Role.HIDDEN, m_in, m_out), family)
    step = rule.multiplier * rule.learning_rate
    return step, rule.weight_decay / rule.multiplier, rule.learning_rate * rule.weight_decay


@pytest.mark.parametrize("name", MUP_CLASS)
@pytest.mark.parametrize(
    ("rule", "at_4", "at_3"),
    [
        ("constant", 0.25, 0.3333333333333333),
        ("sqrt", 0.5, 0.5773502691896258),
        ("independent", 1.0, 1.0),
        (0.75, 0.7071067811865476, 0.7598356856515925),
        (1.5, 2.0, 1.7320508075688772),
    ],
)
def test_decay_per_step_in_every_form_of_mup(name, rule, at_4, at_3):
    recipe = Recipe(name, decay=rule)
    assert hidden(recipe, 4, 2)[2] == pytest.approx(at_4, rel=CLOSE)
    assert hidden(recipe, 3, 2)[2] == pytest.approx(at_3, rel=CLOSE)


@pytest.mark.parametrize(
    ("rule", "canonical", "ntk_form"),
    [("constant", 1, 0.5), ("sqrt", 2, 1), ("independent", 4, 2), (1.5, 8, 4)],
)
def test_the_coefficient_itself_depends_on_the_form(rule, canonical, ntk_form):
    kernel = of_role(Role.HIDDEN, 4)
    for name in ("mup", "mup_table3", "mup_table9"):
        assert Recipe(name, decay=rule).rule(kernel).weight_decay == canonical
    for name in ("mean_field", "unit"):
        assert Recipe(name, decay=rule).rule(kernel).weight_decay == ntk_form


@few
@given(RATIOS)
def test_the_sqrt_rule_is_a_constant_coefficient_in_mean_field(m):
    rule = Recipe("mean_field", decay="sqrt").rule(of_role(Role.HIDDEN, m))
    assert rule.weight_decay == pytest.approx(1.0)


@few
@given(RATIOS, st.sampled_from(["constant", "sqrt", "independent"]) | EXPONENTS)
def test_decay_per_step_is_the_same_in_all_forms_of_a_class(m, rule):
    for forms in (MUP_FORMS, STANDARD_CLASS):
        for rates in ("full", "none"):
            per_step = [hidden(Recipe(form, rates=rates, decay=rule), m)[2] for form in forms]
            assert per_step == pytest.approx([per_step[0]] * len(forms))


@few
@given(RATIOS, EXPONENTS)
def test_an_exponent_is_that_of_the_effective_decay(m, x):
    for name in EVERY:
        for rates in ("uniform", "full", "none"):
            decay = hidden(Recipe(name, rates=rates, decay=x), m)[1]
            assert decay == pytest.approx(float(m) ** x)


@few
@given(RATIOS, RATIOS)
def test_decay_follows_fan_in_and_not_fan_out(m_in, m_out):
    narrow, wide = (hidden(Recipe("mup"), m_in, out)[1] for out in (1, m_out))
    assert narrow == wide == pytest.approx(float(m_in) ** 0.5)


def test_the_independent_rule_follows_the_rates():
    for name in EVERY:
        for rates in ("uniform", "full", "none"):
            recipe = Recipe(name, rates=rates, decay="independent")
            assert hidden(recipe, 3)[2] == pytest.approx(1.0)
    none = Recipe("mup", rates="none", decay="independent").rule(of_role(Role.HIDDEN, 4))
    assert none.weight_decay == 2.0


@pytest.mark.parametrize("m", [3, 4, 8])
@pytest.mark.parametrize("name", MUP_CLASS)
@pytest.mark.parametrize(
    ("rule", "slope"), [("sqrt", 0), ("independent", -0.25), ("constant", 0.25)]
)
def test_top_singular_value_under_the_three_rules(name, m, rule, slope):
    step, decay, _ = hidden(Recipe(name, decay=rule), m)
    assert (step / decay) ** 0.5 * m**0.75 == pytest.approx(m**slope)


def test_top_singular_value_without_any_rule():
    step, decay, _ = hidden(Recipe("standard"), 16)
    assert (step / decay) ** 0.5 * 16**0.75 == 8.0


@few
@given(RATIOS, st.floats(0.25, 1.25))
def test_the_exponent_that_flattens_any_measured_growth(m, p):
    for name in MUP_CLASS:
        step, decay, _ = hidden(Recipe(name, decay=2 * p - 1), m)
        assert (step / decay) ** 0.5 * float(m) ** p == pytest.approx(1.0)


@few
@given(RATIOS, RATIOS, st.sampled_from(["constant", "sqrt", "independent", 0.7]))
def test_sgd_holds_the_decay_per_step(m_in, m_out, rule):
    for name in EVERY:
        for rates in ("uniform", "full", "none"):
            recipe = Recipe(name, rates=rates, decay=rule)
            assert hidden(recipe, m_in, m_out, "linear")[2] == pytest.approx(1.0)


@pytest.mark.parametrize("family", ["entrywise", "linear"])
@pytest.mark.parametrize("name", EVERY)
def test_only_hidden_matrices_decay(name, family):
    for rule in ("sqrt", "constant", "independent", 0.3):
        recipe = Recipe(name, decay=rule)
        for m in (1, 4):
            masked = [recipe.rule(of_role(role, m), family).weight_decay for role in NO_HIDDEN]
            assert masked == [0.0, 0.0, 0.0, 0.0]
            assert recipe.rule(of_role(Role.HIDDEN, m), family).weight_decay > 0.0


@pytest.mark.parametrize("family", ["entrywise", "linear"])
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rates", ["uniform", "full", "none"])
def test_a_readout_asked_to_decay_holds_its_decay_per_step(name, rates, family):
    recipe = Recipe(name, rates=rates, decay_readout=True)
    for m in (3, 4):
        rule = recipe.rule(of_role(Role.OUTPUT, m), family)
        assert rule.learning_rate * rule.weight_decay == pytest.approx(1.0)
        others = (Role.INPUT, Role.VECTOR, Role.SCALAR)
        assert {recipe.rule(of_role(role, m), family).weight_decay for role in others} == {0.0}


@pytest.mark.parametrize(("name", "coefficient"), [("mup_table3", 4.0), ("mup", 1.0)])
def test_readout_decay_as_printed(name, coefficient):
    readout = of_role(Role.OUTPUT, 4)
    assert Recipe(name, decay_readout=True).rule(readout).weight_decay == coefficient


@pytest.mark.parametrize(
    ("text", "rule"),
    [("sqrt", "sqrt"), ("independent", "independent"), ("0.6", 0.6), ("-1", -1.0), (2, 2.0)],
)
def test_parse(text, rule):
    assert parse(text) == rule


def test_a_number_given_as_text_or_as_number_is_one_rule():
    assert Recipe("mup", decay="0.6") == Recipe("mup", decay=0.6)
    assert Recipe("mup", decay=0).decay == 0.0


@pytest.mark.parametrize("text", ["indepndent", "nan", "inf", "width"])
def test_anything_else_is_refused(text):
    with refused(text):
        Recipe("mup", decay=text)


def test_an_unknown_rule_names_the_nearest():
    with refused("indepndent", "independent"):
        parse("indepndent")


def test_the_power_of_every_rule():
    step = Power.parse("in^-1/2 depth^-1")
    assert power("constant", step) == Power()
    assert power("sqrt", step) == Power.parse("in^1/2")
    assert power("independent", step) == Power.parse("in^1/2 depth")
    assert power(0.6, step) == Power.parse("in^3/5")
