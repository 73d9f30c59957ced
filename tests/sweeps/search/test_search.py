"""The search on surfaces whose bottom is known, in arithmetic alone."""

import dataclasses
import math

import numpy as np
import pytest

from experiments.adaptive_search.closed_form import BOX as CLOSED_FORM
from experiments.adaptive_search.closed_form import TOLERANCE, searched
from transfer.scaling import Recipe
from transfer.sweeps.search.box import Box
from transfer.sweeps.search.decision import Search, Stopped
from transfer.sweeps.search.prior import prior_of
from transfer.sweeps.search.proposals import propose
from transfer.sweeps.search.surrogate import Observations, Surrogate

RATE = ("learning_rate",)
BOX = Box(RATE, (-8.0,), (-2.0,))
MUP = prior_of(Recipe("mup"), "entrywise", RATE)
STANDARD = prior_of(Recipe("standard"), "entrywise", RATE)
WIDTHS = (16, 32, 64)
SEARCH = Search(BOX, MUP, WIDTHS, 128, 2, 3, 0.002, 24)


def loss(width, x, *, bottom=-5.0, slope=0.0, seed=0):
    """A bowl of 2 % for an octave, with a level of its own for each width and seed."""
    at = bottom + slope * math.log2(width / 16)
    return math.exp(1.0 - 0.1 * math.log2(width) + 0.002 * seed + 0.02 * (x - at) ** 2)


def rows(width, points, seeds=(0, 1), **path):
    return [
        (float(width), (x,), seed, loss(width, x, seed=seed, **path))
        for x in points
        for seed in seeds
    ]


def observed(*of_widths):
    return Observations.of([row for each in of_widths for row in each], 1)


def search(search=SEARCH, **path):
    """Search to the end; returns the trials and why each width was done."""
    found, stops = [], {}
    for width in search.widths:
        while not isinstance(points := search.decide(width, observed(found)), Stopped):
            found += rows(width, points[:, 0], **path)
        stops[width] = points
    return observed(found), stops


@pytest.mark.parametrize(
    ("prior", "slope"), [(MUP, 0.0), (MUP, 0.2), (STANDARD, -0.9)], ids=["still", "slow", "falling"]
)
def test_the_bottom_is_found_at_the_target_too_which_has_no_trials(prior, slope):
    trials, stops = search(dataclasses.replace(SEARCH, prior=prior), bottom=-4.0, slope=slope)
    surrogate = dataclasses.replace(SEARCH, prior=prior).surrogate(trials)

    # Points are a quarter of an octave apart.
    for width in (*WIDTHS, 128):
        assert surrogate.best(width)[0] == pytest.approx(
            -4.0 + slope * math.log2(width / 16), abs=0.26
        )
    assert {stop.reason for stop in stops.values()} == {"tolerance"}
    assert all(stop.regret <= SEARCH.tolerance for stop in stops.values())


def test_narrower_widths_spare_trials_at_wider_ones():
    trials, _ = search(bottom=-6.5)
    counts = [len(trials.at(width).losses) for width in WIDTHS]
    alone, _ = search(dataclasses.replace(SEARCH, widths=(64,)), bottom=-6.5)

    assert counts[1] < counts[0]
    assert counts[2] < len(alone.losses)


def test_the_prior_moves_the_bottom_where_one_width_is_known():
    known = observed(rows(16, [-7.0, -6.0, -5.0, -4.0, -3.0], bottom=-4.5))
    for prior, expected in ((MUP, -4.5), (STANDARD, -6.5)):
        assert Surrogate.fit(known, BOX, prior, 16.0).best(64)[0] == pytest.approx(
            expected, abs=0.26
        )


def test_what_is_far_from_trials_is_predicted_with_less_confidence():
    surrogate = Surrogate.fit(observed(rows(16, [-7.0, -5.5, -4.0])), BOX, MUP, 16.0)
    regrets = [np.quantile(surrogate.regrets(width, 200, 0), 0.95) for width in (16, 32, 128)]
    assert regrets[0] < regrets[1] < regrets[2]


def test_a_constant_factor_of_the_loss_changes_no_decision():
    known = rows(16, [-7.0, -5.5, -4.0])
    scaled = [(width, x, seed, 7.0 * each) for width, x, seed, each in known]
    strict = dataclasses.replace(SEARCH, tolerance=1e-9)
    asked = [strict.decide(16, observed(each)) for each in (known, scaled)]
    np.testing.assert_array_equal(*asked)

    # A negative control: the same trials with another bottom ask for other points.
    moved = strict.decide(16, observed(rows(16, [-7.0, -5.5, -4.0], bottom=-3.0)))
    assert not np.array_equal(asked[0], moved)


def test_a_round_is_a_function_of_trials_and_seed():
    known = observed(rows(16, [-7.0, -5.5, -4.0]))
    np.testing.assert_array_equal(SEARCH.decide(32, known), SEARCH.decide(32, known))

    nothing = observed([])
    first = [dataclasses.replace(SEARCH, seed=seed).decide(16, nothing) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])


def test_points_of_a_round_differ_and_none_is_tried_twice():
    known = rows(16, [-7.0, -5.5, -4.0])
    for _ in range(3):
        points = propose(
            Surrogate.fit(observed(known), BOX, MUP, 16.0), observed(known), 16, 16, 3, 2
        )
        assert len(np.unique(points)) == 3
        assert not set(points[:, 0]) & {x for _, (x,), _, _ in known}
        known += rows(16, points[:, 0])


