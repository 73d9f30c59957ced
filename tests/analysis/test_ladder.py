"""Exponents, knees, best batches and rules of ladders whose answers are known."""

import dataclasses
import json

import numpy as np
import pytest
from refusals import refused

from transfer.analysis import (
    LadderVerdict,
    RungSize,
    fit_ladder,
    is_ladder,
    reference_size,
    reference_trials,
    sweeps_by_recipe,
)
from transfer.analysis.plane import fit_power_law, plane
from transfer.analysis.rungs import rung_sizes

from .ladders import BATCHES, MIDDLE, TOKENS, ladder, power

NOISE = 0.004
KNOWN = {"width": -0.1, "batch_size": 0.4, "tokens": -0.3}


@pytest.fixture(scope="module")
def noisy(sweep):
    return sweep(noise=NOISE, shared_noise=0.01)


@pytest.fixture(scope="module")
def straight(noisy):
    """A ladder without a knee, whose best learning rate follows known powers."""
    return fit_ladder(ladder(noisy, power(**KNOWN)), "mup+sqrt")


def kneed(width, batch_size, tokens):
    """The best rate follows the square root of the batch up to the best one, 2^4 and more."""
    best = 4.0 + 0.5 * (tokens - MIDDLE["tokens"])
    return -5.0 + 0.5 * (min(batch_size, best) - 4.0) - 0.3 * (tokens - MIDDLE["tokens"])


@pytest.fixture(scope="module")
def bent(noisy):
    return fit_ladder(ladder(noisy, kneed, best_batch=lambda tokens: 4.0 + 0.5 * (tokens - 15.5)),
                      "mup+sqrt")  # fmt: skip


def test_exponents_of_every_axis_are_found_within_their_intervals(straight):
    for axis, exponent in KNOWN.items():
        found = straight.laws.rate.exponent(axis)
        low, high = found.interval
        assert low <= exponent <= high
        assert high - low < 0.2
    # An axis that was not swept has none.
    assert straight.laws.rate.exponent("layers").value is None


def test_exponents_that_differ_are_told_apart(straight):
    low, _ = straight.laws.rate.exponent("batch_size").interval
    _, high = straight.laws.rate.exponent("tokens").interval
    assert high < 0 < low


def test_the_best_batch_and_its_exponent_are_found(straight):
    law = straight.laws.best
    low, high = law.exponent("tokens").interval
    assert low <= 0.5 <= high
    middle = RungSize(width=64, layers=2, tokens=2**15, batch_size=8)
    assert law.log2_at(middle) == pytest.approx(4.2 - 0.25, abs=0.2)


def test_a_knee_is_seen_where_there_is_one_and_nowhere_else(straight, bent):
    assert bent.laws.has_knee
    low, high = bent.laws.chosen.exponent("batch_size").interval
    assert low <= 0.5 <= high
    assert not straight.laws.has_knee


def test_four_batch_sizes_show_no_knee(noisy):
    few = fit_ladder(ladder(noisy, kneed, batches=BATCHES[:4]), "mup+sqrt")
    assert few.laws.best is not None
    assert few.laws.bent is None


def scores(found, edge):
    return {score.rule: score for score in found.verdict.scores if score.edge == edge}


def test_the_rule_that_is_true_costs_least_on_every_edge_left_out(noisy):
    found = fit_ladder(ladder(noisy, power(batch_size=0.5, tokens=-0.5)), "mup+sqrt")
    for edge in ("tokens", "batch_size"):
        rules = scores(found, edge)
        # The nearest rung is an octave away, half an octave of which is 0.05 / 4 of the loss of 2.
        assert rules["none"].octaves == pytest.approx(0.5, abs=0.1)
        assert rules["none"].regret.value == pytest.approx(0.05 / 4 / 2.2, rel=0.4)
        assert rules["sde"].octaves < 0.1
        assert rules["measured"].octaves < 0.1
        assert rules["sde"].difference.interval[1] < 0
        assert rules["measured"].difference.interval[1] < 0
        assert rules["chosen in the fold"].choice in ("sde", "measured", "measured knee")
    assert scores(found, "width")["none"].octaves < 0.1


def test_where_nothing_moves_rules_that_move_cost(noisy):
    found = fit_ladder(ladder(noisy, power()), "mup+sqrt")
    for edge in ("tokens", "batch_size"):
        rules = scores(found, edge)
        assert rules["none"].octaves < 0.1
        assert rules["sde"].difference.interval[0] > 0
    assert found.verdict.choice != "sde"


def test_edges_leave_out_their_largest_size_alone(straight):
    counts = {edge: scores(straight, edge)["none"].rungs for edge in ("tokens", "width")}
    assert counts == {"tokens": 2 * len(BATCHES), "width": len(BATCHES) * len(TOKENS)}


