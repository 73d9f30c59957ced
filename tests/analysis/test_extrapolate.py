import pytest
from refusals import refused

from transfer.analysis import extrapolate_optimum

# The error of the fitted form: without noise an optimum is known to some hundredths of an octave.
FORM = 0.06
GRID = [float(k) for k in range(-10, -3)]


def bowl(optimum):
    return lambda width, rate, decay: 3.0 + 0.1 * (rate - optimum(width)) ** 2


def test_optima_on_a_line_are_continued(sweep):
    drift = {16: -5.4, 32: -5.9, 64: -6.4}  # half a factor of two with every doubling
    trials = sweep()(bowl(drift.get), drift, GRID)

    # An error of the slope grows with the distance.
    for width, expected, far in ((128, -6.9, 2), (512, -7.9, 4), (45.254834, -6.15, 1)):
        found = extrapolate_optimum(trials, "mup+sqrt", width)
        assert found == pytest.approx(expected, abs=far * FORM)


def test_optima_that_stay_are_left_where_they_are(sweep):
    trials = sweep()(bowl(lambda width: -6.3), [16, 32, 64], GRID)
    assert extrapolate_optimum(trials, "mup+sqrt", 1024) == pytest.approx(-6.3, abs=FORM)


def test_a_single_optimum_is_expected_at_every_width(sweep):
    trials = sweep()(bowl(lambda width: -6.3), [32], GRID)
    assert extrapolate_optimum(trials, "mup+sqrt", 1024) == pytest.approx(-6.3, abs=FORM)


def test_a_line_is_the_one_of_least_squares(sweep):
    optima = {16: -6.0, 32: -5.4, 64: -6.3}
    trials = sweep()(bowl(optima.get), optima, GRID)

    # The mean is -5.9 at 2^5 and the slope (-6.3 + 6.0) / 2 = -0.15 for every doubling.
    assert extrapolate_optimum(trials, "mup+sqrt", 128) == pytest.approx(-6.2, abs=2 * FORM)


def test_an_undecided_width_is_left_out(sweep):
    trials = sweep()(bowl(lambda width: -6.3), [16, 32], GRID)
    # At width 64 the best is the edge of the grid, so its optimum is unknown.
    edge = sweep()(bowl(lambda width: -20.0), [64], GRID)

    assert extrapolate_optimum(trials + edge, "mup+sqrt", 256) == pytest.approx(-6.3, abs=FORM)


def test_other_recipes_and_predicted_trials_are_not_read(sweep):
    trials = sweep()(bowl(lambda width: -6.3), [16, 32], GRID)
    others = sweep(recipe="standard")(bowl(lambda width: -9.0), [16, 32, 64], GRID)
    predicted = sweep()(bowl(lambda width: -9.0), [64], GRID, origin="predicted")

    found = extrapolate_optimum(trials + others + predicted, "mup+sqrt", 128)
    assert found == pytest.approx(-6.3, abs=FORM)


@pytest.mark.parametrize("grid", [[-3.0, -2.0], []])
def test_without_an_optimum_there_is_nothing_to_look_from(sweep, grid):
    trials = sweep()(bowl(lambda width: -6.3), [16, 32], grid)

    with refused("mup+sqrt"):
        extrapolate_optimum(trials, "mup+sqrt", 128)
