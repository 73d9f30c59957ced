"""Factors lead from form to form within a class, exactly, and never from one class to the other."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Annotated, Axes, Layout, Recipe, Role, reparametrize
from transfer.scaling.powers import Power

from .parameters import EVERY, MUP_CLASS, ROLES, few, layout, of_role, parameter

FAMILIES = ("entrywise", "linear", "relative", "spectral")
RATES = ("full", "none")
COLUMNS = ("std", "multiplier", "learning_rate", "epsilon", "clip", "weight_decay")
# From one form to another of its class: the theta of each role.
FACTORS = [
    ("mup", "mup_table3", {Role.OUTPUT: "in"}),
    ("mup", "mup_table9", {Role.INPUT: "out^1/2", Role.OUTPUT: "in^1/2"}),
    ("mup", "mean_field", {Role.HIDDEN: "in^-1/2"}),
    ("mup_table9", "mean_field", {"input": "out^-1/2", "hidden": "in^-1/2", "output": "in^-1/2"}),
    ("standard", "ntk", {Role.HIDDEN: "in^-1/2", Role.OUTPUT: "in^-1/2"}),
]
THETAS = st.floats(1e-3, 1e3)
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)


@pytest.mark.parametrize(("start", "end", "factors"), FACTORS)
@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_reparametrization_leads_to_another_form(start, end, factors, rates, family):
    changed = Recipe(start, rates=rates).reparametrized(factors)
    there = Recipe(end, rates=rates)
    for role in ROLES:
        assert changed.exponents(role, family) == there.exponents(role, family), role
    assert changed.contraction == there.contraction


@pytest.mark.parametrize(("start", "end", "factors"), FACTORS)
@few
@given(m_in=RATIOS, m_out=RATIOS)
def test_a_reparametrized_rule_is_the_other_forms(start, end, factors, m_in, m_out):
    """Decay too, which is no column: it follows its own rule, and the form it is stated for."""
    for family, role in itertools.product(FAMILIES, ROLES):
        weight = of_role(role, m_in, m_out)
        changed, there = (
            recipe.rule(weight, family)
            for recipe in (
                Recipe(start, rates="full", decay="sqrt", decay_readout=True).reparametrized(
                    factors
                ),
                Recipe(end, rates="full", decay="sqrt", decay_readout=True),
            )
        )
        for column in COLUMNS:
            assert getattr(changed, column) == pytest.approx(getattr(there, column)), column


def test_a_reparametrization_of_a_role_scales_its_init_and_its_multiplier():
    readout = parameter("embed -> vocab", (64, 9), (256, 9), gain=1.0)
    table_3 = Recipe("mup").reparametrized({Role.OUTPUT: "in"})
    for recipe in (table_3, Recipe("mup_table3")):
        assert (recipe.init_std(readout), recipe.multiplier(readout)) == (1 / 32, 1.0)


@few
@given(a=st.fractions(-3, 3, max_denominator=12), b=st.fractions(-3, 3, max_denominator=12))
def test_no_reparametrization_leads_from_mup_to_standard(a, b):
    """The init of the effective weight stays, and in it the two readouts differ."""
    changed = Recipe("mup").reparametrized(
        {"input": f"out^{a}", "hidden": f"in^{b}", "output": f"in^{a}"}
    )
    for role, there in itertools.product(ROLES, ("standard", "ntk")):
        ours, theirs = changed.exponents(role), Recipe(there, rates="full").exponents(role)
        equal = ours.std * ours.multiplier == theirs.std * theirs.multiplier
        assert equal == (role != Role.OUTPUT)


def test_uniform_rates_are_no_forms_of_one_another():
    """One rate for all does not survive a change of form, so the two frameworks' habits differ."""
    factors = {Role.HIDDEN: "in^-1/2", Role.OUTPUT: "in^-1/2"}
    changed = Recipe("standard").reparametrized(factors).exponents(Role.HIDDEN)
    assert changed.std == Recipe("ntk").exponents(Role.HIDDEN).std
    assert str(changed.learning_rate) == "in^1/2"
    assert str(Recipe("ntk").exponents(Role.HIDDEN).learning_rate) == "1"