def test_decay_is_fitted_beside_the_learning_rate(noisy):
    def decay(width, batch_size, tokens):
        return -3.0 - 0.25 * (tokens - MIDDLE["tokens"]) + 0.25 * (batch_size - 4.0)

    made = ladder(
        noisy, power(batch_size=0.5), decay=decay, widths=(32,), batches=(8, 16, 32), seeds=1
    )
    laws = fit_ladder(made, "mup+sqrt").laws
    for axis, exponent in (("tokens", -0.25), ("batch_size", 0.25)):
        low, high = laws.decay.exponent(axis).interval
        assert low <= exponent <= high


def test_what_was_measured_becomes_a_rule_for_the_recipe(straight):
    horizon, reference = straight.measured_horizon(), straight.reference
    assert (horizon.batch_size, horizon.tokens) == (reference.batch_size, reference.tokens)
    assert horizon.rate_batch == straight.laws.rate.exponent("batch_size").value
    assert horizon.rate_tokens == straight.laws.rate.exponent("tokens").value
    assert horizon.best_batch == pytest.approx(2 ** (4.2 + 0.75), rel=0.15)
    # The smallest batch of the longest runs and the largest of the shortest.
    assert horizon.least == pytest.approx(4 / horizon.best(TOKENS[-1]))
    assert horizon.most == pytest.approx(64 / horizon.best(TOKENS[0]))


def test_the_reference_has_the_longest_runs_and_their_best_batch(noisy):
    trials = ladder(noisy, power())
    size = reference_size(trials)
    # The best batch of the longest runs is 2^4.95.
    assert size == RungSize(width=64, layers=2, tokens=TOKENS[-1], batch_size=32)
    kept = reference_trials(trials)
    assert {(trial.tokens, trial.batch_size) for trial in kept} == {(TOKENS[-1], 32)}
    assert {trial.width for trial in kept} == {32, 64}
    assert len(sweeps_by_recipe(kept)["mup+sqrt"]) == 2


def test_a_sweep_over_width_alone_is_no_ladder(sweep):
    trials = sweep()(lambda width, x, z: (x + 5) ** 2, (32, 64), (-6, -5, -4))
    longer = [
        dataclasses.replace(trial, tokens=100 * trial.width, steps=trial.width) for trial in trials
    ]
    for each in (trials, longer):
        assert not is_ladder(each)
        assert reference_trials(each) == each
    assert len(rung_sizes(longer)) == 2


def test_predicted_trials_are_kept(sweep, noisy):
    trials = ladder(noisy, power(), batches=(8, 16), tokens=TOKENS[:2])
    target = sweep()(lambda width, x, z: 1.0, (128,), (-5,), origin="predicted")
    assert target[0] in reference_trials([*trials, *target])


def test_a_verdict_is_read_back_whole(straight):
    verdict = straight.verdict
    content = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert LadderVerdict.from_json(content) == verdict


def test_too_few_known_optima_are_refused(noisy):
    trials = ladder(noisy, lambda **logs: 3.0, batches=(8, 16), tokens=TOKENS[:2])
    with refused("mup+sqrt", "largest"):
        fit_ladder(trials, "mup+sqrt")


def test_a_plane_is_the_weighted_least_squares_one():
    generator = np.random.default_rng(0)
    sizes = generator.normal(size=(9, 3))
    places = generator.normal(size=(9, 50))
    weights = np.sqrt(1 / (places.var(axis=1) + 0.1**2))
    design = np.column_stack([np.ones(9), sizes]) * weights[:, None]
    expected = np.linalg.lstsq(design, places * weights[:, None])[0]

    found = plane(sizes, places)

    assert np.allclose(found.slopes, expected[1:])
    assert np.allclose(found.at(np.zeros(3)), expected[0])


def test_intervals_of_a_power_law_hold_the_truth_with_departures_that_draws_do_not_show():
    generator = np.random.default_rng(1)
    held = []
    for _ in range(200):
        x = np.column_stack([np.repeat(np.arange(4.0), 4), np.tile(np.arange(4.0), 4)])
        y = x @ np.array([0.5, -0.3]) + 0.3 * generator.standard_normal(16)
        draws = y[:, None] + 0.05 * generator.standard_normal((16, 400))
        slopes = fit_power_law(x, draws).plane.slopes
        low, high = np.quantile(slopes, [0.025, 0.975], axis=1)
        held += list((low <= [0.5, -0.3]) & (np.array([0.5, -0.3]) <= high))
    # 400 slopes, of which two standard errors are 2 %.
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)
