"""Every cell against the printed tables, and every row against what makes it a form of its class.

With W = A w the effective weight, E its effective step and G the size of dL/dW: E = A adam,
E = A^2 G sgd, epsilon = A G.
"""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling import PARAMETRIZATIONS, Recipe, Role

from .parameters import EVERY, MUP_CLASS, MUP_FORMS, ROLES, few, of_role
from .tables import AT_3, AT_4

CLOSE = 1e-12
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
ALIGNMENTS = ("full", "none")
# Effective init, effective step under full and under no alignment, and gradient of a weight with
# m_in and m_out: (exponent of m_in, exponent of m_out).
STANDARD = {
    Role.INPUT: ((0, 0), (0, 0), (0, 0), (0, -0.5)),
    Role.HIDDEN: ((-0.5, 0), (-1, 0), (-0.5, 0), (0, -0.5)),
    Role.OUTPUT: ((-0.5, 0), (-1, 0), (-0.5, 0), (0, 0)),
    Role.VECTOR: ((0, 0), (0, 0), (0, 0), (0, -0.5)),
    Role.SCALAR: ((0, 0), (0, 0), (0, 0), (0, 0)),
}
MUP = {
    Role.INPUT: ((0, 0), (0, 0), (0, 0), (0, -1)),
    Role.HIDDEN: ((-0.5, 0), (-1, 0), (-0.5, 0), (0, -1)),
    Role.OUTPUT: ((-1, 0), (-1, 0), (-0.5, 0), (0, 0)),
    Role.VECTOR: ((0, 0), (0, 0), (0, 0), (0, -1)),
    Role.SCALAR: ((0, 0), (0, 0), (0, 0), (0, 0)),
}
EFFECTIVE = {
    "standard": STANDARD,
    "ntk": STANDARD,
    **dict.fromkeys(MUP_FORMS, MUP),
    # The embedding's learning rate falls as width^-1/2: the one difference from mean field.
    "unit": MUP | {Role.INPUT: ((0, 0), (0, -0.5), (0, -0.5), (0, -1))},
}


def cells(name: str, role: Role, m: Fraction | int, m_out: Fraction | int | None = None):
    """A row as a recipe reads it: the columns of `tables`."""
    weight = of_role(role, m, m_out)
    adam = [Recipe(name, rates=rates).rule(weight) for rates in ALIGNMENTS]
    sgd = [Recipe(name, rates=rates).rule(weight, "linear") for rates in ALIGNMENTS]
    rates = [rule.learning_rate for rule in (*adam, *sgd)]
    return (adam[0].std, adam[0].multiplier, *rates, adam[0].epsilon)


@pytest.mark.parametrize(("m", "table"), [(4, AT_4), (3, AT_3)])
@pytest.mark.parametrize("name", EVERY)
def test_every_printed_cell(name, m, table):
    for role, printed in table[name].items():
        ours = cells(name, role, m)
        assert len(ours) == len(printed)
        for column, (here, there) in enumerate(zip(ours, printed, strict=True)):
            if there is not None:
                assert here == pytest.approx(there, rel=CLOSE), (role, column)


def test_the_tables_cover_every_parametrization():
    assert set(AT_3) == set(AT_4) == set(EVERY) == set(PARAMETRIZATIONS)


@pytest.mark.parametrize("m", [3, 4])
@pytest.mark.parametrize("role", ROLES)
def test_standard_with_one_rate_scales_nothing_but_the_init(role, m):
    for family in ("entrywise", "linear"):
        rule = Recipe("standard").rule(of_role(role, m), family)
        assert (rule.multiplier, rule.learning_rate, rule.epsilon, rule.clip) == (1, 1, 1, 1)
        init = m**-0.5 if role in (Role.HIDDEN, Role.OUTPUT) else 1
        assert rule.std == pytest.approx(init, rel=CLOSE)


def test_classic_ntk_is_one_rate_with_epsilon_still_following_the_gradient():
    rules = [Recipe("ntk").rule(of_role(role, 4), "linear") for role in ROLES]
    assert [rule.learning_rate for rule in rules] == [1, 1, 1, 1, 1]
    assert [rule.epsilon for rule in rules] == [0.5, 0.25, 0.5, 0.5, 1]


@pytest.mark.parametrize("family", ["entrywise", "linear"])
@pytest.mark.parametrize("name", EVERY)
def test_uniform_rates_are_one_rate(name, family):
    recipe = Recipe(name, rates="uniform")
    assert {recipe.rule(of_role(role, 3), family).learning_rate for role in ROLES} == {1.0}


