import dataclasses
import json
import math

import pytest
from refusals import refused

from transfer.analysis import Estimate, Prediction, predict
from transfer.scaling import Recipe, Scale

GRID = [float(k) for k in range(-9, -3)]


def loss(width, rate, decay):
    """Return a bowl whose optimum is at -6 at width 32 and at -6.3 at width 64."""
    return 3.0 + 0.1 * (rate + 6 + 0.3 * (width == 64)) ** 2 + 0.05 * (decay + 3.2) ** 2


@pytest.fixture(scope="module")
def trials(sweep):
    return sweep(noise=0.001)(loss, [32, 64], GRID, seeds=4, log2_decays=[-5.0, -4.0, -3.0, -2.0])


def test_the_widest_proxys_optimum_is_moved_unchanged(trials):
    found = predict(trials, "mup+sqrt", 1024)

    assert found.proxy_widths == (32, 64)
    assert found.base_width == 32
    assert found.log2_learning_rate == pytest.approx(-6.3, abs=0.05)
    assert found.learning_rate == 2**found.log2_learning_rate
    assert found.weight_decay == pytest.approx(2**-3.2, rel=0.1)
    low, high = found.log2_learning_rate_interval
    assert low < found.log2_learning_rate < high
    assert found.log2_weight_decay_interval is not None
    assert set(found.multipliers.values()) == {1.0}


def test_proxies_can_be_chosen(trials):
    assert predict(trials, "mup+sqrt", 64, [32]).log2_learning_rate == pytest.approx(-6, abs=0.1)


def test_only_narrower_sweeps_are_read(sweep, trials):
    target = sweep()(lambda *_: 1.0, [128], GRID) + sweep()(
        lambda *_: 0.0, [64], [-3.0], origin="predicted"
    )

    assert predict(trials + target, "mup+sqrt", 128) == predict(trials, "mup+sqrt", 128)


def test_multipliers_are_those_of_the_best_trial(sweep):
    trials = sweep()(loss, [32], GRID) + sweep()(
        lambda *place: loss(*place) - 0.1, [32], GRID, readout_output=4.0
    )

    assert predict(trials, "mup+sqrt", 64).multipliers["readout_output"] == 4.0


PROXY = Scale(width=64, layers=2, batch_size=16, tokens=10**6)
RULED = Recipe("mup", depth="completep", horizon="sde")


def test_an_extrapolation_leaves_what_was_tuned_as_it_is(trials):
    found = predict(trials, "mup+sqrt", 1024)
    target = Scale(width=1024, layers=8, batch_size=64, tokens=4 * 10**6)
    moved = found.extrapolated(RULED, "entrywise", proxy=PROXY, target=target, base=PROXY)

    assert moved.hyperparameters == found.hyperparameters
    assert (moved.target_layers, moved.target_batch_size) == (8, 64)
    assert (moved.target_tokens, moved.base_tokens) == (4 * 10**6, 10**6)
    assert (moved.base_layers, moved.base_batch_size) == (2, 16)
    assert [each.axis for each in moved.extrapolation] == [
        "width",
        "width",
        "depth",
        "batch",
        "tokens",
    ]
    text = json.dumps(moved.to_json(), allow_nan=False)
    assert Prediction.from_json(json.loads(text)) == moved
    assert [each["factor"] for each in json.loads(text)["extrapolation"]] == [16, 16, 4, 4, 4]


def test_what_stays_is_left_to_the_configuration(trials):
    found = predict(trials, "mup+sqrt", 1024)
    wider = dataclasses.replace(PROXY, width=1024)
    moved = found.extrapolated(Recipe("mup"), "entrywise", proxy=PROXY, target=wider, base=PROXY)

    assert moved == dataclasses.replace(found, extrapolation=moved.extrapolation)
    assert (moved.target_layers, moved.target_batch_size, moved.target_tokens) == (None,) * 3
    assert [each.axis for each in moved.extrapolation] == ["width", "width"]


