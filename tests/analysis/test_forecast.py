"""Forecasts from sweeps with a known law, and what becomes of them."""

import dataclasses
import json

import numpy as np
import pytest
from refusals import refused

from transfer.analysis import (
    Forecast,
    TargetSize,
    forecast,
    judge_forecast,
    measured_bowl,
    width_losses,
)

WIDTHS = (16, 24, 32, 48, 64)
GRID = [-7.0, -6.0, -5.0, -4.0]
TARGET = TargetSize(width=96, parameters=96**2, flops=6.0 * 96**2 * 1000)


def law(width):
    return 1.5 + 2.0 * (width * width) ** -0.25


def loss(width, rate, decay):
    """A bowl with its bottom between two rates, on the law."""
    return law(width) + 0.03 * (rate + 5.4) ** 2


@pytest.fixture(scope="module")
def trials(sweep):
    return sweep(shared_noise=0.003, noise=0.003)(loss, WIDTHS, GRID, seeds=3)


@pytest.fixture(scope="module")
def made(trials):
    return forecast(trials, [TARGET])


def test_the_loss_of_a_width_is_the_bottom_of_its_bowl(sweep):
    found = width_losses(sweep()(loss, WIDTHS, GRID, seeds=2), "mup+sqrt")

    assert [each.width for each in found] == list(WIDTHS)
    assert [each.loss for each in found] == pytest.approx([law(width) for width in WIDTHS])
    assert all(len(each.losses) == 2 and each.note is None for each in found)


def test_at_the_edge_the_best_run_stands_and_says_so(sweep):
    found = width_losses(sweep()(loss, [32], [-5.0, -4.0, -3.0], seeds=1), "mup+sqrt")

    assert found[0].loss == pytest.approx(law(32) + 0.03 * 0.4**2)
    assert "edge" in found[0].note


def test_a_known_law_is_forecast_over_both_sizes(made):
    found = made.recipes["mup+sqrt"]
    for size in ("parameters", "flops"):
        (target,) = found.targets[size]
        assert target.interval[0] < law(96) < target.interval[1]
        assert target.loss == pytest.approx(law(96), rel=0.01)
        assert found.held_out[size].width == 64
        assert found.held_out[size].inside
    # FLOPs are in proportion to parameters here, which a power law does not see.
    over_parameters, over_flops = (found.targets[size][0] for size in ("parameters", "flops"))
    assert over_parameters.loss == pytest.approx(over_flops.loss, rel=1e-6)


def test_a_forecast_looks_at_no_run_of_the_target(sweep, trials, made):
    later = sweep()(lambda *_: 0.5, [96, 192], GRID, seeds=3)
    assert forecast([*trials, *later], [TARGET]) == made


def test_a_narrower_run_does_change_it(sweep, trials, made):
    """So that the test above can fail."""
    other = sweep()(lambda *place: loss(*place) - 0.05, [80], GRID, seeds=3)
    assert forecast([*trials, *other], [TARGET]) != made


def test_four_widths_are_too_few_and_it_says_how_many_are_missing(sweep):
    trials = sweep()(loss, WIDTHS[:4], GRID, seeds=3)
    with refused("4 widths", "16, 24, 32, 48", "at least 5", "add 1"):
        forecast(trials, [TARGET])


def test_a_recipe_with_too_few_widths_leaves_the_others_theirs(sweep, trials):
    short = sweep(recipe="standard")(loss, WIDTHS[:2], GRID, seeds=3)
    found = forecast([*trials, *short], [TARGET])

    assert set(found.recipes) == {"mup+sqrt"}
    assert "2 widths" in found.missing["standard"]


def test_two_recipes_are_compared_by_their_laws(sweep, trials):
    worse = sweep(recipe="standard", shared_noise=0.003, noise=0.003)(
        lambda *place: loss(*place) + 0.1, WIDTHS, GRID, seeds=3
    )
    (found,) = forecast([*trials, *worse], [TARGET]).crossovers

    assert found.better == "mup+sqrt"
    assert found.interval is None


def test_a_bend_at_the_held_out_width_is_a_warning(sweep):
    def bent(width, rate, decay):
        return loss(width, rate, decay) + (0.2 if width == 64 else 0.0)

    found = forecast(sweep(noise=0.001)(bent, WIDTHS, GRID, seeds=3), [TARGET])
    assert any("no interval is to be trusted" in note for note in found.recipes["mup+sqrt"].notes)


def test_a_forecast_survives_json(made):
    assert Forecast.from_json(json.loads(json.dumps(made.to_json()))) == made
    with refused("not a forecast"):
        Forecast.from_json({"recipes": {}})


def trained(sweep, value, seeds=3, **changes):
    return sweep()(lambda *_: value, [96], [-5.4], seeds=seeds, origin="predicted", **changes)


def test_a_forecast_is_judged_by_the_predicted_runs(sweep, trials, made):
    (before,) = judge_forecast(made, trials)
    (inside,) = judge_forecast(made, [*trials, *trained(sweep, law(96))])
    (outside,) = judge_forecast(made, [*trials, *trained(sweep, 2 * law(96))])

    assert before.inside is None
    assert "not trained yet" in str(before)
    assert inside.inside
    assert inside.runs == 3
    assert inside.error == pytest.approx(inside.forecast / law(96) - 1)
    assert not outside.inside
    assert "OUTSIDE" in str(outside)


def test_one_run_is_judged_by_a_wider_interval(sweep, made):
    (three,) = judge_forecast(made, trained(sweep, law(96)))
    (one,) = judge_forecast(made, trained(sweep, law(96), seeds=1))

    assert one.interval[0] < three.interval[0]
    assert three.interval[1] < one.interval[1]
    assert one.interval == pytest.approx(made.recipes["mup+sqrt"].targets["parameters"][0].one_run)


def test_a_target_that_was_swept_is_judged_at_its_bottom(sweep, made):
    (found,) = judge_forecast(made, sweep()(loss, [96], GRID, seeds=3))

    assert found.loss == pytest.approx(law(96))
    assert found.source == "swept"


def test_runs_of_another_length_do_not_judge(sweep, made):
    (found,) = judge_forecast(made, trained(sweep, law(96), steps=200))

    assert found.loss is None
    assert "100 steps" in str(found)


def test_the_bowl_of_a_sweep_is_measured(sweep):
    noisy = sweep(shared_noise=0.02, noise=0.004)(loss, WIDTHS, GRID, seeds=50)
    found = measured_bowl(noisy, "mup+sqrt")
    relative = np.median([1 / law(width) for width in WIDTHS])

    assert found.curvature == pytest.approx(0.06 * relative, rel=0.1)
    # What a seed shares over rates is not counted.
    assert found.noise == pytest.approx(0.004 * relative, rel=0.2)
    assert dataclasses.replace(found, curvature=0.025, noise=0.007) == measured_bowl([], "mup+sqrt")


def test_points_that_lie_close_by_do_not_decide_the_bottom(sweep):
    """As an adaptive search asks for them: their noise would be a curvature of its own."""
    close = sweep()(loss, [32], [*GRID, -5.05, -4.95], seeds=1)
    noisy = [
        dataclasses.replace(trial, eval_loss=trial.eval_loss + 0.01)
        if trial.learning_rate in (2.0**-5.05, 2.0**-4.95)
        else trial
        for trial in close
    ]
    (found,) = width_losses(noisy, "mup+sqrt")

    assert found.best.learning_rate == 2.0**-5
    assert found.loss == pytest.approx(law(32))
