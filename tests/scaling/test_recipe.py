import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import MULTIPLIERS, Annotated, Axes, Hyperparameters, Layout, Recipe, Role

from .parameters import (
    EVERY,
    MUP_CLASS,
    MUP_FORMS,
    ROLES,
    STANDARD_CLASS,
    few,
    layout,
    of_role,
    parameter,
)

RATES = ("uniform", "full", "none")
DECAYS = ("constant", "sqrt", "independent", 0.3)
FAMILIES = ("entrywise", "linear", "relative", "spectral")
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)
COLUMNS = ("std", "multiplier", "learning_rate", "epsilon", "clip")


def tied(width: int, base: int = 64):
    return parameter("vocab -> embed", (100, base), (100, width), std=0.02, tied=True)


@pytest.mark.parametrize("name", EVERY)
def test_at_the_base_width_every_factor_is_exactly_one(name):
    settings = itertools.product(RATES, DECAYS, ("invariant", "raw"), (False, True), FAMILIES)
    for rates, decay, clipping, decay_readout, family in settings:
        recipe = Recipe(
            name, rates=rates, decay=decay, clipping=clipping, decay_readout=decay_readout
        )
        for role in ROLES:
            rule = recipe.rule(of_role(role, 1), family)
            assert [getattr(rule, column) for column in COLUMNS] == [1.0] * 5
            decayed = role == Role.HIDDEN or (role == Role.OUTPUT and decay_readout)
            assert rule.weight_decay == (1.0 if decayed else 0.0)


@pytest.mark.parametrize("name", EVERY)
def test_at_the_base_width_the_init_is_the_models_own(name):
    assert Recipe(name).init_std(parameter("embed -> ffn", (48, 48), (48, 48), gain=1.7)) == (
        1.7 / 48**0.5
    )
    assert Recipe(name).init_std(parameter("vocab -> embed", (9, 48), (9, 48), std=0.3)) == 0.3


@pytest.mark.parametrize("name", EVERY)
@few
@given(first=RATIOS, second=RATIOS)
def test_widths_compose(name, first, second):
    """Going from width a to b and from b to c is going from a to c, below the base or above it."""
    for rates, family, role in itertools.product(RATES, FAMILIES, ROLES):
        recipe = Recipe(name, rates=rates, clipping="invariant")
        one, two, both = (
            recipe.rule(of_role(role, m), family) for m in (first, second, first * second)
        )
        for column in (*COLUMNS, "weight_decay"):
            product = getattr(one, column) * getattr(two, column)
            assert getattr(both, column) == pytest.approx(product)


@pytest.mark.parametrize("m", [Fraction(3, 2), Fraction(1, 3), Fraction(7, 5)])
def test_ratios_are_exact_and_never_floored(m):
    recipe = Recipe("mup")
    assert recipe.rule(of_role(Role.HIDDEN, m)).learning_rate == pytest.approx(1 / float(m))
    assert recipe.rule(of_role(Role.OUTPUT, m)).multiplier == pytest.approx(1 / float(m))
    assert recipe.rule(of_role(Role.HIDDEN, m)).std == pytest.approx(float(m) ** -0.5)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rates", RATES)
def test_a_scalar_is_left_alone(name, rates):
    for family in FAMILIES:
        for scalar in (
            parameter("head_dim", (16,), (16,)),
            parameter("features -> classes", (5, 10), (5, 10)),
        ):
            recipe = Recipe(name, rates=rates, clipping="invariant")
            rule = recipe.rule(scalar, family)
            assert [getattr(rule, column) for column in COLUMNS] == [1.0] * 5
            assert rule.weight_decay == 0.0


def test_grouped_query_kernels():
    key = parameter("embed -> kv_heads head_dim", (128, 4, 16), (512, 12, 16), gain=1.0)
    adam, sgd = Recipe("mup").rule(key), Recipe("mup").rule(key, "linear")
    assert (adam.std, adam.learning_rate, adam.weight_decay) == (0.5, 0.25, 2.0)
    assert adam.epsilon == pytest.approx(1 / 3)
    assert sgd.learning_rate == pytest.approx(3 / 4)
    assert sgd.weight_decay == pytest.approx(4 / 3)
    assert Recipe("mup").init_std(key) == pytest.approx(512**-0.5)
    out = parameter("kv_heads head_dim -> embed", (4, 16, 128), (12, 16, 512))
    assert Recipe("mup").rule(out).learning_rate == pytest.approx(1 / 3)
    assert Recipe("mup").rule(out).epsilon == 0.25
    field = Recipe("mean_field").rule(key, "linear")
    assert (field.multiplier, field.learning_rate) == (0.5, pytest.approx(3.0))
    assert field.epsilon == pytest.approx(1 / 6)