def test_no_point_above_one_that_diverged_is_tried():
    known = rows(16, [-7.0, -5.5]) + [(16.0, (-4.0,), seed, math.inf) for seed in (0, 1)]
    points = SEARCH.decide(16, observed(known))
    assert (points < -4.0).all()

    # At another width, where nothing has diverged, they may be tried.
    free = [x for x in BOX.points[:, 0] if x > -4.0]
    surrogate = Surrogate.fit(observed(known), BOX, MUP, 16.0)
    wide = propose(surrogate, observed(known), 32, 32, len(BOX.points), 2)
    assert set(free) <= set(wide[:, 0])


def test_where_all_diverged_other_points_are_tried():
    known = [(16.0, tuple(x), seed, math.inf) for x in BOX.first(3, 0) for seed in (0, 1)]
    points = SEARCH.decide(16, observed(known))
    assert len(points) == 3
    assert not set(points[:, 0]) & {x for _, (x,), _, _ in known}


def test_a_width_where_all_diverged_is_not_done_whatever_narrower_ones_say():
    narrow = rows(16, [-7.0, -6.0, -5.0, -4.5, -4.0, -3.0])
    assert isinstance(SEARCH.decide(16, observed(narrow)), Stopped)
    wild = [(32.0, (x,), seed, math.inf) for x in (-5.0, -4.0, -3.0) for seed in (0, 1)]
    points = SEARCH.decide(32, observed([*narrow, *wild]))
    assert (points < -5.0).all()


def test_a_search_ends_at_the_most_trials_that_a_width_may_take():
    # Losses that say nothing of a bottom, 2 % up and down.
    found, stops = [], {}
    for width in WIDTHS:
        while not isinstance(
            points := dataclasses.replace(SEARCH, trials=10).decide(width, observed(found)), Stopped
        ):
            found += [
                (float(width), (x,), seed, math.exp(0.02 * math.sin(1e4 * x + seed)))
                for x in points[:, 0]
                for seed in (0, 1)
            ]
        stops[width] = points

    assert [len(observed(found).at(width).losses) for width in WIDTHS] == [10, 10, 10]
    assert {stop.reason for stop in stops.values()} == {"trials"}
    assert all(stop.regret > SEARCH.tolerance for stop in stops.values())


def test_the_first_points_lie_apart_and_inside():
    box = Box(("learning_rate", "weight_decay"), (-8.0, -5.0), (-2.0, 0.0))
    points = box.first(4, 3)
    assert len(np.unique(points, axis=0)) == 4
    assert ((points > box.low) & (points < box.high)).all()
    # One in each half of either axis at least.
    for axis in (0, 1):
        assert len({bool(x > box.center[axis]) for x in points[:, axis]}) == 2


def test_the_stop_rule_keeps_its_promise_on_surfaces_it_does_not_model():
    """Of the 200 surfaces of `experiments/adaptive_search`, four.

    The whole experiment shows how often; here one broken promise in four is let pass, since the
    rule promises 95 %.
    """
    box = dataclasses.replace(CLOSED_FORM, step=0.5)
    found = [searched(run, box) for run in range(4)]
    stopped = [each for each in found if each["by_tolerance"]]

    assert len(stopped) >= 3
    assert sum(each["regret"] <= TOLERANCE for each in stopped) >= len(stopped) - 1


LAX = dataclasses.replace(SEARCH, tolerance=0.9, population=1)


@pytest.mark.parametrize(
    ("tried", "asked"),
    [
        # The best rate is an end: an octave beyond it, as far as the box goes.
        ({-7.0: 2.20, -6.0: 2.10}, -5.0),
        ({-4.0: 2.10, -3.5: 2.05, -2.5: 2.00}, -2.0),
        ({-5.0: 2.00, -4.0: 2.10}, -6.0),
        # Both of its neighbors are higher, but the upper one not clearly.
        ({-6.0: 2.10, -5.0: 2.00, -4.0: 2.001}, -3.0),
        # Enclosed by what is clearly worse.
        ({-6.0: 2.10, -5.0: 2.00, -4.0: 2.10}, None),
        # Nothing lies beyond the box.
        ({-4.0: 2.20, -3.0: 2.10, -2.0: 2.00}, None),
        # Above a rate that diverged nothing is asked for.
        ({-6.0: 2.10, -5.0: 2.00, -4.0: math.inf}, None),
        # A bowl's bottom at -5 is expected between these, where nothing was tried.
        ({-8.0: 2.18, -6.0: 2.022, -4.0: 2.02, -2.0: 2.18}, -5.0),
    ],
)
def test_a_width_is_done_once_clearly_worse_rates_enclose_the_best(tried, asked):
    known = [(16.0, (x,), seed, loss) for x, loss in tried.items() for seed in (0, 1)]
    found = LAX.decide(16, observed(known))
    if asked is None:
        assert isinstance(found, Stopped)
        assert found.reason == "tolerance"
    else:
        np.testing.assert_allclose(found, [[asked]], atol=0.26 if -6 < asked < -4.5 else 1e-9)


def test_one_rate_is_tried_on_both_sides_of_a_single_one():
    known = rows(16, [-5.0])
    first = LAX.decide(16, observed(known))
    assert abs(float(first[0, 0]) + 5.0) == 1.0
