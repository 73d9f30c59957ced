"""Decay exponents from proxies whose law is known, and what the held-out width says of them."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from refusals import refused

from transfer.analysis import Prediction, calibrate_run, predict, predicted_slope
from transfer.analysis.calibrate import spread
from transfer.run_directory import SPECTRUM_SCHEMA
from transfer.scaling import Calibration, Recipe

WIDTHS = [32, 64, 128, 256]
GRID = [float(k) for k in range(-9, -3)]
P = {"layers.up": 0.6, "layers.down": 1.0}
RECIPES = ["mup+sqrt", "mup+constant", "mup+independent", "unit+sqrt", "standard"]


def loss(width, rate, decay):
    return 3.0 + 0.1 * (rate + 6.3) ** 2


def planted(trials, p, noise=0.0, late=None):
    """sigma_1 by the law, with noise of each matrix, width and seed.

    `late` has other p on the way from 128 to 256, as of a law that ends.
    """
    generator = np.random.default_rng(0)
    draws = {
        (path, width, seed): generator.normal(0, noise) if noise else 0.0
        for path in p
        for width in WIDTHS
        for seed in range(8)
    }
    rows = []
    for trial in trials:
        for path, value in p.items():
            slope = predicted_slope(Recipe.parse(trial.recipe)) + value - 0.75
            log = slope * np.log2(min(trial.width, 128 if late else 256) / 32)
            if late and trial.width > 128:
                log += predicted_slope(Recipe.parse(trial.recipe)) + late[path] - 0.75
            log += draws[path, trial.width, trial.seed]
            row = (trial.trial, trial.steps, path, 0, 0, 3.0 * 2**log, 0.0)
            rows.append(dict(zip(SPECTRUM_SCHEMA.names, row, strict=True)))
    return pa.Table.from_pylist(rows, schema=SPECTRUM_SCHEMA)


def calibrated(sweep, recipe="mup+sqrt", p=P, seeds=4, widths=WIDTHS, **options):
    trials = sweep(recipe=recipe)(loss, widths, GRID, seeds=seeds)
    return calibrate_run(trials, planted(trials, p, **options), recipe, widths, -6.3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_matrix_gets_the_exponent_that_levels_it(sweep, recipe):
    """2p - 1 under muP's rates, and 2p where the step does not follow width."""
    found = calibrated(sweep, recipe)
    step = 0.0 if recipe == "standard" else -1.0
    chosen = dict(zip(found.calibration.paths, found.calibration.exponents, strict=True))
    assert chosen == pytest.approx({path: 2 * p + step for path, p in P.items()}, abs=1e-9)
    assert found.common == pytest.approx(2 * 0.8 + step, abs=1e-9)
    assert (found.widths, found.held_out) == ((32, 64, 128), 256)
    assert found.calibration.widest == 8.0
    # The law holds to rounding on the held-out width, and one exponent leaves 0.2 either way.
    assert spread(found.residual_own) == pytest.approx(0.0, abs=1e-9)
    assert spread(found.residual_common) == pytest.approx(0.2, abs=1e-9)
    left = {path: predicted_slope(Recipe.parse(recipe)) + p - 0.75 for path, p in P.items()}
    assert found.residual_swept == pytest.approx(left, abs=1e-9)


def test_the_widest_proxy_is_verified_at_and_not_measured_with(sweep):
    """Another law beyond 128 changes the residuals, not the exponents."""
    late = {"layers.up": 0.7, "layers.down": 0.9}
    there, elsewhere = calibrated(sweep), calibrated(sweep, late=late)
    assert elsewhere.measured["layers.up"].p.value == pytest.approx(0.6, abs=1e-9)
    # By as much as p moves, each in its own direction; 0.1 beside the 0.1 of one for all.
    assert elsewhere.residual_own == pytest.approx({"layers.up": 0.1, "layers.down": -0.1})
    assert spread(there.residual_own) < 1e-9


def test_one_exponent_serves_all_where_matrices_do_worse_with_their_own(sweep):
    """Matrices that differ over the proxies and no longer beyond."""
    late = {"layers.up": 0.8, "layers.down": 0.8}
    found = calibrated(sweep, late=late)
    assert found.own == ("layers.down", "layers.up")
    assert not found.by_matrix
    assert found.calibration.exponents == pytest.approx((0.6, 0.6), abs=1e-9)
    assert "one exponent, 0.60, for all 2 matrices" in found.notes[-1]
    assert "did no better on the held-out width" in found.notes[-1]