def test_convolutions_follow_their_channels():
    first = parameter("height width colours -> filters", (3, 3, 3, 16), (3, 3, 3, 64), gain=1.0)
    inner = parameter("height width channels -> filters", (3, 3, 16, 16), (3, 3, 64, 64), gain=1.0)
    recipe = Recipe("mup")
    assert recipe.init_std(first) == pytest.approx(27**-0.5)
    assert recipe.init_std(inner) == pytest.approx((9 * 64) ** -0.5)
    adam, sgd = ([recipe.rule(p, o) for p in (first, inner)] for o in ("entrywise", "linear"))
    assert [rule.learning_rate for rule in adam] == [1, 0.25]
    assert [rule.learning_rate for rule in sgd] == [4, 1]
    assert [rule.epsilon for rule in adam] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "std"),
    [("standard", 1 / 16), ("mup_table3", 1 / 32), ("mup", 1 / 8), ("mup_table9", 1 / 16)],
)
def test_init_std_of_the_readout(name, std):
    readout = parameter("embed -> vocab", (64, 100), (256, 100), gain=1.0)
    assert Recipe(name).init_std(readout) == std


def test_a_constant_has_no_init_std():
    assert Recipe("mup").init_std(of_role(Role.VECTOR, 4)) is None


# Clipping.


@pytest.mark.parametrize("name", EVERY)
def test_clip_weights_are_the_full_alignment_sgd_rates(name):
    for rates, role in itertools.product(RATES, ROLES):
        weight = of_role(role, 3, 2)
        expected = Recipe(name, rates="full").rule(weight, "linear").learning_rate
        recipe = Recipe(name, rates=rates, clipping="invariant")
        for family in FAMILIES:
            assert recipe.rule(weight, family).clip == expected


def test_clip_weights_as_printed():
    roles = (Role.INPUT, Role.HIDDEN, Role.OUTPUT, Role.VECTOR, Role.SCALAR)
    mup, table3, table9 = (
        [Recipe(name).rule(of_role(role, 4)).clip for role in roles]
        for name in ("mup", "mup_table3", "mup_table9")
    )
    assert mup == [4, 1, 4, 4, 1]
    assert table3 == [4, 1, 0.25, 4, 1]
    assert table9 == [1, 1, 1, 4, 1]


@few
@given(RATIOS, RATIOS)
def test_the_clipped_norm_is_the_same_in_all_forms(m_in, m_out):
    """A form's gradient is A times that of W, so its square times c must not depend on A."""
    for forms, role in itertools.product((MUP_FORMS, STANDARD_CLASS), ROLES):
        weight = of_role(role, m_in, m_out)
        rules = [Recipe(form, clipping="invariant").rule(weight) for form in forms]
        shares = [rule.clip * rule.multiplier**2 for rule in rules]
        assert shares == pytest.approx([shares[0]] * len(shares))


@pytest.mark.parametrize("name", EVERY)
def test_default_norm_is_raw_for_what_frameworks_do_alone(name):
    for rates in RATES:
        framework = (name, rates) == ("standard", "uniform")
        assert Recipe(name, rates=rates).clipping == ("raw" if framework else "invariant")
    assert Recipe(name, clipping="raw").rule(of_role(Role.INPUT, 4)).clip == 1.0


# Defaults and names.


@pytest.mark.parametrize("name", EVERY)
def test_defaults(name):
    mup = name in MUP_CLASS
    recipe = Recipe(name)
    assert recipe.rates == ("full" if mup else "uniform")
    assert recipe.decay == ("sqrt" if mup else "constant")
    assert recipe == Recipe(name, rates=recipe.rates, decay=recipe.decay)


def test_the_default_recipe_is_table_8():
    assert Recipe() == Recipe("mup")
    assert not Recipe().decay_readout
    assert Recipe().rule(of_role(Role.OUTPUT, 4)).multiplier == 0.25


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (Recipe("standard"), "standard"),
        (Recipe("mup"), "mup+sqrt"),
        (Recipe("mup", decay="constant"), "mup+constant"),
        (Recipe("standard", rates="full", decay="independent"), "standard/full+independent"),
        (Recipe("ntk", rates="none"), "ntk/none"),
        (Recipe("mean_field", decay=0.6), "mean_field+0.6"),
    ],
)
def test_printed_name(recipe, text):
    assert str(recipe) == text
    assert Recipe.parse(text) == recipe


@pytest.mark.parametrize("name", EVERY)
def test_every_name_reads_back(name):
    for rates, decay in itertools.product(RATES, (*DECAYS, -0.5, 1e-7)):
        recipe = Recipe(name, rates=rates, decay=decay)
        assert Recipe.parse(str(recipe)) == recipe


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"parametrization": "men_field"}, ("men_field", "mean_field")),
        ({"rates": "ful"}, ("ful", "full")),
        ({"decay": "squrt"}, ("squrt", "sqrt")),
        ({"clipping": "invarant"}, ("invarant", "invariant")),
        ({"initializer": "spectal"}, ("spectal", "spectral")),
    ],
)
def test_an_unknown_name_names_the_nearest(arguments, names):
    with refused(*names):
        Recipe(**arguments)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rates", ["", *RATES])
