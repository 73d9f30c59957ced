"""The regime classifier against published values, and every condition failing alone."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import (
    ALIGNMENTS,
    Alignment,
    Condition,
    Exponents,
    Recipe,
    Regime,
    Role,
    Slopes,
    classify_regime,
)
from transfer.scaling.recipe import FAMILIES

from .parameters import EVERY, MUP_FORMS

HALF = Fraction(1, 2)
# Exact arithmetic is quick, and stability has many ways to fail.
many = settings(max_examples=200, deadline=None)
QUARTERS = st.integers(-8, 8).map(lambda i: Fraction(i, 4))

# Table 1 of arXiv 2011.14522, L = 2 (mean field: L = 1).
STANDARD = "0 0 1 | 0 1/2 1 | 0 1/2 1"
NTK = "0 0 0 | 1/2 0 0 | 1/2 0 0"
MEAN_FIELD = "0 0 -1 | 1 0 -1"
MUP = "-1/2 1/2 0 | 0 1/2 0 | 1/2 1/2 0"


def sgd(text):
    return classify_regime(Exponents.parse(text, "linear"))


def adam(text, alignment="tensor_programs"):
    return classify_regime(Exponents.parse(text, "entrywise"), alignment)


@pytest.mark.parametrize(
    ("text", "r", "regime"),
    [
        (STANDARD, HALF, Regime.KERNEL),
        (NTK, HALF, Regime.KERNEL),
        (MEAN_FIELD, 0, Regime.FEATURE_LEARNING),
        (MUP, 0, Regime.FEATURE_LEARNING),
    ],
)
def test_table_1_of_tensor_programs_4(text, r, regime):
    verdict = sgd(text)
    readout = verdict.exponents.layers[-1]
    assert (verdict.r, verdict.regime) == (r, regime)
    assert (verdict.stable, verdict.nontrivial) == (True, True)
    assert 2 * readout.a + readout.c == 1
    assert readout.a + readout.b + verdict.r == 1
    # Both equal one, so the readout is updated and initialised maximally in all four.
    assert verdict.updated_maximally[-1]
    assert verdict.readout_initialized_maximally


def test_which_layers_are_updated_maximally():
    assert sgd(MUP).updated_maximally == (True, True, True)
    assert sgd(MEAN_FIELD).updated_maximally == (True, True)
    assert sgd(NTK).updates == (HALF, HALF, 0)
    # One rate of 1/n: the input layer stands a whole power behind the hidden one's half.
    assert sgd(STANDARD).updates == (Fraction(3, 2), HALF, 0)
    assert sgd("-1/2 1/2 1 | 0 1/2 0 | 1/2 1/2 0").updates == (1, 0, 0)


def test_the_standard_parametrization_with_a_constant_rate_is_unstable():
    verdict = sgd("0 0 0 | 0 1/2 0 | 0 1/2 0")
    assert (verdict.r, verdict.regime) == (-1, Regime.UNSTABLE)
    assert {v.condition for v in verdict.violations} == {
        Condition.FEATURES,
        Condition.READOUT_UPDATE,
        Condition.FEATURE_CHANGE,
    }


def test_the_deep_mean_field_is_mup_reparametrized_by_a_half():
    mup = Exponents.parse("-1/2 1/2 0 | 0 1/2 0 | 0 1/2 0 | 1/2 1/2 0", "linear")
    for layer in range(1, 5):
        mup = mup.reparametrized(layer, HALF)
    assert str(mup) == "0 0 -1 | 1/2 0 -1 | 1/2 0 -1 | 1 0 -1"
    assert mup == Exponents.of(Recipe("mean_field"), "linear", hidden_layers=3)


def test_the_library_s_recipes_are_the_paper_s_rows():
    assert str(Exponents.of(Recipe("standard"), "linear").slowed(1)) == STANDARD
    assert str(Exponents.of(Recipe("ntk"), "linear")) == NTK
    assert str(Exponents.of(Recipe("mean_field"), "linear", hidden_layers=1)) == MEAN_FIELD
    assert str(Exponents.of(Recipe("mup_table9"), "linear")) == MUP


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", MUP_FORMS)
def test_every_form_of_mup_updates_every_layer_maximally(name, family):
    verdict = classify_regime(Exponents.of(Recipe(name), family, hidden_layers=3))
    assert verdict.regime == Regime.FEATURE_LEARNING
    assert all(verdict.updated_maximally)
    assert verdict.readout_initialized_maximally
    assert verdict.changes == (0, 0, 0, 0)


@pytest.mark.parametrize("family", ["linear", "entrywise"])
@pytest.mark.parametrize("name", ["standard", "ntk"])
def test_rates_per_layer_make_the_standard_class_learn_but_align_its_readout(name, family):
    exponents = Exponents.of(Recipe(name, rates="full"), family)
    verdict = classify_regime(exponents)
    assert (verdict.r, verdict.regime) == (0, Regime.UNSTABLE)
    (violation,) = verdict.violations
    assert (violation.condition, violation.layer) == (Condition.FEATURE_CHANGE, 3)
    assert violation.equation == "a + b + r = 1/2, expected >= 1"
    # Everett et al. count the initial readout as not aligned, and call the same network stable.
    assert classify_regime(exponents, "full").regime == Regime.FEATURE_LEARNING


@pytest.mark.parametrize("name", ["standard", "ntk", *MUP_FORMS])
@pytest.mark.parametrize("alignment", ["full", "none"])
def test_adam_rates_change_every_layer_as_much_under_their_alignment(name, alignment):
    exponents = Exponents.of(Recipe(name, rates=alignment), "entrywise")
    assert classify_regime(exponents, alignment).changes == (0, 0, 0)


def test_adam_with_one_rate_blows_up_in_the_standard_class():
    standard = Exponents.of(Recipe("standard"), "entrywise")
    assert classify_regime(standard, "full").changes == (0, -1, -2)
    assert classify_regime(standard.slowed(1), "full").changes == (1, 0, 0)
    assert not classify_regime(standard).stable
    ntk = Exponents.of(Recipe("ntk"), "entrywise")
    assert classify_regime(ntk, "full").changes == (0, -HALF, -1)


def test_adam_too_has_a_kernel_regime():
    verdict = adam("0 0 1/2 | 0 1/2 3/2 | 0 1/2 1")
    assert (verdict.r, verdict.regime) == (HALF, Regime.KERNEL)


def test_the_unit_embedding_is_stable_and_slower():
    verdict = classify_regime(Exponents.of(Recipe("unit"), "entrywise"))
    assert verdict.changes == (HALF, 0, 0)
    assert verdict.updated_maximally == (False, True, True)
    assert verdict.regime == Regime.FEATURE_LEARNING


@pytest.mark.parametrize("family", ["linear", "entrywise", "relative"])
@pytest.mark.parametrize("name", EVERY)
def test_the_coordinate_check_expects_the_same(name, family):
    # Under full alignment the updated readout sends back no more than the initial one, so that
    # the first step, which the coordinate check is about, is like all others.
    slopes = Slopes(Recipe(name, rates="full"), family)
    verdict = classify_regime(Exponents.of(slopes.recipe, family))
    assert verdict.changes[:2] == (-slopes.change(Role.INPUT), -slopes.change(Role.HIDDEN))
    assert verdict.changes[2] == -slopes.output_change


def test_alignments_are_those_of_the_papers():
    assert ALIGNMENTS["tensor_programs"] == Alignment(Fraction(1), Fraction(1), Fraction(1))
    assert ALIGNMENTS["full"] == Alignment(Fraction(1), HALF, Fraction(1))
    assert ALIGNMENTS["none"] == Alignment(HALF, HALF, HALF)
    with refused("ful", "full"):
        adam("0 0 0 | 1 0 0", alignment="ful")


# Each line leaves muP, or a stable relative of it, through one condition alone.
@pytest.mark.parametrize(
    ("condition", "layer", "equation", "text"),
    [
        (Condition.INPUT_INIT, 1, "a + b = 1/4, expected 0", "-1/2 3/4 0 | 0 1/2 0 | 1/2 1/2 0"),
        (Condition.INPUT_INIT, 1, "a + b = -1/4, expected 0", "-1/2 1/4 0 | 0 1/2 0 | 1/2 1/2 0"),
        (Condition.HIDDEN_INIT, 2, "a + b = 1/4, expected 1/2", "-1/2 1/2 0 | 0 1/4 0 | 1/2 1/2 0"),
        (
            Condition.HIDDEN_INIT,
            3,
            "a + b = 3/4, expected 1/2",
            "-1/2 1/2 0 | 0 1/2 0 | 0 3/4 0 | 1/2 1/2 0",
        ),
        (Condition.OUTPUT_INIT, 3, "a + b = 1/4, expected >= 1/2", "0 0 1 | 1/2 0 1 | 1/2 -1/4 0"),
        (Condition.FEATURES, 2, "r = -1/4, expected >= 0", "0 0 0 | 1/2 0 -5/4 | 1/2 3/4 0"),
        (Condition.READOUT_UPDATE, 3, "2a + c = 3/4, expected >= 1", "0 0 1 | 0 1/2 2 | 0 1 3/4"),
        (
            Condition.FEATURE_CHANGE,
            3,
            "a + b + r = 3/4, expected >= 1",
            "0 0 1 | 0 1/2 3/4 | 0 1/2 1",
        ),
    ],
)
def test_each_condition_fails_alone_under_sgd(condition, layer, equation, text):
    verdict = sgd(text)
    (violation,) = verdict.violations
    assert (violation.condition, violation.layer) == (condition, layer)
    assert violation.equation == equation
    assert (verdict.regime, verdict.nontrivial) == (Regime.UNSTABLE, False)
    assert str(violation) in str(verdict)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition.INPUT_INIT, "0 1/4 0 | 0 1/2 1 | 1 0 0"),
        (Condition.HIDDEN_INIT, "0 0 0 | 0 1/4 1 | 1 0 0"),
        (Condition.OUTPUT_INIT, "0 0 1 | 0 1/2 2 | 1 -3/4 0"),
        (Condition.FEATURES, "0 0 -1/4 | 0 1/2 1 | 1 1/4 0"),
        (Condition.READOUT_UPDATE, "0 0 0 | 0 1/2 1 | 1 0 -1/4"),
        (Condition.FEATURE_CHANGE, "0 0 0 | 0 1/2 1 | 1 -1/4 0"),
    ],
)
def test_each_condition_fails_alone_under_adam(condition, text):
    assert [violation.condition for violation in adam(text).violations] == [condition]


def test_an_output_that_stands_still_is_trivial():
    verdict = sgd("0 0 0 | 1/2 0 0 | 1/2 1/2 1/4")
    assert (verdict.regime, verdict.stable, verdict.nontrivial) == (Regime.TRIVIAL, True, False)
    assert adam("0 0 0 | 0 1/2 1 | 1 1/4 1/4").regime == Regime.TRIVIAL


def test_either_way_to_the_output_is_enough_to_move_it():
    through_features = sgd("-1/2 1/2 0 | 0 1/2 0 | 1/2 1/2 1")
    assert (through_features.regime, through_features.updates[-1]) == (Regime.FEATURE_LEARNING, 1)
    through_readout = sgd("-1/2 1/2 0 | 0 1/2 0 | 1/2 1 0")
    assert (through_readout.regime, through_readout.readout_init) == (Regime.FEATURE_LEARNING, HALF)


def test_the_first_layer_sums_over_a_constant_number_of_features():
    # Without its 1(l = 1) the first layer of muP would blow up.
    assert sgd(MUP).updates[0] == 0 == sgd("-1/2 1/2 0 | 1/2 1/2 0").updates[0]


def test_the_updated_readout_sends_the_signal_back_too():
    # a + b = 3/2 says nothing of r where 2a + c = 1.
    assert sgd("-1/2 1/2 0 | 0 1/2 0 | 1/2 1 0").r == 0
    assert sgd("-1/2 1/2 0 | 0 1/2 0 | 1/2 1 1/4").r == Fraction(1, 4)


def test_a_verdict_reads_well():
    assert str(sgd(MUP)) == "\n".join(
        [
            "feature learning (linear optimizers): r = 0",
            "  layer 1: its update moves its output by n^0 (maximal)",
            "  layer 2: its update moves its output by n^0 (maximal)",
            "  readout: its update moves its output by n^0 (maximal)",
            "  initial readout: moves the output by n^0 (maximal)",
        ]
    )
    assert str(sgd("0 0 1 | 0 1/2 3/4 | 0 1/2 1")).splitlines()[:2] == [
        "unstable (linear optimizers): r = 1/4",
        "  fails in layer 3: the features' change does not blow up the output "
        "(a + b + r = 3/4, expected >= 1)",
    ]


@st.composite
def networks(draw, families=FAMILIES):
    """muP with some exponents changed: about one draw in six is stable."""
    family, hidden = draw(st.sampled_from(families)), draw(st.integers(1, 3))
    mup = Exponents.of(Recipe("mup"), family, hidden)
    layers = []
    for number in range(1, hidden + 2):
        mup = mup.reparametrized(number, draw(QUARTERS))
        layer = mup.layers[number - 1]
        b = layer.b + draw(st.sampled_from((0, 0, 0, 0, HALF, -HALF / 2)))
        c = layer.c + draw(st.sampled_from((0, 0, HALF / 2, 1, -HALF / 2)))
        layers.append(dataclasses.replace(layer, b=b, c=c))
    return Exponents(tuple(layers), family)


@many
@given(networks(), st.data())
def test_a_reparametrization_changes_no_regime(exponents, data):
    layer = data.draw(st.integers(1, exponents.hidden_layers + 1))
    shifted = exponents.reparametrized(layer, data.draw(QUARTERS))
    before, after = classify_regime(exponents), classify_regime(shifted)
    assert after.updates == before.updates
    assert after.changes == before.changes
    assert after.readout_init == before.readout_init
    assert [(v.condition, v.layer) for v in after.violations] == [
        (v.condition, v.layer) for v in before.violations
    ]


def test_adam_s_symmetry_is_not_sgd_s():
    mup = Exponents.parse(MUP, "linear")
    wrong = Exponents(mup.layers, "entrywise").reparametrized(2, HALF).layers
    assert classify_regime(Exponents(wrong, "linear")).updates != classify_regime(mup).updates


@many
@given(networks(("linear",)))
def test_definition_3_2_and_theorem_3_3_as_printed(exponents):
    # One global rate: the symmetry takes each layer's own to zero.
    flat = [(layer.a + layer.c / 2, layer.b - layer.c / 2) for layer in exponents.layers]
    (a1, b1), *hidden, (a_out, b_out) = flat
    terms = [2 * a1 + 1, *(2 * a for a, _ in hidden)]
    r = min(a_out + b_out, 2 * a_out) - 1 + min(terms)
    stable = (
        a1 + b1 == 0
        and all(a + b == HALF for a, b in hidden)
        and a_out + b_out >= HALF
        and r >= 0
        and 2 * a_out >= 1
        and a_out + b_out + r >= 1
    )
    verdict = classify_regime(exponents)
    assert (verdict.r, verdict.stable) == (r, stable)


@many
@given(networks(), st.sampled_from(list(ALIGNMENTS)))
def test_stable_means_that_no_change_grows(exponents, alignment):
    verdict = classify_regime(exponents, alignment)
    *inits, readout = (layer.a + layer.b for layer in exponents.layers)
    good_init = inits == [0, *[HALF] * (len(inits) - 1)] and readout >= HALF
    assert verdict.stable == (good_init and min(verdict.changes) >= 0)
    if verdict.stable:
        assert verdict.changes[-2] == verdict.r
        assert verdict.nontrivial == (verdict.changes[-1] == 0)