def test_only_what_seeds_tell_apart_has_its_own(sweep):
    p = {"layers.a": 0.7, "layers.b": 0.7, "layers.c": 0.7, "layers.d": 1.0}
    # Over 32 to 128 and 8 seeds the slope of each has a standard error of noise / 4 = 0.01.
    found = calibrated(sweep, p=p, seeds=8, noise=0.04)
    # The mean is 0.775, 7 errors from the first three and 22 from the last.
    assert found.own == tuple(p)
    assert found.by_matrix
    same = calibrated(sweep, p=dict.fromkeys(p, 0.7))
    assert same.own == ()
    assert same.calibration.exponents == pytest.approx((0.4,) * 4, abs=1e-9)
    assert "seeds tell no p from the mean" in same.notes[-1]


def test_one_seed_tells_nothing_apart(sweep):
    found = calibrated(sweep, seeds=1)
    assert found.own == ()
    assert found.calibration.exponents == pytest.approx((0.6, 0.6), abs=1e-9)


def test_the_notes_say_by_how_much_exponents_by_matrix_are_better(sweep):
    late = {"layers.up": 0.64, "layers.down": 1.04}
    measured, left, chosen = calibrated(sweep, late=late).notes
    assert "measured at widths 32, 64, 128 and verified at 256" in measured
    assert "no run under the exponents themselves" in measured
    # 0.04 for each of its own; 0.04 +- 0.2 for one, of which the mean square root is 0.204.
    assert "+0.04 to +0.04 (root mean square 0.04) under exponents by matrix" in left
    assert "-0.16 to +0.24 (root mean square 0.2) under one for all" in left
    assert "-0.11 to +0.29 (root mean square 0.22) under the swept rule" in left
    assert (
        chosen
        == "exponents by matrix, 5.1 times closer to level than one for all: down 1.00, up 0.20"
    )


def test_exponents_that_do_not_hold_on_the_held_out_width_are_not_used(sweep):
    """The swept rule was wrong over the proxies and is right beyond."""
    trials = sweep()(loss, WIDTHS, GRID, seeds=4)
    prediction = predict(trials, "mup+sqrt", 1024)
    there, beyond = (
        calibrate_run(trials, planted(trials, P, late=late), "mup+sqrt", WIDTHS, -6.3)
        for late in (None, {"layers.up": 0.75, "layers.down": 0.75})
    )
    assert prediction.calibrated(there).recipe == "mup+measured"
    # One exponent of 0.6 where 0.5 is right: half of that is left.
    with refused(256, 0.05):
        prediction.calibrated(beyond)


@pytest.mark.parametrize("short", [32, 256])
def test_runs_that_have_not_settled_are_refused(sweep, short):
    trials = [
        dataclasses.replace(trial, decay_times=2.9) if trial.width == short else trial
        for trial in sweep()(loss, WIDTHS, GRID, seeds=2)
    ]
    with refused(short, 2.9):
        calibrate_run(trials, planted(trials, P), "mup+sqrt", WIDTHS, -6.3)


@pytest.mark.parametrize(
    ("widths", "rows", "there"), [([32, 64], None, 2), ([32], None, 0), (WIDTHS, 0, 0)]
)
def test_too_few_widths_are_refused(sweep, widths, rows, there):
    trials = sweep()(loss, widths, GRID, seeds=2)
    spectrum = planted(trials, P).slice(0, rows)
    with refused(there):
        calibrate_run(trials, spectrum, "mup+sqrt", widths, -6.3)


def test_a_measured_decay_is_not_measured_again(sweep):
    trials = sweep(recipe="mup+measured", decay="measured")(loss, WIDTHS, GRID)
    with refused("measured"):
        calibrate_run(trials, planted(trials, P), "mup+measured", WIDTHS, -6.3)


def test_a_prediction_takes_the_exponents_and_is_read_back(sweep):
    trials = sweep()(loss, WIDTHS, GRID, seeds=4)
    plain = predict(trials, "mup+sqrt", 1024)
    found = calibrate_run(trials, planted(trials, P), "mup+sqrt", WIDTHS, plain.log2_learning_rate)
    prediction = plain.calibrated(found)
    assert prediction.recipe == "mup+measured"
    assert prediction.calibration == Calibration(
        paths=("layers.down", "layers.up"),
        exponents=found.calibration.exponents,
        swept=0.5,
        widest=8.0,
    )
    assert prediction.notes == (*plain.notes, *found.notes)
    assert prediction.hyperparameters == plain.hyperparameters
    assert Prediction.from_json(json.loads(json.dumps(prediction.to_json()))) == prediction
    assert Prediction.from_json(json.loads(json.dumps(plain.to_json()))) == plain
