"""One law: whatever asks what a recipe does to a parameter gets what `Recipe.rule` says."""

import dataclasses
import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.analysis import predicted_slope
from transfer.scaling import (
    PARAMETRIZATIONS,
    Annotated,
    Axes,
    Calibration,
    Exponents,
    Layout,
    Recipe,
    Role,
    explain,
    multiplier,
)
from transfer.scaling.powers import Growth, Power

from .parameters import ROLES, few, layout, of_role, parameter

FAMILIES = ("entrywise", "linear", "relative", "spectral")
SIDES = {Role.INPUT: ("out",), Role.HIDDEN: ("in", "out"), Role.OUTPUT: ("in",)}
RATIOS = st.sampled_from([Fraction(1), Fraction(3), Fraction(4), Fraction(5, 2), Fraction(1, 3)])
WIDER = st.sampled_from([Fraction(3), Fraction(4), Fraction(5, 2)])
# A rule is rounded once a factor; each of its exponents is at most 3.
CLOSE = 1e-13


# Every table under all of its rates, and of the rest a sample each.
every = pytest.mark.parametrize(
    ("name", "rates"), list(itertools.product(PARAMETRIZATIONS, ("uniform", "full", "none")))
)
sampled = settings(max_examples=4, deadline=None)


@st.composite
def recipes(draw, **fixed):
    """Any recipe of a table, its rates, decay and depth rule, reparametrized by role or not."""
    recipe = Recipe(
        **{
            "parametrization": draw(st.sampled_from(list(PARAMETRIZATIONS))),
            "rates": draw(st.sampled_from(["uniform", "full", "none"])),
            "decay": draw(st.sampled_from(["constant", "sqrt", "independent", 0.7])),
            "clipping": draw(st.sampled_from(["invariant", "raw"])),
            "depth": draw(st.sampled_from(["completep", "depth_mup"])),
            "horizon": "sde",
        }
        | fixed,
    )
    factors = {
        role: " ".join(f"{side}^{draw(st.fractions(-2, 2, max_denominator=4))}" for side in sides)
        for role, sides in SIDES.items()
        if draw(st.booleans())
    }
    return recipe.reparametrized(factors)


def in_blocks(one, m_depth):
    """The same parameter in a stack of `m_depth` times the base's depth."""
    return dataclasses.replace(
        one,
        axes=one.axes.stacked("layers"),
        shape=(m_depth.numerator, *one.shape),
        base_shape=(m_depth.denominator, *one.base_shape),
        growing=(False, *one.growing),
    )


# The function and the method.


@every
@seed(0)
@sampled
@given(data=st.data(), theta=st.sampled_from([1.0, 3.0, 0.37]), m_in=WIDER, m_out=WIDER)
def test_the_function_and_the_method_are_the_rules_multiplier(
    name, rates, data, theta, m_in, m_out
):
    recipe = data.draw(recipes(parametrization=name, rates=rates))
    for role, family in itertools.product(ROLES, FAMILIES):
        weight = of_role(role, m_in, m_out)
        changed = recipe.reparametrized({"w": theta}) if role in SIDES else recipe
        model = Layout({"w": weight}, multiplied=frozenset({"w"}))
        expected = changed.rule(weight, family).multiplier
        assert changed.rules(model, family)["w"].multiplier == expected
        assert changed.multiplier(weight) == multiplier(model, changed, "w") == expected
        # The control: the factor of this very role or layer is in it.
        own = recipe.table.rows[role].multiplier * recipe.reparametrization.power(role)
        by_hand = own.at(Growth(fan_in=weight.m_in, fan_out=weight.m_out))
        assert expected == pytest.approx(by_hand * (theta if role in SIDES else 1), rel=CLOSE)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [({}, 0.25), ({Role.OUTPUT: "in"}, 1.0), ({"readout": 3.0}, 0.75)],
)
def test_the_multiplier_of_a_reparametrized_readout_by_number(factors, expected):
    readout = dataclasses.replace(of_role(Role.OUTPUT, 4), path="readout.kernel")
    model = Layout({"readout.kernel": readout}, frozenset({"readout.kernel"}))
    assert multiplier(model, Recipe("mup").reparametrized(factors), "readout.kernel") == expected


