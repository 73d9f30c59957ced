"""Slope over width, regret, and the judgement made of them."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.analysis import (
    Estimate,
    Regret,
    WidthSweep,
    find_regret,
    fit_widths,
    judge_transfer,
    optimum_slope,
)

WIDTHS = [32, 64, 128, 256]
GRID = [float(k) for k in range(-11, -1)]


def drifting(slope, curvature=0.1):
    """Return a loss whose optimum is at -6 at width 32 and moves by `slope` per doubling."""
    return lambda width, rate, decay: (
        3.0 + curvature * (rate + 6 - slope * (np.log2(width) - 5)) ** 2
    )


def sweeps_of(trials, widths=WIDTHS):
    return fit_widths(trials, "mup+sqrt", widths)


def judgement(trials, widths=WIDTHS):
    sweeps = sweeps_of(trials, widths)
    regrets = [
        find_regret(trials, "mup+sqrt", target.optimum.width, proxy, target)
        for proxy, target in itertools.pairwise(sweeps)
    ]
    return judge_transfer([each.optimum for each in sweeps], optimum_slope(sweeps), regrets)


@settings(max_examples=5, deadline=None)
@given(st.floats(-1.0, 1.0))
def test_the_slope_is_recovered(sweep, slope):
    estimate = optimum_slope(sweeps_of(sweep()(drifting(slope), WIDTHS, GRID)))

    assert estimate.value == pytest.approx(slope, abs=0.05)
    assert estimate.interval[0] < slope < estimate.interval[1]


def test_noise_that_seeds_share_leaves_the_slope_as_it_is(sweep):
    quiet, noisy = (
        sweep(noise=0.02, shared_noise=shared)(drifting(-0.5), [32, 64], GRID, seeds=3)
        for shared in (0.0, 0.0)
    )
    noisy = [dataclasses.replace(t, eval_loss=t.eval_loss + t.seed) for t in noisy]

    slopes = [optimum_slope(sweeps_of(trials, [32, 64])) for trials in (quiet, noisy)]

    assert slopes[1].interval == pytest.approx(slopes[0].interval, abs=1e-5)


def test_a_width_known_badly_counts_less(sweep):
    """Three widths on a level line, and one that noise throws off it."""
    level = sweep(noise=0.001)(drifting(0.0), WIDTHS[:3], GRID, seeds=3)
    off = sweep(noise=0.001)(lambda *_: 3.0 + 0.1 * (_[1] + 5.5) ** 2, [256], GRID, seeds=3)
    generator = np.random.default_rng(0)
    loud = [dataclasses.replace(t, eval_loss=t.eval_loss + generator.normal(0, 0.1)) for t in off]

    exact, badly = (optimum_slope(sweeps_of(level + wide)).value for wide in (off, loud))

    assert exact == pytest.approx(0.15, abs=0.03)  # least squares: 0.5 * 3 / 10
    assert abs(badly) < exact


def test_one_width_has_no_slope(sweep):
    slope = optimum_slope(sweeps_of(sweep()(drifting(0), [32], GRID), [32]))

    assert slope == Estimate(None, None, "a slope needs the optimum at two or more widths")


def test_a_fitted_regret_is_that_of_the_bowl(sweep):
    def loss(width, rate, decay):
        centre = -6.25 if width == 32 else -7.0
        return 3.0 + 0.1 * (rate - centre) ** 2

    trials = sweep()(loss, [32, 64], GRID, seeds=2)
    found = find_regret(trials, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    # The bowls are pooled, and neither skewness is known: exact but for a few hundredths octave.
    assert found.source == "fitted"
    assert found.loss == pytest.approx(3.0 + 0.1 * 0.75**2, abs=0.01)
    assert found.best_loss == pytest.approx(3.0, abs=0.002)
    assert found.regret == pytest.approx(found.loss - found.best_loss)
    assert found.relative_regret == pytest.approx(found.regret / 3, rel=0.01)
    assert found.interval[0] < 0.1 * 0.75**2 < found.interval[1]


def test_the_regret_is_also_over_weight_decay(sweep):
    def loss(width, rate, decay):
        best = -3.5 if width == 32 else -4.5
        return 3.0 + 0.1 * (rate + 6) ** 2 + 0.1 * (decay - best) ** 2

    trials = sweep()(loss, [32, 64], GRID, log2_decays=[-6.0, -5.0, -4.0, -3.0, -2.0])
    found = find_regret(trials, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    assert found.regret == pytest.approx(0.1, abs=0.015)


def test_trained_predictions_are_read_with_the_fit(sweep):
    trials = sweep()(drifting(0.0), [32, 64], [-7.5, -6.5, -5.5, -4.5], seeds=3)
    predicted = sweep()(drifting(0.0), [64], [-5.0], seeds=3, origin="predicted")
    proxy = WidthSweep.of(trials, "mup+sqrt", 32)

    found = find_regret(trials + predicted, "mup+sqrt", 64, proxy)

    assert found.source == "trained"
    assert found.log2_learning_rate == -5.0
    assert found.regret == pytest.approx(0.1, abs=0.01)


def test_a_trained_regret_off_the_curve_may_be_negative(sweep):
    """At another decay than the sweep's, so that it is measured beside the fit."""
    trials = sweep()(drifting(0.0), [32, 64], [-7.5, -6.5, -5.5, -4.5], seeds=3)
    predicted = sweep()(
        lambda *_: 2.9, [64], [-6.0], seeds=3, log2_decays=[-4.0], origin="predicted"
    )
    found = find_regret(trials + predicted, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    assert found.source == "trained"
    assert found.regret == pytest.approx(-0.1, abs=0.005)


def test_a_target_that_was_not_tuned_has_a_loss_but_no_regret(sweep):
    trials = sweep()(drifting(0.0), [32], GRID) + sweep()(
        drifting(0.0), [64], [-6.0], origin="predicted"
    )
    found = find_regret(trials, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    assert found.loss == pytest.approx(3.0)
    assert found.regret is None
    assert "was not tuned" in found.reason


def test_a_regret_of_nothing_is_in_its_interval_and_that_of_an_octave_is_not_nothing(sweep):
    def found(slope):
        trials = sweep(noise=0.004)(drifting(slope), [32, 64], GRID, seeds=3)
        return find_regret(trials, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    assert found(0.0).interval[0] == 0.0
    assert found(-1.0).interval[0] > 0.05


def test_a_flat_recipe_transfers(sweep):
    answer = judgement(sweep(noise=0.003)(drifting(0.0), WIDTHS, GRID, seeds=5))

    assert answer.transfers == "true"
    assert "slope" in answer.reason
    assert "%" in answer.reason


def test_a_drifting_recipe_does_not(sweep):
    answer = judgement(sweep(noise=0.003)(drifting(-0.7), WIDTHS, GRID, seeds=5))

    assert answer.transfers == "false"
    assert "-0.7" in answer.reason


def test_noise_leaves_a_recipe_undecided(sweep):
    answer = judgement(sweep(noise=0.03)(drifting(-0.27), WIDTHS, GRID, seeds=3))

    assert answer.transfers == "undecided"


def test_one_seed_refutes_a_clear_drift_by_the_residuals_of_its_fit(sweep):
    clear, noisy = (
        sweep(noise=noise)(drifting(slope), WIDTHS, GRID)
        for noise, slope in ((0.003, -0.7), (0.15, -0.3))
    )

    assert judgement(clear).transfers == "false"
    assert judgement(noisy).transfers == "undecided"


def test_an_undecided_optimum_leaves_the_recipe_undecided_and_names_the_points(sweep):
    answer = judgement(sweep()(drifting(-1.0), WIDTHS, GRID[3:], seeds=3))

    assert answer.transfers == "undecided"
    assert "add 2^-9 and 2^-10 below 2^-8 at width 128" in answer.reason
    assert "at width 256" in answer.reason


def test_divergence_at_the_transferred_learning_rate_refutes(sweep):
    def loss(width, rate, decay):
        centre, limit = (-5.5, 0.0) if width == 32 else (-7.4, -6.5)
        return np.inf if rate > limit else 3.0 + 0.1 * (rate - centre) ** 2

    trials = sweep()(loss, [32, 64], GRID, seeds=2)
    found = find_regret(trials, "mup+sqrt", 64, WidthSweep.of(trials, "mup+sqrt", 32))

    assert found.diverged
    assert found.loss is None
    assert judgement(trials, [32, 64]).transfers == "false"


def test_regret_clearly_above_a_percent_refutes_and_noise_leaves_it_open(sweep):
    sweeps = sweeps_of(sweep()(drifting(0.0), WIDTHS, GRID))
    optima = [each.optimum for each in sweeps]
    slope = Estimate(0.05, (-0.1, 0.1))
    found = Regret(64, 32, "trained", -6.0, loss=3.1, best_loss=3.0, regret=0.1)

    def answer(regret, interval):
        return judge_transfer(
            optima,
            slope,
            [dataclasses.replace(found, relative_regret=regret, relative_interval=interval)],
        ).transfers

    assert answer(0.03, (0.02, 0.04)) == "false"
    assert answer(0.03, (0.005, 0.05)) == "undecided"
    assert answer(0.012, (-0.001, 0.02)) == "undecided"
    assert answer(0.004, (0.0, 0.009)) == "true"
    assert answer(0.009, (0.0, 0.011)) == "undecided"
    assert answer(0.009, None) == "undecided"
    assert answer(0.03, None) == "undecided"


def test_an_interval_that_crosses_a_band_is_undecided(sweep):
    optima = [each.optimum for each in sweeps_of(sweep()(drifting(0.0), WIDTHS, GRID))]
    cheap = Regret(64, 32, "fitted", -6.0, relative_regret=0.001, relative_interval=(0.0, 0.002))

    def answer(slope):
        return judge_transfer(optima, slope, [cheap]).transfers

    assert answer(Estimate(0.0, (-0.24, 0.24))) == "true"
    assert answer(Estimate(0.0, (-0.26, 0.1))) == "undecided"
    assert answer(Estimate(0.0)) == "undecided"
    assert answer(Estimate(-0.4, (-0.5, -0.26))) == "false"


def test_a_wider_proxy_is_refused(sweep):
    trials = sweep()(drifting(0.0), [32, 64], GRID)
    with refused(64, 32):
        find_regret(trials, "mup+sqrt", 32, WidthSweep.of(trials, "mup+sqrt", 64))