@pytest.mark.parametrize("name", EVERY)
def test_shifts_change_nothing_at_the_base_width(name):
    recipe = Recipe(name, clipping="invariant")
    changed = recipe.reparametrized({"input": "out^-2", "hidden": "in^1/3 out", "output": "in"})
    for role, family in itertools.product(ROLES, FAMILIES):
        assert changed.rule(of_role(role), family) == recipe.rule(of_role(role), family)


# The operation on one rule.


@pytest.mark.parametrize(
    ("family", "rate", "decay"),
    [("entrywise", 0.5, 2.0), ("linear", 0.25, 4.0), ("relative", 1.0, 1.0), ("spectral", 0.5, 2)],
)
def test_what_a_reparametrization_by_two_does(family, rate, decay):
    recipe = Recipe("standard", decay_readout=True, clipping="invariant")
    rule = reparametrize(recipe.rule(of_role(Role.OUTPUT), family), 2.0, family)
    assert (rule.std, rule.multiplier, rule.epsilon, rule.clip) == (0.5, 2.0, 2.0, 0.25)
    assert (rule.learning_rate, rule.weight_decay) == (rate, decay)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(theta=THETAS, m=RATIOS)
def test_a_reparametrization_keeps_all_that_the_effective_weight_sees(family, theta, m):
    for name in EVERY:
        before = Recipe(name, clipping="invariant").rule(of_role(Role.HIDDEN, m), family)
        after = reparametrize(before, theta, family)
        for kept in (
            lambda r: r.multiplier * r.std,
            lambda r: r.epsilon / r.multiplier,
            lambda r: r.clip * r.multiplier**2,
            lambda r: r.learning_rate * r.weight_decay,
            # The step of W over that of its gradient (linear), its size (relative), or one.
            lambda r: r.learning_rate * r.multiplier ** {"linear": 2, "relative": 0}.get(family, 1),
        ):
            assert kept(after) == pytest.approx(kept(before))


# Layers.

MODEL = {
    "embedding.table": ("vocab -> embed", lambda n: (9, n)),
    "blocks.attention.query.kernel": ("layers | embed -> heads", lambda n: (2, n, n)),
    "blocks.attention.logit_multiplier": ("layers | head_dim ->", lambda n: (2, n)),
    "blocks.attention_norm.gain": ("layers | embed", lambda n: (2, n)),
    "readout.kernel": ("embed -> vocab", lambda n: (n, 9)),
    "readout.bias": ("vocab", lambda n: (9,)),
    "bare": ("embed -> heads", lambda n: (n, n)),
}


def model(width):
    return {
        path: Annotated(
            axes=Axes.parse(axes), shape=shape(width), gain=1.0, activations=axes.endswith("->")
        )
        for path, (axes, shape) in MODEL.items()
    }


LAYOUT = Layout.compare(base=model(4), probe=model(8), target=model(16))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("layer", "weight"),
    [
        ("embedding", "embedding.table"),
        ("blocks.attention.query", "blocks.attention.query.kernel"),
        ("readout", "readout.kernel"),
        ("bare", "bare"),
    ],
)
def test_a_reparametrized_layer_is_that_layer_alone(layer, weight, family):
    plain, changed = Recipe("mup"), Recipe("mup").reparametrized({layer: 3.7})
    for path, each in LAYOUT.items():
        before, after = plain.rule(each, family), changed.rules(LAYOUT, family)[path]
        assert after == (reparametrize(before, 3.7, family) if path == weight else before)
        theta = 3.7 if path == weight else 1.0
        # A std times 1 / theta: off by a rounding from one over theta.
        assert changed.init_std(each) == pytest.approx(plain.init_std(each) / theta, rel=1e-15)
        assert changed.multiplier(each) == plain.multiplier(each) * theta


def test_weight_and_multipliers_of_a_layer_move_together():
    multiplier = parameter("embed -> vocab", (64, 9), (256, 9))
    for path, theta in (("readout.multiplier", 3.7), ("readouts.multiplier", 1.0)):
        named = Layout({path: multiplier}).parameters[path]
        named = type(named)(**{**vars(named), "path": path})
        assert Recipe("mup").reparametrized({"readout": 3.7}).multiplier(named) == 0.25 * theta