@seed(0)
@few
@given(
    name=st.sampled_from(["mup", "mup_table9", "mean_field"]),
    both=st.fractions(-2, 2, max_denominator=4),
    theta=st.sampled_from([1.0, 3.0, 0.37]),
    m=RATIOS,
)
def test_both_uses_of_a_tied_embedding(name, both, theta, m):
    """One factor for the two roles and one for the layer, in the order of the array or not."""
    factors = {Role.INPUT: f"out^{both}", Role.OUTPUT: f"in^{both}", "w": theta}
    recipe = Recipe(name).reparametrized(factors)
    base, wide = 12 * m.denominator, 12 * m.numerator
    for tied in (
        layout("vocab -> embed", (9, base), (9, wide), std=0.02, tied=True),
        numbered_tie((9, base), (9, wide)),
    ):
        rows = recipe.table.rows
        lookup = rows[Role.INPUT].multiplier.fan_out + both
        readout = rows[Role.OUTPUT].multiplier.fan_in + both
        assert multiplier(tied, recipe, "w") == pytest.approx(
            theta * float(m) ** float(lookup), rel=CLOSE
        )
        assert multiplier(tied, recipe, "w", role=Role.OUTPUT) == pytest.approx(
            theta * float(m) ** float(readout), rel=CLOSE
        )
        assert recipe.rules(tied)["w"].multiplier == multiplier(tied, recipe, "w")


def numbered_tie(base, target):
    """A tied embedding stored as (width, vocabulary), with axes by number."""
    axes = Axes.parse("1 -> 0")
    models = [
        {"w": Annotated(axes=axes, shape=(width, 9), std=0.02, tied=True)}
        for width in (base[1], 2 * base[1], target[1])
    ]
    return Layout.compare(base=models[0], probe=models[1], target=models[2])


def test_a_layer_that_is_not_there_is_refused_by_the_function_too():
    model = layout("embed -> vocab", (12, 9), (36, 9))
    with refused("redout"):
        multiplier(model, Recipe("mup").reparametrized({"redout": 2.0}), "w")


def test_a_model_of_ones_own_has_to_apply_the_factor_of_a_layer():
    readout = layout("embed -> vocab", (12, 9), (36, 9))["w"]
    changed = Recipe("mup_table3").reparametrized({"w": 3.0})
    with refused("w", 3.0):
        changed.rules(Layout({"w": readout}, frozenset()))
    with refused("w", "in^-1", 3.0):
        Recipe("mup").reparametrized({"w": 3.0}).rules(Layout({"w": readout}, frozenset()))
    assert changed.rules(Layout({"w": readout}, frozenset({"w"})))["w"].multiplier == 3.0
    assert Recipe("mup_table3").rules(Layout({"w": readout}, frozenset()))["w"].multiplier == 1.0


# Exponents and rules.


@every
@seed(0)
@sampled
@given(
    data=st.data(),
    decay_readout=st.booleans(),
    m_in=RATIOS,
    m_out=RATIOS,
    m_depth=RATIOS,
    m_batch=RATIOS,
    m_tokens=RATIOS,
)
def test_a_rule_is_its_exponents_at_the_growth(
    name, rates, data, decay_readout, m_in, m_out, m_depth, m_batch, m_tokens
):
    recipe = data.draw(recipes(parametrization=name, rates=rates, decay_readout=decay_readout))
    for role, family in itertools.product(ROLES, ("entrywise", "linear")):
        weight = in_blocks(of_role(role, m_in, m_out), m_depth)
        rule = recipe.rule(weight, family, m_batch=m_batch, m_tokens=m_tokens)
        row = recipe.exponents(role, family)
        for column in ("std", "multiplier", "learning_rate", "weight_decay", "epsilon", "clip"):
            power = getattr(row, column)
            expected = 0.0
            if power is not None:
                expected = (
                    float(weight.m_in) ** float(power.fan_in)
                    * float(weight.m_out) ** float(power.fan_out)
                    * float(m_depth) ** float(power.depth)
                    * float(m_tokens / m_batch) ** float(power.steps)
                )
            assert getattr(rule, column) == pytest.approx(expected, rel=CLOSE), column


