"""What residual blocks take at another depth, and that nothing else does."""

import dataclasses
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Recipe, Role

from .parameters import EVERY, ROLES, few, of_role, parameter

FAMILIES = ("entrywise", "linear", "relative", "spectral")
RULES = ("completep", "depth_mup")
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
COLUMNS = ("std", "multiplier", "learning_rate", "weight_decay", "epsilon", "clip")


def in_blocks(role, m_depth, m_width=1):
    """A parameter of a role in a stack of `m_depth` times the base's."""
    m = Fraction(m_depth)
    one = of_role(role, m_width)
    return dataclasses.replace(
        one,
        axes=one.axes.stacked("layers"),
        shape=(12 * m.numerator, *one.shape),
        base_shape=(12 * m.denominator, *one.base_shape),
        growing=(False, *one.growing),
    )


def branch(m_depth):
    m = Fraction(m_depth)
    return parameter("layers | ->", (12 * m.denominator,), (12 * m.numerator,), activations=True)


# arXiv 2505.01618 and 2512.22382, Table 1, at four times the depth; SGD as derived in `depth`.
@pytest.mark.parametrize(
    ("rule", "printed_branch", "adam", "sgd", "epsilon", "clip"),
    [("completep", 1 / 4, 1, 4, 1 / 4, 4), ("depth_mup", 1 / 2, 1 / 2, 1, 1 / 2, 1)],
)
def test_every_printed_cell(rule, printed_branch, adam, sgd, epsilon, clip):
    recipe = Recipe("mup", decay="constant", depth=rule)
    assert recipe.multiplier(branch(4)) == printed_branch
    for role in (Role.HIDDEN, Role.VECTOR, Role.SCALAR):
        inside = recipe.rule(in_blocks(role, 4))
        assert (inside.std, inside.multiplier) == (1, 1)
        assert (inside.learning_rate, inside.epsilon, inside.clip) == (adam, epsilon, clip)
        assert inside.weight_decay == (1 if role == Role.HIDDEN else 0)
        assert recipe.rule(in_blocks(role, 4), "linear").learning_rate == sgd
        for family in ("relative", "spectral"):
            assert recipe.rule(in_blocks(role, 4), family).learning_rate == adam


def test_the_two_rules_differ_by_half_a_power_of_depth():
    for m, family in itertools.product((4, 9, 16), FAMILIES):
        one, other = (
            Recipe("mup", depth=rule).rule(in_blocks(Role.HIDDEN, m), family) for rule in RULES
        )
        power = 1 if family == "linear" else 0.5
        assert one.learning_rate / other.learning_rate == pytest.approx(m**power)
        assert other.epsilon / one.epsilon == pytest.approx(m**0.5)


@pytest.mark.parametrize("rule", RULES)
@few
@given(width=RATIOS, depth=RATIOS)
def test_width_and_depth_multiply(rule, width, depth):
    for name, role, family in itertools.product(EVERY, ROLES, FAMILIES):
        recipe = Recipe(name, depth=rule)
        wide, deep, both = (
            recipe.rule(weight, family)
            for weight in (
                of_role(role, width),
                in_blocks(role, depth),
                in_blocks(role, depth, width),
            )
        )
        for column in COLUMNS:
            product = getattr(wide, column) * getattr(deep, column)
            assert getattr(both, column) == pytest.approx(product)


def test_decay_holds_what_its_own_rule_holds():
    """The papers leave the coefficient alone; `independent` keeps what is lost per step."""
    for rule, family in itertools.product(RULES, FAMILIES):
        weight = in_blocks(Role.HIDDEN, 4)
        lost = {
            decay: each.learning_rate * each.weight_decay
            for decay in ("constant", "sqrt", "independent")
            for each in [Recipe("mup", decay=decay, depth=rule).rule(weight, family)]
        }
        assert lost["independent"] == pytest.approx(1)
        unscaled = Recipe("mup", depth=rule).rule(weight).learning_rate
        expected = unscaled if family == "entrywise" else 1
        assert lost["constant"] == lost["sqrt"] == pytest.approx(expected)


@pytest.mark.parametrize("rule", ["", *RULES])
def test_at_the_base_depth_every_factor_is_exactly_as_without_a_rule(rule):
    for name, role, family in itertools.product(EVERY, ROLES, FAMILIES):
        weight = in_blocks(role, 1, 3)
        expected = Recipe(name).rule(of_role(role, 3), family)
        assert Recipe(name, depth=rule).rule(weight, family) == expected
    assert Recipe("mup", depth=rule).multiplier(branch(1)) == 1.0


@pytest.mark.parametrize("rule", RULES)
def test_what_lies_outside_the_blocks_is_left_alone(rule):
    for role, family in itertools.product(ROLES, FAMILIES):
        weight = of_role(role, 3)
        assert Recipe("mup", depth=rule).rule(weight, family) == Recipe("mup").rule(weight, family)


def test_attention_logits_are_no_branch():
    logits = parameter("layers | head_dim ->", (2, 16), (8, 16), activations=True)
    for rule in RULES:
        assert Recipe("mup", depth=rule).multiplier(logits) == 1 / 4


def test_another_depth_without_a_rule_is_refused():
    weight = in_blocks(Role.HIDDEN, 4)
    for ask in (Recipe("mup").rule, Recipe("mup").init_std, Recipe("mup").multiplier):
        with refused(4, "completep"):
            ask(weight)


def test_an_unknown_rule_names_the_nearest():
    with refused("complete", "completep"):
        Recipe("mup", depth="complete")