def test_the_widest_proxy_may_be_the_target(trials):
    at_proxy = predict(trials, "mup+sqrt", None)
    assert (at_proxy.target_width, at_proxy.proxy_widths) == (64, (32, 64))
    assert predict(trials, "mup+sqrt", None, [32]).target_width == 32
    assert at_proxy.hyperparameters == predict(trials, "mup+sqrt", 1024).hyperparameters


def test_a_file_without_extrapolation_is_read(trials):
    found = predict(trials, "mup+sqrt", 1024)
    content = found.to_json()
    for name in ("extrapolation", "target_layers", "base_tokens"):
        del content[name]
    assert Prediction.from_json(content) == found


def test_a_file_of_an_earlier_version_is_told_apart(trials):
    content = predict(trials, "mup+sqrt", 1024).to_json()
    content["moves"] = content.pop("extrapolation")
    with refused():
        Prediction.from_json(content)


def test_it_round_trips_through_json(sweep, trials):
    for swept in (trials, sweep()(loss, [32], GRID)):
        found = predict(swept, "mup+sqrt", 1024)
        text = json.dumps(found.to_json(), allow_nan=False)
        assert Prediction.from_json(json.loads(text)) == found


def test_a_prediction_from_one_width_and_seed_says_how_little_it_rests_on(sweep):
    found = predict(sweep()(loss, [32], GRID), "mup+sqrt", 64)

    low, high = found.log2_learning_rate_interval
    assert low < -6 < high
    assert found.tentative == "1 seed, 1 width"
    assert found.forecast == Estimate(
        None, reason="a forecast needs the optimum at two or more widths"
    )
    (warning,) = found.warnings
    assert warning.startswith("learning rate undecided: ")
    opening = str(found).splitlines()
    assert opening[0].startswith("At width 64 use learning rate 0.016 (2^-6) [0.01")
    assert opening[1:3] == [f"Warning: {warning}", "Tentative: 1 seed, 1 width."]


def test_hyperparameters_that_move_are_warned_of_with_where_their_line_leads(sweep):
    def drifting(width, rate, decay):
        return 3.0 + 0.1 * (rate + 6 + math.log2(width / 32)) ** 2

    trials = sweep(noise=0.001)(drifting, [32, 64, 128], GRID, seeds=3)
    found = predict(trials, "mup+sqrt", 1024)

    (warning,) = found.warnings
    assert warning.startswith("learning rate does not transfer: ")
    # One octave down for each octave of width, up to noise: 2^-11 at 32 times the narrowest.
    _, line = warning.split(" The line through its best values meets width 1024 at ")
    assert line.endswith(" (2^-11).")
    assert float(line.split()[0]) == pytest.approx(2**-11, rel=0.04)
    assert predict(trials, "mup+sqrt", 1024).tentative is None


def test_a_file_that_is_no_prediction_is_refused():
    with refused():
        Prediction.from_json({"recipe": "mup+sqrt"})


@pytest.mark.parametrize(
    ("recipe", "target", "proxies", "names"),
    [
        ("mup+sqrt", 32, None, (32, 64)),
        ("mup+sqrt", 64, [32, 64], (64,)),
        ("mup+sqrt", 128, [48], (48, 32, 64)),
        ("mup+sqr", 128, None, ("mup+sqr", "mup+sqrt")),
    ],
)
def test_what_cannot_be_asked_is_refused(trials, recipe, target, proxies, names):
    with refused(*names):
        predict(trials, recipe, target, proxies)


@pytest.mark.parametrize(
    ("grid", "names"),
    [
        ([-6.0], ("2^-7 and 2^-8", "2^-5 and 2^-4", 32)),
        ([-5.0, -4.0, -3.0], ("2^-6 and 2^-7", "2^-5", 32)),
    ],
)
def test_an_undecided_optimum_is_no_prediction(sweep, grid, names):
    with refused(*names):
        predict(sweep()(loss, [32], grid), "mup+sqrt", 64)


def test_mixed_base_widths_are_refused(sweep):
    trials = sweep()(loss, [32, 64], GRID)
    mixed = [dataclasses.replace(t, base_width=t.width) for t in trials]

    with refused():
        predict(mixed, "mup+sqrt", 128)