@seed(0)
@few
@given(recipe=recipes(), m=RATIOS, m_batch=RATIOS, m_tokens=RATIOS)
def test_batch_and_tokens_do_to_a_parameter_what_they_do_to_the_optimizer(
    recipe, m, m_batch, m_tokens
):
    for role, family in itertools.product(ROLES, ("entrywise", "linear")):
        weight, run = of_role(role, m), recipe.at_horizon(family, m_batch, m_tokens)
        alone = recipe.rule(weight, family)
        rule = recipe.rule(weight, family, m_batch=m_batch, m_tokens=m_tokens)
        expected = dataclasses.replace(
            alone,
            learning_rate=pytest.approx(alone.learning_rate * run.learning_rate),
            weight_decay=pytest.approx(alone.weight_decay * run.weight_decay),
            epsilon=pytest.approx(alone.epsilon * run.epsilon),
        )
        assert expected == rule


def test_another_batch_without_a_rule_is_refused():
    weight, twice = of_role(Role.HIDDEN, 3), Fraction(2)
    with refused("horizon", "sde"):
        Recipe("mup").rule(weight, m_batch=twice)
    with refused("spectral"):
        Recipe("mup", horizon="sde").rule(weight, "spectral", m_tokens=twice)


@seed(0)
@few
@given(recipe=recipes(), m=RATIOS)
def test_activations_carry_a_multiplier_and_nothing_else(recipe, m):
    base, wide = 12 * m.denominator, 12 * m.numerator
    logits = parameter("embed ->", (base,), (wide,), activations=True)
    branch = parameter("layers | ->", (base,), (wide,), activations=True)
    for family in FAMILIES:
        for each, power, of_base in (
            (logits, recipe.contraction, base**-0.5),
            (branch, recipe.branch, 1.0),
        ):
            rule = recipe.rule(each, family)
            growth = Growth(fan_in=each.m_in, depth=each.m_depth)
            assert rule.multiplier == power.at(growth)
            assert recipe.multiplier(each) == of_base * rule.multiplier
            others = (rule.std, rule.learning_rate, rule.weight_decay, rule.epsilon, rule.clip)
            assert others == (1.0, 1.0, 0.0, 1.0, 1.0)


def test_a_weight_without_outputs_is_no_contraction():
    weight, logits = (
        parameter("embed ->", (16,), (64,), activations=activations)
        for activations in (False, True)
    )
    assert Recipe("mup").rule(weight).multiplier == Recipe("mup").multiplier(weight) == 0.25
    assert Recipe("mup").rule(weight).epsilon == 0.25
    assert Recipe("mup").multiplier(logits) == 16**-0.5 / 4


def test_an_unknown_family_is_refused_for_activations_too():
    logits = parameter("embed ->", (16,), (64,), activations=True)
    with refused("sgd"):
        Recipe("mup").rule(logits, "sgd")


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_a_measured_decay_is_the_forms_power_times_the_matrixs_factor(name):
    measured = Calibration(paths=("w",), exponents=(1.25,), swept=0.5, widest=2.0)
    recipe, weight = Recipe(name, decay=measured), of_role(Role.HIDDEN, 3)
    row = recipe.exponents(Role.HIDDEN)
    assert row.measured
    assert not Recipe(name).exponents(Role.HIDDEN).measured
    assert not recipe.exponents(Role.HIDDEN, "linear").measured
    form = row.weight_decay.at(Growth(fan_in=Fraction(3), fan_out=Fraction(3)))
    assert form == recipe.rule(weight).multiplier
    expected = form * 2**0.5 * 1.5**1.25
    assert recipe.rule(weight).weight_decay == pytest.approx(expected, rel=CLOSE)


# Init.


@seed(0)
@few
@given(recipe=recipes(), theta=st.sampled_from([1.0, 3.0]), m=RATIOS)
def test_an_init_is_the_bases_times_the_rules_std(recipe, theta, m):
    for role in SIDES:
        weight = of_role(role, m, gain=1.7)
        changed = recipe.reparametrized({"w": theta})
        std = changed.init_std(weight)
        assert std == weight.base_std * changed.rule(weight).std
        assert std * changed.multiplier(weight) == pytest.approx(
            recipe.init_std(weight) * recipe.multiplier(weight), rel=CLOSE
        )
        spectral = dataclasses.replace(changed, parametrization="mup", initializer="spectral")
        plain = Recipe("mup", depth=recipe.depth, initializer="spectral")
        effective = (each.init_std(weight) * each.multiplier(weight) for each in (spectral, plain))
        assert next(effective) == pytest.approx(next(effective), rel=CLOSE)