@pytest.mark.parametrize("name", EVERY)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_effective_columns_of_each_class(name, m_in, m_out):
    for role in ROLES:
        weight = of_role(role, m_in, m_out)
        std, multiplier, adam_full, adam_none, sgd_full, sgd_none, epsilon = cells(
            name, role, m_in, m_out
        )

        def power(exponents, weight=weight):
            return float(weight.m_in) ** exponents[0] * float(weight.m_out) ** exponents[1]

        init, full, none, gradient = map(power, EFFECTIVE[name][role])
        assert multiplier * std == pytest.approx(init)
        assert multiplier * adam_full == pytest.approx(full)
        assert multiplier * adam_none == pytest.approx(none)
        assert multiplier**2 * gradient * sgd_full == pytest.approx(full)
        assert multiplier**2 * gradient * sgd_none == pytest.approx(none)
        assert epsilon == pytest.approx(multiplier * gradient)


@pytest.mark.parametrize("rates", ALIGNMENTS)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_forms_of_the_mup_class_are_one_function(rates, m_in, m_out):
    for role in ROLES:
        weight = of_role(role, m_in, m_out)
        reference = effective(Recipe("mup_table3", rates=rates), weight)
        for name in MUP_CLASS:
            ours = effective(Recipe(name, rates=rates), weight)
            if (name, role) == ("unit", Role.INPUT):
                slower = float(weight.m_out) ** -0.5
                reference_unit = dict(reference)
                for column in ("adam step", "sgd step", "clip", "lr decay adam"):
                    reference_unit[column] *= slower
                assert ours == pytest.approx(reference_unit)
            else:
                assert ours == pytest.approx(reference), (name, role)


@pytest.mark.parametrize("rates", ALIGNMENTS)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_ntk_and_standard_with_rates_per_layer_are_one_function(rates, m_in, m_out):
    for role in ROLES:
        weight = of_role(role, m_in, m_out)
        ours, theirs = (effective(Recipe(n, rates=rates), weight) for n in ("ntk", "standard"))
        assert ours == pytest.approx(theirs), role


@pytest.mark.parametrize("m", [3, 4])
def test_the_two_classes_differ_in_readout_init_and_gradient_size_alone(m):
    root = m**0.5
    ratios = {
        role: ratio(
            effective(Recipe("standard", rates="full", decay="sqrt"), of_role(role, m)),
            effective(Recipe("mup"), of_role(role, m)),
        )
        for role in ROLES
    }
    same = dict.fromkeys(("init", "adam step", "lr decay adam", "lr decay sgd"), 1.0)
    # The readout's larger init makes every gradient behind it larger; SGD follows, per gradient.
    behind = same | {"gradient": root, "sgd step": 1 / root, "clip": 1 / root}
    assert ratios[Role.INPUT] == pytest.approx(behind)
    assert ratios[Role.HIDDEN] == pytest.approx(behind)
    assert ratios[Role.VECTOR] == pytest.approx(behind)
    unchanged = same | {"gradient": 1.0, "sgd step": 1.0, "clip": 1.0}
    assert ratios[Role.OUTPUT] == pytest.approx(unchanged | {"init": root})
    assert ratios[Role.SCALAR] == pytest.approx(unchanged)


def test_attention_follows_the_class():
    exponents = {name: table.attention for name, table in PARAMETRIZATIONS.items()}
    assert exponents == {
        "standard": Fraction(-1, 2),
        "ntk": Fraction(-1, 2),
        **dict.fromkeys(MUP_CLASS, Fraction(-1)),
    }


@pytest.mark.parametrize("name", MUP_CLASS)
def test_unequal_growth_of_a_hidden_matrix_under_mup(name):
    # fan-in grows by 4, fan-out by 3: Adam 1/4, SGD 3/4, init 1/2 and gradient 1/3 of W.
    ours = effective(Recipe(name), of_role(Role.HIDDEN, 4, 3))
    assert ours["init"] == 0.5
    assert ours["adam step"] == 0.25
    assert ours["sgd step"] == pytest.approx(0.75)
    assert ours["gradient"] == pytest.approx(1 / 3)


def effective(recipe: Recipe, weight) -> dict[str, float]:
    """What a form does to W = A w; "sgd step" is per gradient of W."""
    adam, sgd = recipe.rule(weight), recipe.rule(weight, "linear")
    A = adam.multiplier
    return {
        "init": A * adam.std,
        "adam step": A * adam.learning_rate,
        "sgd step": A**2 * sgd.learning_rate,
        "gradient": adam.epsilon / A,
        "clip": A**2 * adam.clip,
        "lr decay adam": adam.learning_rate * adam.weight_decay,
        "lr decay sgd": sgd.learning_rate * sgd.weight_decay,
    }


def ratio(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {key: ours[key] / theirs[key] if theirs[key] else 1.0 for key in ours}
