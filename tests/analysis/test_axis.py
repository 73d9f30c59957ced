"""The verdict on every swept axis."""

import json

import numpy as np
import pytest
from refusals import refused

from transfer.analysis import JOINTLY, AxisVerdict, judge_axes

WIDTHS = [32, 64, 128]
RATES = [-8.0, -7.0, -6.0, -5.0, -4.0]
DECAYS = [-6.0, -5.0, -4.0, -3.0, -2.0, -1.0]


def plane(drift):
    """A valley whose best decay moves by `drift` per doubling; the best rate falls along it."""

    def loss(width, rate, decay):
        v = decay + 3.5 - drift * (np.log2(width) - 6)
        return 3.0 + 0.1 * (rate + 6.2 + 0.3 * v) ** 2 + 0.05 * v**2

    return loss


def axes_of(trials):
    return {each.axis: each for each in judge_axes(trials, "mup+sqrt")}


def test_a_decay_that_moves_is_told_and_a_learning_rate_that_stays(sweep):
    trials = sweep(noise=0.003)(plane(-1.0), WIDTHS, RATES, seeds=3, log2_decays=DECAYS)

    found = axes_of(trials)

    assert list(found) == ["learning_rate", "weight_decay", JOINTLY]
    assert found["learning_rate"].answer.transfers == "true"
    assert found["learning_rate"].optima[64].value == pytest.approx(-6.2, abs=0.15)
    decay = found["weight_decay"]
    assert decay.answer.transfers == "false"
    assert "the best decay's slope over width is -1.0" in decay.answer.reason
    for width, truth in zip(WIDTHS, (-2.5, -3.5, -4.5), strict=True):
        low, high = decay.optima[width].interval
        assert low < truth < high
        assert high - low < 1
    # A decay an octave off costs 0.05 at its own best learning rate; both at once, 0.1 * 0.09 more.
    assert decay.regrets[0].regret.value == pytest.approx(0.05, rel=0.25)
    assert found[JOINTLY].regrets[0].regret.value == pytest.approx(0.059, rel=0.25)
    assert found[JOINTLY].answer.transfers == "false"
    assert decay.basis.tentative is None


def test_a_decay_that_stays_transfers(sweep):
    trials = sweep(noise=0.003)(plane(0.0), WIDTHS, RATES, seeds=2, log2_decays=DECAYS)

    found = axes_of(trials)

    assert {axis: each.answer.transfers for axis, each in found.items()} == {
        "learning_rate": "true",
        "weight_decay": "true",
        JOINTLY: "true",
    }
    assert found["weight_decay"].basis.tentative == "2 seeds, 3 widths"
    content = json.loads(json.dumps(found["weight_decay"].to_json(), allow_nan=False))
    assert AxisVerdict.from_json(content) == found["weight_decay"]


def test_an_axis_without_values_on_both_sides_is_undecided_and_says_so(sweep):
    trials = sweep()(plane(0.0), WIDTHS, RATES, log2_decays=[-3.0, -2.0])

    decay = axes_of(trials)["weight_decay"]

    assert decay.answer.transfers == "undecided"
    assert "no decays were swept on both sides" in decay.answer.reason
    assert decay.basis.widths == 0


def test_a_multiplier_that_moves_is_told(sweep):
    trials = []
    for power in (-2.0, -1.0, 0.0, 1.0, 2.0):

        def loss(width, rate, decay, power=power):
            best = np.log2(width) - 6
            return 3.0 + 0.1 * (rate + 6.2) ** 2 + 0.05 * (power - best) ** 2

        trials += sweep(noise=0.003)(loss, WIDTHS, RATES, seeds=3, readout_output=2.0**power)

    found = axes_of(trials)

    assert list(found) == ["learning_rate", "readout_output"]
    assert found["readout_output"].answer.transfers == "false"
    assert found["readout_output"].slope.value == pytest.approx(1.0, abs=0.1)
    assert found["learning_rate"].answer.transfers == "true"


def test_one_learning_rate_is_no_axis_and_other_recipes_are_refused(sweep):
    trials = sweep()(plane(0.0), WIDTHS, [-6.0])

    assert judge_axes(trials, "mup+sqrt") == ()
    with refused("standard", "mup+sqrt"):
        judge_axes(trials, "standard")


@pytest.mark.parametrize("gone", [64, 128])
def test_a_width_where_every_run_diverged_is_undecided_and_the_others_are_told(sweep, gone):
    def loss(width, rate, decay):
        return np.inf if width == gone else 3.0 + 0.1 * (rate + 6.2) ** 2

    (rate,) = judge_axes(sweep(noise=0.003)(loss, WIDTHS, RATES, seeds=2), "mup+sqrt")

    assert rate.answer.transfers == "undecided"
    assert rate.optima[gone].value is None
    assert "every learning rate diverged" in rate.optima[gone].reason
    assert all(rate.optima[width].interval for width in WIDTHS if width != gone)
    assert rate.basis.widths == 2