def test_the_spectral_init_is_reparametrized_too():
    hidden = parameter("embed -> ffn", (64, 64), (256, 256), gain=1.0)
    spectral = Recipe("mup_table3", initializer="spectral")
    for factors, theta in (({"w": 4.0}, 4), ({Role.HIDDEN: "in^1/2"}, 2)):
        assert (
            spectral.reparametrized(factors).init_std(hidden) == spectral.init_std(hidden) / theta
        )


def test_a_raw_norm_stays_raw():
    recipe = Recipe("mup", clipping="raw").reparametrized({"readout": 3.7, Role.HIDDEN: "in"})
    assert {rule.clip for rule in recipe.rules(LAYOUT).values()} == {1.0}


# Recipes of another form.


@few
@given(first=THETAS, second=THETAS, a=st.fractions(-2, 2, max_denominator=6))
def test_shifts_compose_and_undo_each_other(first, second, a):
    recipe = Recipe("mup").reparametrized({"readout": first, "hidden": f"in^{a} out"})
    again = recipe.reparametrized({"readout": second, "hidden": f"in^{-a} out^-1"})
    assert again == Recipe("mup").reparametrized({"readout": first * second})
    assert Recipe("mup").reparametrized({"readout": 2.0}).reparametrized(
        {"readout": 0.5}
    ) == Recipe("mup")


def test_the_order_of_factors_does_not_matter():
    factors = {"readout": 3.7, Role.OUTPUT: "in", "embedding": 0.13, Role.HIDDEN: "out^-1"}
    recipes = {
        Recipe("mup").reparametrized(dict(order))
        for order in itertools.permutations(factors.items())
    }
    assert len(recipes) == 1


def test_the_name_tells_of_another_form_where_there_is_one():
    changed = Recipe("mup").reparametrized({Role.OUTPUT: "in^1/2", "readout": 3.7})
    assert str(changed) == "mup+sqrt (output x in^1/2, readout x 3.7)"
    assert str(Recipe("mup").reparametrized({})) == "mup+sqrt"
    for name in MUP_CLASS:
        assert Recipe.parse(str(Recipe(name))) == Recipe(name)
    with refused():
        Recipe.parse(str(changed))


@pytest.mark.parametrize(
    ("factors", "names"),
    [
        ({Role.VECTOR: "out"}, ("vector",)),
        ({"scalar": "1"}, ("scalar",)),
        ({"outptu": "in"}, ("outptu", "output")),
        ({Role.OUTPUT: 3.7}, ("output",)),
        ({Role.OUTPUT: "width"}, ("output", "width")),
        ({Role.OUTPUT: "out"}, ("output", "out", "in")),
        ({Role.INPUT: "in out"}, ("input", "in out", "out")),
        ({"readout": 0.0}, ("readout", 0.0)),
        ({"readout": float("inf")}, ("readout", "inf")),
        ({"readout": float("nan")}, ("readout", "nan")),
    ],
)
def test_what_cannot_be_reparametrized_is_refused(factors, names):
    with refused(*names):
        Recipe("mup").reparametrized(factors)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        ("redout", ("redout", "readout")),
        ("readout.kernel", ("readout.kernel", "readout")),
        ("blocks.attention_norm", ("blocks.attention_norm",)),
    ],
)
def test_a_layer_that_the_model_does_not_have_is_refused(layer, names):
    with refused(*names):
        Recipe("mup").reparametrized({layer: 2.0}).rules(LAYOUT)


def test_a_tied_embedding_factors_as_both_or_not_at_all():
    one = layout("vocab -> embed", (100, 64), (100, 192), std=0.02, tied=True)
    both = Recipe("mup").reparametrized({Role.INPUT: "out^1/2", Role.OUTPUT: "in^1/2"})
    assert both.rules(one)["w"].multiplier == pytest.approx(3**0.5)
    with refused("w"):
        Recipe("mup").reparametrized({Role.OUTPUT: "in"}).rules(one)
    assert Recipe("mup").reparametrized({"w": 3.7}).rules(one)["w"].multiplier == 3.7


def test_powers_of_powers():
    assert Power.parse("in^1/2 out") ** -2 == Power.parse("in^-1 out^-2")
    assert Power.parse("in out^3") ** 0 == Power()
