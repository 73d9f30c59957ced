"""Batch size and number of tokens as a ladder measured them."""

import dataclasses
from fractions import Fraction

import pytest
from refusals import refused

from transfer.scaling import MeasuredHorizon, Recipe, Scale, extrapolate

LADDER = MeasuredHorizon(
    batch_size=8,
    tokens=2**16,
    rate_batch=0.5,
    rate_tokens=-0.25,
    decay_tokens=-0.5,
    best_batch=16.0,
    best_tokens=0.5,
    least=0.125,
    most=4.0,
)
# As `sde` has it, over batch sizes without end.
LIKE_SDE = MeasuredHorizon(
    batch_size=8,
    tokens=2**16,
    rate_batch=0.5,
    rate_tokens=-0.5,
    decay_batch=0.5,
    decay_tokens=-0.5,
    most=1e9,
)


def test_it_changes_nothing_at_the_base_run():
    recipe = Recipe("mup", horizon=LADDER)
    assert recipe.at_horizon("entrywise", Fraction(1), Fraction(1)) == Recipe("mup").at_horizon(
        "entrywise", Fraction(1), Fraction(1)
    )
    assert str(recipe) == "mup+sqrt"


@pytest.mark.parametrize("ratios", [(4, 1), (1, 4), (2, 16), (16, 16)])
def test_with_the_exponents_of_sde_it_moves_rate_and_decay_as_sde_and_leaves_the_betas(ratios):
    ratios = tuple(map(Fraction, ratios))
    measured, sde = (
        Recipe("mup", horizon=rule).at_horizon("entrywise", *ratios) for rule in (LIKE_SDE, "sde")
    )
    assert measured.learning_rate == pytest.approx(sde.learning_rate)
    assert measured.weight_decay == pytest.approx(sde.weight_decay)
    assert (measured.epsilon, measured.averaging) == (1.0, 1.0)


def test_factors_are_powers_of_the_ratios():
    found = LADDER.at(Fraction(4), Fraction(4))
    assert found.learning_rate == pytest.approx(4**0.5 * 4**-0.25)
    assert found.weight_decay == pytest.approx(4**-0.5)


def test_with_a_knee_the_rate_follows_the_batch_up_to_the_best_one():
    knee = dataclasses.replace(LADDER, knee=True)
    # The best batch is 16 at the base run's tokens, and twice that at 4 times as many.
    for batch, rate in ((2, 2**0.5), (4, 2**0.5), (8, 2**0.5)):
        assert knee.at(Fraction(batch), Fraction(1)).learning_rate == pytest.approx(rate)
    assert knee.at(Fraction(8), Fraction(4)).learning_rate == pytest.approx(4**0.5 * 4**-0.25)
    assert LADDER.at(Fraction(8), Fraction(1)).learning_rate == pytest.approx(8**0.5)


def test_a_batch_that_the_ladder_does_not_cover_is_refused_with_those_it_does():
    with refused("128", "8", "16", "2 to 64"):
        LADDER.at(Fraction(16), Fraction(1))
    # At 16 times the tokens the best batch is 4 times as large, and 128 is 2 times that.
    assert LADDER.at(Fraction(16), Fraction(16)).learning_rate == pytest.approx(16**0.25)


def test_without_a_best_batch_the_ladder_covers_its_own_batches():
    unknown = dataclasses.replace(LADDER, best_batch=0.0, least=2.0, most=32.0)
    assert unknown.at(Fraction(4), Fraction(64)).learning_rate == pytest.approx(2 * 64**-0.25)
    with refused("64", "2 to 32"):
        unknown.at(Fraction(8), Fraction(1))


def test_one_number_of_tokens_says_nothing_of_another():
    with refused("65536", "131072"):
        dataclasses.replace(LADDER, lengths=1).at(Fraction(1), Fraction(2))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"rate_batch": float("nan")}, ("rate_batch", "nan")),
        ({"best_batch": -1.0}, ("best_batch", -1.0)),
        ({"best_batch": 0.0, "knee": True}, ("best_batch",)),
    ],
)
def test_numbers_that_say_nothing_are_refused(changes, names):
    with refused(*names):
        dataclasses.replace(LADDER, **changes)


@pytest.mark.parametrize("rule", ["measured", MeasuredHorizon()])
def test_a_ladder_without_exponents_is_no_rule(rule):
    with refused("measured"):
        Recipe("mup", horizon=rule)


def test_an_extrapolation_tells_what_batch_and_tokens_change_together():
    knee = dataclasses.replace(LADDER, knee=True)
    base = Scale(width=32, layers=2, batch_size=8, tokens=2**16)
    target = dataclasses.replace(base, batch_size=64, tokens=2**18)
    batch, tokens = extrapolate(Recipe("mup", horizon=knee), "entrywise", base, target, base)
    assert "learning rate" not in tokens.effects  # the knee takes what more tokens would give
    both = batch.effects["learning rate"]
    assert both == pytest.approx(knee.at(Fraction(8), Fraction(4)).learning_rate)
    assert {batch.evidence.level, tokens.evidence.level} == {"empirical"}
    with refused("512"):
        uncovered = dataclasses.replace(base, batch_size=512)
        extrapolate(Recipe("mup", horizon=knee), "entrywise", base, uncovered, base)
