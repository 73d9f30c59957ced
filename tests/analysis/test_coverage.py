"""Intervals hold the truth as often as they say, on a part of the scenarios of `experiments`."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments.coverage.measure import measured
from experiments.coverage.run import TABLE
from experiments.coverage.scenarios import Scenario, simulate
from experiments.coverage.summary import coverage, decided
from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.quadratic import curve_minimum
from transfer.analysis.slope import least_squares_slope

REPEATS = 8


def scenario(seeds):
    return Scenario(noise="quiet", seeds=seeds, widths=4, rates=8, spacing=1.0, repeats=REPEATS)


@pytest.fixture(scope="module")
def rows():
    return [measured(scenario(seeds), k) for seeds in (1, 2, 3) for k in range(REPEATS)]


def test_intervals_hold_the_truth_at_every_number_of_seeds(rows):
    """Of 24 intervals of 95 %, 20 or more hold with a probability of 0.99."""
    for name in ("optimum", "slope", "regret", "forecast"):
        assert coverage(rows, name) >= 20 / 24, name
        assert sum(row[f"{name}_told"] for row in rows) >= 0.9 * sum(
            row[f"{name}_asked"] for row in rows
        )


def test_verdicts_decide_and_are_right(rows):
    share, wrong = decided(rows)

    assert share > 0.6
    assert wrong == 0


def test_the_percentile_bootstrap_fails_the_same_scenarios():
    """The control: an interval over seeds alone, of the vertex of a parabola."""
    held = []
    for seeds in (2, 3):
        for repeat in range(REPEATS):
            simulated = simulate(scenario(seeds), repeat)

            def slope(weights, simulated=simulated):
                drawn = weights > 0
                optima = [
                    curve_minimum(x, losses[:, 0, drawn] @ weights[drawn]).location
                    for x, losses in zip(simulated.rates, simulated.losses, strict=True)
                ]
                if None in optima:
                    return float("nan")
                return least_squares_slope(np.arange(4.0), np.array(optima))

            interval, _ = bootstrap(slope, seeds)
            if interval is not None:
                held.append(interval[0] <= simulated.slope <= interval[1])

    assert len(held) > REPEATS
    assert np.mean(held) < 20 / 24


def test_the_committed_table_says_what_the_docs_say():
    table = pq.read_table(TABLE).to_pylist()
    alike = [row for row in table if row["bowls"] == "alike"]
    for noise in ("quiet", "loud"):
        mine = [row for row in alike if row["noise"] == noise]
        assert all(coverage(mine, name) >= 0.9 for name in ("optimum", "slope", "regret"))
        assert decided(mine)[1] < 0.05
    for slope in (0.0, -1.0):
        goal = [row for row in alike if (row["seeds"], row["widths"]) == (3, 4)]
        goal = [row for row in goal if row["noise"] == "quiet" and row["decays"] is None]
        assert decided([row for row in goal if row["true_slope"] == slope])[0] >= 0.8


def test_bowls_that_differ_from_width_to_width_do_not_break_the_intervals():
    """The negative control of a method that learns how alike widths are."""
    table = pq.read_table(TABLE).to_pylist()
    for bowls in ("differ", "differ in form", "off the line"):
        mine = [row for row in table if row["bowls"] == bowls]
        names = ("optimum", "regret", "forecast") + (("slope",) if bowls != "off the line" else ())
        assert all(coverage(mine, name) >= 0.9 for name in names), bowls
        assert decided(mine)[1] < 0.05


def test_a_row_of_the_committed_table_is_made_again():
    row = pq.read_table(TABLE).to_pylist()[0]
    again = measured(Scenario(**_asked(row), repeats=1), row["repeat"])

    assert again["answer"] == row["answer"]
    assert again["slope_held"] == row["slope_held"]
    assert again["slope_length"] == pytest.approx(row["slope_length"], rel=1e-6)


def _asked(row):
    names = ("noise", "seeds", "widths", "rates", "spacing", "decays", "bowls")
    return {name: row[name] for name in names}
