"""Transfer as numbers, exactly, on bowls that are known exactly."""

import json
import math

import numpy as np
import pytest
from refusals import refused

from transfer.analysis import (
    Estimate,
    Optimum,
    TransferNumbers,
    WidthSweep,
    forecast_regret,
    transfer_numbers,
)
from transfer.analysis.bowls import DRAWS, Bowl
from transfer.analysis.surface import Surface
from transfer.scaling.hyperparameters import Hyperparameters

POINTS = np.arange(-11.0, -1.0)


def exact(width, bottom, curvature=0.09, level=3.0, spread=0.0):
    """A sweep whose bowl has no uncertainty but, if `spread`, in its bottom."""
    normal = np.random.default_rng(width).standard_normal(DRAWS)
    bowl = Bowl(
        bottom=bottom + spread * normal,
        level=np.full(DRAWS, level),
        coefficients=np.tile([curvature, 0.0, 0.0, 0.0], (DRAWS, 1)),
        noise=np.full(DRAWS, 0.001),
        span=(-11.0, -2.0),
        points=(POINTS, level + curvature * (POINTS - bottom) ** 2),
        form_error=np.zeros(DRAWS),
    )
    optimum = Optimum(
        recipe="mup+sqrt",
        width=width,
        log2_learning_rate=Estimate.of_draws(bowl.bottom),
        log2_weight_decay=None,
        best=Hyperparameters(learning_rate=2.0 ** round(bottom)),
        best_loss=level,
        seeds=1,
    )
    return WidthSweep(optimum, None, Surface({-3.0: bowl}, -3.0))


def test_robustness_is_the_loss_of_a_factor_of_two_and_has_an_exponent():
    sweeps = [exact(width, -6.0, 0.09 * (width / 32) ** -0.5) for width in (32, 64, 128)]

    found = transfer_numbers(sweeps)

    assert found.robustness[32].value == pytest.approx(0.03)
    assert found.robustness[128].interval == pytest.approx((0.015, 0.015))
    assert found.robustness_exponent.value == pytest.approx(-0.5)


def test_near_optimal_rates_are_within_a_thousandth_of_the_best():
    # 0.09 u^2 = 0.003 at u = 0.18257.
    reach = math.sqrt(0.003 / 0.09)
    sweeps = [exact(32, -6.0), exact(64, -5.8), exact(128, -5.6)]

    found = transfer_numbers(sweeps)

    assert found.near_optimal[64] == pytest.approx((-5.8 - reach, -5.8 + reach), abs=2**-8)
    assert found.near_optimal_everywhere is None
    two = transfer_numbers(sweeps[:2]).near_optimal_everywhere
    assert two == pytest.approx((-5.8 - reach, -6.0 + reach), abs=2**-8)


def test_a_left_out_width_is_predicted_from_the_line_of_the_others():
    sweeps = [exact(32, -6.0), exact(64, -6.25), exact(128, -6.5), exact(256, -6.0)]

    found = transfer_numbers(sweeps).left_out

    assert found[256].value == pytest.approx(-6.75 + 6.0)
    # The line through 64, 128 and 256 is -6.25 + 0.125 (log2 w - 7), at 32 it is -6.5.
    assert found[32].value == pytest.approx(-0.5)
    assert transfer_numbers(sweeps[:2]).left_out == {}


def test_fast_transfer_is_regret_over_the_gap_of_the_best_losses():
    sweeps = [exact(32, -6.0, level=3.1), exact(64, -5.0, level=3.0), exact(128, -5.0, level=3.0)]

    found = transfer_numbers(sweeps).fast_transfer

    assert found[64].value == pytest.approx(0.9)
    assert found[128].value is None
    assert "not clearly lower" in found[128].reason


def test_a_forecast_holds_the_regret_of_the_line_and_grows_with_the_distance():
    sweeps = [exact(width, -6.0 - 0.5 * k) for k, width in enumerate((32, 64, 128))]

    near, far = (forecast_regret(sweeps, width) for width in (256, 1024))

    # At 256 the optimum moves on by half an octave: 0.09 * 0.25 / 3.
    assert near.interval[0] < 0.0075 < near.interval[1]
    assert near.value == pytest.approx(0.0075, rel=0.1)
    assert far.value == pytest.approx(9 * 0.0075, rel=0.1)
    level = [exact(width, -6.0, spread=0.05) for width in (32, 64, 128)]
    assert forecast_regret(level, 256).interval[0] == 0.0
    # What is swept at the target or above is not read.
    assert forecast_regret([*level, exact(256, -9.0)], 256) == forecast_regret(level, 256)


def test_a_forecast_needs_two_narrower_widths():
    assert forecast_regret([exact(32, -6.0)], 64).value is None
    with refused(32, 64):
        forecast_regret([exact(64, -6.0)], 32)


def test_numbers_are_plain_json_and_read_back():
    found = transfer_numbers([exact(32, -6.0, level=3.1), exact(64, -5.9), exact(128, -5.8)])
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))

    assert TransferNumbers.from_json(content) == found