@pytest.mark.parametrize("decay", ["", *DECAYS])
def test_a_whole_name_is_what_its_parts_are(name, rates, decay):
    text = name + (f"/{rates}" if rates else "") + (f"+{decay}" if decay else "")
    assert Recipe(text) == Recipe.of(text) == Recipe(name, rates=rates, decay=decay)
    assert Recipe(text, clipping="raw", depth="completep").clipping == "raw"
    assert Recipe.of(Recipe(text)) == Recipe(str(Recipe(text)))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("mup+sqrt", "", "constant"), ("mup+sqrt", "sqrt", "constant")),
        (("mup/full", "none"), ("mup/full", "full", "none")),
        (("mup+sqr",), ("sqr", "sqrt")),
        (("mup+measured",), ("measured",)),
        ((3,), (3,)),
    ],
)
def test_a_name_that_is_none_is_refused(arguments, names):
    with refused(*names):
        Recipe(*arguments)


def test_an_unknown_family_is_not_taken_for_sgd():
    with refused("entry", "entrywise"):
        Recipe("mup").rule(of_role(Role.HIDDEN, 4), "entry")


# Tied embeddings.


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["mup", "mup_table9", "mean_field", "ntk"])
def test_an_embedding_may_be_the_readout_where_the_rows_agree(name, family):
    rule = Recipe(name).rule(tied(192), family)
    assert rule == Recipe(name).rule(of_role(Role.INPUT, 3), family)
    assert rule.weight_decay == 0.0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (Recipe("standard"), "init std"),
        (Recipe("standard", rates="full"), "init std"),
        (Recipe("mup_table3"), "init std"),
        (Recipe("ntk", rates="full"), "learning rate"),
        (Recipe("unit"), "learning rate"),
        (Recipe("mup", rates="none"), "learning rate"),
        (Recipe("mup_table9", rates="none"), "learning rate"),
        (Recipe("mean_field", rates="none"), "learning rate"),
    ],
)
@pytest.mark.parametrize("width", [192, 64, 32])
def test_an_embedding_may_not_be_the_readout_elsewhere(recipe, reason, family, width):
    with refused("w", recipe, reason):
        recipe.rule(tied(width), family)


def test_a_tied_readout_does_not_decay():
    with refused():
        Recipe("mup", decay_readout=True).rule(tied(192))


def test_rules_of_a_layout_refuse_a_tie_and_otherwise_give_every_rule():
    one = layout("vocab -> embed", (100, 64), (100, 192), std=0.02, tied=True)
    with refused("w", "mup_table3+sqrt"):
        Recipe("mup_table3").rules(one)
    assert Recipe("mup").rules(one, "linear") == {"w": Recipe("mup").rule(one["w"], "linear")}


# Attention.


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("head_dim", [1, 16, 24, 64, 100])
def test_attention_is_the_frameworks_at_the_base_width(name, head_dim):
    expected = head_dim**-0.5
    fixed = parameter("head_dim ->", (head_dim,), (head_dim,), activations=True)
    assert Recipe(name).multiplier(fixed) == expected
    growing = attention(head_dim, head_dim)
    assert Recipe(name).multiplier(growing) == expected


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("base", "target"), [(16, 64), (64, 16), (24, 72), (64, 96)])
def test_attention_as_the_head_dimension_grows(name, base, target):
    expected = base**-0.5 * (base / target) if name in MUP_CLASS else target**-0.5
    assert Recipe(name).multiplier(attention(base, target)) == pytest.approx(expected)


def test_attention_as_printed():
    assert Recipe("mup").multiplier(attention(64, 256)) == 8 / 256
    assert Recipe("standard").multiplier(attention(64, 256)) == 1 / 16


def test_the_multiplier_of_a_weight_is_its_rules():
    for name, role in itertools.product(EVERY, ROLES):
        weight = of_role(role, 3, 2)
        assert Recipe(name).multiplier(weight) == Recipe(name).rule(weight).multiplier
    assert Recipe("mean_field").multiplier(of_role(Role.OUTPUT, 4)) == 0.25


def attention(base: int, target: int):
    contraction = {
        width: {
            "logits": Annotated(axes=Axes.parse("head_dim ->"), shape=(size,), activations=True)
        }
        for width, size in (("base", base), ("probe", 2 * base), ("target", target))
    }
    return Layout.compare(**contraction)["logits"]


# What is tuned.


def test_multipliers_default_to_one():
    tuned = Hyperparameters(learning_rate=0.01)
    assert MULTIPLIERS == (
        "input_learning_rate",
        "readout_learning_rate",
        "init_scale",
        "embedding_output",
        "readout_output",
        "attention_logits",
    )
    assert [getattr(tuned, name) for name in MULTIPLIERS] == [1.0] * 6
    assert tuned.weight_decay == 0.0
