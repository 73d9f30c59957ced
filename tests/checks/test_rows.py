"""A row's verdict: its slope against what theory allows, as far as seeds can tell."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.checks import CheckRow
from transfer.checks.rows import EXACT
from transfer.checks.slope_interval import HALF_STEP

KEY = ("update", "up.kernel", 0)
WIDTHS = (64, 128, 256)


def row(slopes, predicted, widths=WIDTHS):
    """A row whose seeds have these slopes."""
    sizes = {width: [3 * (width / widths[0]) ** slope for slope in slopes] for width in widths}
    return CheckRow.of(KEY, sizes, predicted)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_power_law_has_its_exponent_as_slope_and_is_judged_by_it(slope, predicted):
    found = row([slope] * 3, (predicted, predicted))
    assert found.slope == pytest.approx(slope, abs=1e-9)
    assert found.interval == pytest.approx((slope, slope), abs=1e-6)
    assert found.error == pytest.approx(slope - predicted, abs=1e-9)
    # Away from the tolerance itself, where rounding decides.
    if abs(abs(slope - predicted) - HALF_STEP) > 1e-5:
        right = abs(slope - predicted) < HALF_STEP
        assert found.verdict == ("agrees" if right else "differs")


@pytest.mark.parametrize(
    ("slope", "error", "verdict"),
    [
        (-0.8, -0.3, "differs"),
        (-0.7, -0.2, "agrees"),
        (-0.25, 0.0, "agrees"),
        (0.0, 0.0, "agrees"),
        (0.2, 0.2, "agrees"),
        (0.3, 0.3, "differs"),
    ],
)
def test_a_range_allows_all_between_its_ends(slope, error, verdict):
    found = row([slope] * 3, (-0.5, 0.0))
    assert found.error == pytest.approx(error, abs=1e-9)
    assert found.verdict == verdict
    assert found.expected == "-0.50 to +0.00"


@pytest.mark.parametrize(("slope", "verdict"), [(-0.6, "agrees"), (-0.65, "differs")])
def test_what_follows_its_law_exactly_is_held_to_it_more_closely(slope, verdict):
    sizes = {width: [width**slope] * 3 for width in WIDTHS}
    assert CheckRow.of(KEY, sizes, (-0.5, -0.5), tolerance=EXACT).verdict == verdict
    assert CheckRow.of(KEY, sizes, (-0.5, -0.5)).verdict == "agrees"


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        # Seeds apart, however right their mean.
        ([-1.0, 1.0, -1.0, 1.0], "undecided"),
        # A mean beyond the tolerance that the seeds do not rule out to be within it.
        ([0.0, 0.8, 0.0, 0.8], "undecided"),
        # Seeds apart, and all of them wrong.
        ([1.5, 2.0, 1.5, 2.0], "differs"),
        ([-1.5, -2.0, -1.5, -2.0], "differs"),
        ([-0.1, 0.1, -0.1, 0.1], "agrees"),
    ],
)
def test_seeds_that_disagree_decide_only_what_they_can(slopes, verdict):
    assert row(slopes, (0.0, 0.0)).verdict == verdict


def test_a_range_may_hold_a_wide_interval_whole():
    assert row([-0.6, 0.1, -0.6, 0.1], (-0.5, 0.0)).verdict == "agrees"
    # The same seeds, were one number predicted.
    assert row([-0.6, 0.1, -0.6, 0.1], (-0.25, -0.25)).verdict == "undecided"


def test_the_more_rows_are_judged_the_more_a_finding_asks_for():
    sizes = {width: [(width / 64) ** slope for slope in (0.5, 0.7, 0.9)] for width in WIDTHS}
    assert CheckRow.of(KEY, sizes, (0.0, 0.0)).verdict == "differs"
    assert CheckRow.of(KEY, sizes, (0.0, 0.0), rows=10_000).verdict == "undecided"


def test_what_theory_says_nothing_of_is_not_judged():
    found = row([5.0, 5.0], None)
    assert (found.verdict, found.expected, found.error) == ("not judged", "-", 0.0)
    assert found.slope == pytest.approx(5.0)


@pytest.mark.parametrize("size", [0.0, math.inf, math.nan])
def test_what_is_zero_or_not_finite_at_one_width_has_no_slope(size):
    found = CheckRow.of(KEY, {64: [1.0, 1.0], 128: [1.0, size]}, (0.0, 0.0))
    assert (found.slope, found.verdict, found.error) == (None, "not judged", 0.0)
    assert found.cells() == ["update", "up.kernel", "-", "-", "-", "+0.00", "not judged"]


def test_sizes_are_geometric_means_over_seeds():
    found = CheckRow.of(KEY, {64: [1.0, 4.0], 128: [2.0, 8.0]}, (1.0, 1.0))
    assert found.sizes == pytest.approx({64: 2.0, 128: 4.0})
    assert found.slope == pytest.approx(1.0)


def test_json_is_plain():
    content = row([0.5] * 3, (-0.5, 0.0)).to_json()
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["verdict"] == "differs"
    assert again["predicted"] == [-0.5, 0.0]
    assert list(again["sizes"]) == ["64", "128", "256"]
