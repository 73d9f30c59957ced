"""p and the decay exponent from singular values whose law is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.analysis import measure_decay, predicted_slope
from transfer.scaling import Recipe

WIDTHS = (64, 128, 256, 512)
SETTLED = dict.fromkeys(WIDTHS, 5.0)


def sigmas(recipe, p, noise=0.0, seeds=4):
    """sigma_1 = sqrt(step / decay) m^p by the published slope, moved to another p."""
    generator = np.random.default_rng(0)
    slope = predicted_slope(Recipe.parse(recipe)) + p - 0.75
    return {
        width: {
            seed: 3.0 * (width / 64) ** slope * 2 ** generator.normal(0, noise)
            for seed in range(seeds)
        }
        for width in WIDTHS
    }


@pytest.mark.parametrize(
    "recipe", ["mup+constant", "mup+sqrt", "mup+independent", "mup+0.3", "unit+sqrt", "standard"]
)
@pytest.mark.parametrize(("p", "exponent"), [(0.5, 0.0), (0.75, 0.5), (1.0, 1.0), (0.6, 0.2)])
def test_p_is_the_same_under_whatever_rule_it_is_measured(recipe, p, exponent):
    measured = measure_decay({"up": sigmas(recipe, p)}, Recipe.parse(recipe), SETTLED)["up"]
    # A line through exact powers: only rounding is left.
    assert measured.p.value == pytest.approx(p, abs=1e-12)
    assert measured.exponent.value == pytest.approx(exponent, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(slope=st.floats(-0.5, 0.75), x=st.floats(0.0, 1.0))
def test_decision_9_of_the_rules(slope, x):
    """p = s + (1 + x) / 2, and x + 2 s is the exponent that flattens."""
    values = {width: {0: width**slope, 1: width**slope} for width in WIDTHS}
    measured = measure_decay({"up": values}, Recipe.parse(f"mup+{x}"), SETTLED)["up"]
    # x is rounded to 12 places where the slope is predicted.
    assert measured.p.value == pytest.approx(slope + (1 + x) / 2, abs=1e-9)
    assert measured.exponent.value == pytest.approx(x + 2 * slope, abs=1e-9)


@pytest.mark.parametrize("p", [0.5, 0.62, 0.9])
def test_the_exponent_measured_under_one_rule_levels_sigma_1(p):
    measured = measure_decay({"up": sigmas("mup+sqrt", p)}, Recipe("mup"), SETTLED)["up"]
    chosen = f"mup+{measured.exponent.value}"
    flat = sigmas(chosen, p)
    assert flat[512][0] == pytest.approx(flat[64][0], rel=1e-9)
    # The published exponent does not, but at the published p.
    tilted = sigmas("mup+sqrt", p)
    assert tilted[512][0] / tilted[64][0] == pytest.approx(8 ** (p - 0.75), rel=1e-9)


def test_kinds_have_a_p_each_and_intervals_that_seeds_widen():
    quiet, loud = sigmas("mup+sqrt", 0.6, noise=0.02), sigmas("mup+sqrt", 1.0, noise=0.1)
    measured = measure_decay({"up": quiet, "down": loud}, Recipe("mup"), SETTLED)
    # Four widths of four seeds: the slope's standard error is the noise over 2 sqrt(5), and here
    # are four of them.
    assert measured["up"].p.value == pytest.approx(0.6, abs=0.018)
    assert measured["down"].p.value == pytest.approx(1.0, abs=0.09)
    for found in measured.values():
        low, high = found.p.interval
        assert low < found.p.value < high
        assert found.exponent.interval == (2 * low - 1, 2 * high - 1)
    widths = [found.p.interval[1] - found.p.interval[0] for found in measured.values()]
    assert widths[1] > 2 * widths[0]


def test_one_seed_has_no_interval():
    measured = measure_decay({"up": sigmas("mup+sqrt", 0.6, seeds=1)}, Recipe("mup"), SETTLED)["up"]
    assert measured.p.interval is None
    assert measured.to_json()["decay_exponent"] == {
        "value": pytest.approx(0.2),
        "interval": None,
        "reason": "an interval needs at least two seeds",
    }


@pytest.mark.parametrize("decay_times", [SETTLED | {512: 2.9}, {64: 5.0, 128: 5.0, 256: 5.0}])
def test_runs_that_have_not_settled_are_refused(decay_times):
    with refused(512):
        measure_decay({"up": sigmas("mup+sqrt", 0.6)}, Recipe("mup"), decay_times)


def test_one_width_is_refused():
    with refused("up", 1):
        measure_decay({"up": {64: {0: 1.0, 1: 2.0}}}, Recipe("mup"), SETTLED)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_what_a_diverged_run_leaves_is_refused(value):
    broken = sigmas("mup+sqrt", 0.6)
    broken[128][2] = value
    with refused("up", 128, 2):
        measure_decay({"up": broken}, Recipe("mup"), SETTLED)
