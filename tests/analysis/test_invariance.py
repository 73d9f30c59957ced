"""The verdict on each sublayer, from singular values whose law is known."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.analysis import (
    GAIN_BAND,
    Estimate,
    SpectrumSlope,
    judge,
    judge_invariance,
    predicted_slope,
    spectrum_slopes,
)
from transfer.run_directory import SPECTRUM_SCHEMA
from transfer.scaling import Recipe

WIDTHS = [32, 64, 128, 256]
GRID = [float(k) for k in range(-9, -3)]
RECIPES = ["mup+constant", "mup+sqrt", "mup+independent", "standard"]


def loss(width, rate, decay):
    return 3.0 + 0.1 * (rate + 6.3) ** 2


def planted(trials, slopes, noise=0.0, steps=None):
    """Return sigma_1 ~ width^slope of each parameter after the last step."""
    generator = np.random.default_rng(0)
    rows = [
        {
            "trial": trial.trial,
            "step": (steps or {}).get(trial.width, trial.steps),
            "parameter": parameter,
            "layer": 0,
            "rank": 0,
            "singular_value": 2.0
            * (trial.width / 32) ** slope
            * 2 ** (generator.normal(0, noise) if noise else 0.0),
        }
        for trial in trials
        for parameter, slope in slopes.items()
    ]
    return pa.Table.from_pylist(rows, schema=SPECTRUM_SCHEMA)


def found(slope, predicted, interval=None, settled=5.0):
    return SpectrumSlope(
        Estimate(slope, interval), predicted, dict.fromkeys(WIDTHS, settled), -6.0, {}
    )


def verdicts(sweep, recipe, slopes, **options):
    trials = sweep(recipe=recipe)(loss, WIDTHS, GRID, seeds=2)
    judged = judge(trials, planted(trials, slopes, **options), task="", provenance={})
    return judged.recipes[recipe].sublayers


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        ("mup+constant", "drifts as predicted"),
        ("mup+sqrt", "invariant"),
        ("mup+independent", "drifts as predicted"),
        ("standard", "drifts as predicted"),
    ],
)
def test_what_follows_the_law_is_told_so_and_has_the_published_p(sweep, recipe, word):
    (up,) = verdicts(sweep, recipe, {"up": predicted_slope(Recipe.parse(recipe))}).values()
    assert up.invariance.answer == word
    # A line through exact powers: only rounding is left.
    assert up.invariance.measured.p.value == pytest.approx(0.75, abs=1e-12)
    assert up.invariance.measured.exponent.value == pytest.approx(0.5, abs=1e-12)
    assert up.invariance.measured.p.interval == pytest.approx((0.75, 0.75), abs=1e-12)


@pytest.mark.parametrize("recipe", RECIPES)
def test_another_p_is_found_and_where_it_leads_is_called_by_its_name(sweep, recipe):
    """Sublayers of p = 1/2, 3/4 and 1 under one recipe: what differs is what is a quarter off."""
    expected = predicted_slope(Recipe.parse(recipe))
    slopes = {f"layers.{p}": expected + p - 0.75 for p in (0.5, 0.75, 1.0)}
    for name, judged in verdicts(sweep, recipe, slopes).items():
        p = float(name.removeprefix("layers."))
        slope = expected + p - 0.75
        word = "invariant" if slope == 0 else "drifts as predicted" if p == 0.75 else "differs"
        assert judged.invariance.answer == word
        assert judged.invariance.measured.p.value == pytest.approx(p, abs=1e-12)
        assert judged.invariance.measured.exponent.value == pytest.approx(2 * p - 1, abs=1e-12)
        assert f"{expected:+z.2f} is predicted" in judged.invariance.reason
        assert f"p is {p:.2f} [" in judged.invariance.reason


@pytest.mark.parametrize("short", WIDTHS)
def test_one_run_that_has_not_settled_is_called_so_and_not_judged(sweep, short):
    trials = [
        dataclasses.replace(trial, decay_times=2.9) if trial.width == short else trial
        for trial in sweep()(loss, WIDTHS, GRID, seeds=2)
    ]
    verdict = judge(trials, planted(trials, {"up": 0.0}), task="", provenance={})
    up = verdict.recipes["mup+sqrt"].sublayers["up"]
    assert up.spectrum.slope.value == pytest.approx(0.0, abs=1e-12)
    assert up.invariance.answer == "not settled"
    assert f"width {short} lasted 2.9 decay times" in up.invariance.reason
    assert up.spectrum.decay_times[short] == 2.9
    for unknown in (up.invariance.measured.p, up.invariance.measured.exponent):
        assert unknown == Estimate(None, None, "runs have not settled")


def test_three_decay_times_are_enough_and_the_shortest_seed_counts(sweep):
    trials = sweep(settled=3.0)(loss, WIDTHS, GRID, seeds=2)
    assert spectrum_slopes(trials, planted(trials, {"up": 0.0}), "mup+sqrt", -6)["up"].is_settled
    trials = [
        dataclasses.replace(t, decay_times=2.99) if (t.width, t.seed) == (64, 1) else t
        for t in trials
    ]
    slopes = spectrum_slopes(trials, planted(trials, {"up": 0.0}), "mup+sqrt", -6)
    assert slopes["up"].decay_times == {32: 3.0, 64: 2.99, 128: 3.0, 256: 3.0}
    assert not slopes["up"].is_settled


def test_widths_are_compared_after_the_last_step_alone(sweep):
    """At an equal fraction of training: a width whose last record is younger is left out."""
    trials = sweep()(loss, WIDTHS, GRID)
    # Growth along the run, at one width, would pass for growth with width.
    end = planted(trials, {"up": 0.0})
    wide = [trial for trial in trials if trial.width == 256]
    young = pa.concat_tables(
        [
            planted([trial for trial in trials if trial.width < 256], {"up": 0.0}),
            planted(wide, {"up": 0.5}, steps={256: 50}),
        ]
    )
    assert set(spectrum_slopes(trials, end, "mup+sqrt", -6)["up"].values) == set(WIDTHS)
    slopes = spectrum_slopes(trials, young, "mup+sqrt", -6)
    assert set(slopes["up"].values) == {32, 64, 128}
    assert slopes["up"].slope.value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("interval", "predicted", "word"),
    [
        ((-0.12, 0.12), 0.0, "invariant"),
        ((-0.12, 0.12), 0.25, "invariant"),  # whatever is predicted
        ((0.13, 0.37), 0.25, "drifts as predicted"),
        ((-0.05, 0.13), 0.0, "undecided"),
        ((0.10, 0.14), 0.25, "undecided"),
        ((0.13, 0.20), 0.0, "differs"),
        ((-0.20, 0.10), 0.25, "differs"),  # not where it is predicted, wherever it is
        ((0.38, 0.60), 0.25, "differs"),
    ],
)
def test_the_whole_interval_has_to_lie_on_one_side(interval, predicted, word):
    judged = judge_invariance(
        found(sum(interval) / 2, predicted, interval),
        {0.0: "mup+sqrt", 0.25: "mup+constant"}[predicted],
    )
    assert judged.answer == word
    assert judged.reason.startswith(word.capitalize())


@given(st.floats(-1, 1), st.sampled_from(RECIPES), st.floats(0, 0.4))
def test_a_slope_has_one_answer_and_a_wider_interval_never_a_surer_one(slope, recipe, half):
    predicted = predicted_slope(Recipe.parse(recipe))
    alone = judge_invariance(found(slope, predicted), recipe)
    wide = judge_invariance(found(slope, predicted, (slope - half, slope + half)), recipe)
    level, near = abs(slope) <= GAIN_BAND, abs(slope - predicted) <= GAIN_BAND
    assert (alone.answer == "invariant") == level
    assert (alone.answer == "drifts as predicted") == (near and not level)
    assert (alone.answer == "differs") == (not near and not level)
    # The interval takes answers away; what is left agrees with the slope, or is that it differs.
    if wide.answer in ("invariant", "drifts as predicted"):
        assert wide.answer == alone.answer
    assert judge_invariance(found(slope, predicted, settled=2.0), recipe).answer == "not settled"


def test_seeds_that_disagree_leave_it_undecided(sweep):
    """Two seeds, one level and one that grows by a third: the same mean, no answer."""
    trials = sweep()(loss, WIDTHS, GRID, seeds=2)
    by_seed = [
        planted([trial for trial in trials if trial.seed == seed], {"up": slope})
        for seed, slope in ((0, -0.1), (1, 0.3))
    ]
    up = spectrum_slopes(trials, pa.concat_tables(by_seed), "mup+sqrt", -6)["up"]
    assert up.slope.value == pytest.approx(0.1)
    assert judge_invariance(up, "mup+sqrt").answer == "undecided"
    calm = spectrum_slopes(trials, planted(trials, {"up": 0.1}), "mup+sqrt", -6)["up"]
    assert judge_invariance(calm, "mup+sqrt").answer == "invariant"