# Readers.


@seed(0)
@few
@given(recipe=recipes(), theta=st.sampled_from([1.0, 3.0]), m=RATIOS)
def test_an_explanation_prints_the_rules(recipe, theta, m):
    for role, family in itertools.product(SIDES, FAMILIES):
        changed, weight = recipe.reparametrized({"w": theta}), of_role(role, m, gain=1.0)
        rule = changed.rule(weight, family)
        for multiplied in (None, frozenset({"w"})):
            (row,) = explain(Layout({"w": weight}, multiplied), changed, family)
            assert (row.multiplier, row.learning_rate) == (rule.multiplier, rule.learning_rate)
            assert (row.weight_decay, row.epsilon) == (rule.weight_decay, rule.epsilon)
            printed = changed.init_std(weight) if multiplied is None else f"x {rule.std:.4g}"
            assert row.std == printed


@every
@seed(0)
@sampled
@given(data=st.data(), start=RATIOS, growth=st.sampled_from([Fraction(3), Fraction(4)]))
def test_the_predicted_spectrum_is_what_the_rules_say_at_two_widths(
    name, rates, data, start, growth
):
    """sigma_1 ~ sqrt(step / decay) width^(3/4), with step and decay of the effective weight."""
    recipe = data.draw(recipes(parametrization=name, rates=rates))

    def sigma_1(m):
        rule = recipe.rule(of_role(Role.HIDDEN, m, 1))
        step, decay = rule.multiplier * rule.learning_rate, rule.weight_decay / rule.multiplier
        return math.sqrt(step / decay) * float(m) ** 0.75

    slope = math.log(sigma_1(start * growth) / sigma_1(start)) / math.log(growth)
    assert predicted_slope(recipe) == pytest.approx(slope, abs=1e-11)


def test_the_predicted_spectrum_is_the_same_in_every_form_and_at_every_depth():
    constant = Recipe("mup", decay="constant")
    assert predicted_slope(constant) == 0.25
    for same in (
        constant.reparametrized({Role.HIDDEN: "in^-1/2"}),
        constant.reparametrized({"up": 3.0}),
        dataclasses.replace(constant, depth="depth_mup", horizon="sde"),
    ):
        assert predicted_slope(same) == 0.25
    assert predicted_slope(dataclasses.replace(constant, decay="sqrt")) == 0.0


@every
@seed(0)
@sampled
@given(data=st.data(), theta=st.fractions(-2, 2, max_denominator=4))
def test_the_symmetry_of_abc_exponents_is_that_of_recipes(name, rates, data, theta):
    """n^-theta times the multiplier, in the one as in the other."""
    recipe = data.draw(recipes(parametrization=name, rates=rates))
    for family, (role, layers) in itertools.product(
        FAMILIES, [(Role.INPUT, [1]), (Role.HIDDEN, [2, 3]), (Role.OUTPUT, [4])]
    ):
        before = changed = Exponents.of(recipe, family, hidden_layers=3)
        for layer in layers:
            changed = changed.reparametrized(layer, theta)
        there = recipe.reparametrized({role: f"{SIDES[role][0]}^{-theta}"})
        assert Exponents.of(there, family, hidden_layers=3) == changed
        assert (changed == before) == (theta == 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_abc_exponents_are_the_powers_of_width(family):
    for name, rates in itertools.product(PARAMETRIZATIONS, ("uniform", "full", "none")):
        recipe = Recipe(name, rates=rates)
        layers = Exponents.of(recipe, family).layers
        for role, layer in zip((Role.INPUT, Role.HIDDEN, Role.OUTPUT), layers, strict=True):
            rule = recipe.rule(of_role(role, 4), family)
            found = (rule.multiplier, rule.std, rule.learning_rate)
            assert found == tuple(4.0 ** -float(each) for each in (layer.a, layer.b, layer.c))


def test_powers_as_a_table_name_depth_and_steps_where_rules_are():
    recipe = Recipe("mup", depth="completep", horizon="sde")
    table = recipe.text_table()
    assert "fan-in, fan-out, depth and steps" in table.caption
    assert table.cells[2][4:] == ["out^-1 depth^-1 steps^1/2", "in^1/2 steps^-1/2"]
    assert Power.parse(table.cells[2][4]) == recipe.exponents(Role.HIDDEN).epsilon
