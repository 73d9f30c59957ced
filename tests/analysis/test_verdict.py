import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from refusals import refused

from transfer.analysis import SweepVerdict, judge, predicted_slope, spectrum_slopes
from transfer.run_directory import SPECTRUM_SCHEMA
from transfer.scaling import Recipe

WIDTHS = [32, 64, 128]
GRID = [float(k) for k in range(-9, -3)]


def loss(width, rate, decay):
    return 3.0 + 0.1 * (rate + 6.3) ** 2


def spectrum_of(trials, slope, noise=0.0):
    """Return sigma_1 = m^slope on average over two layers at the last step, junk elsewhere."""
    generator = np.random.default_rng(0)
    rows = []
    for trial in trials:
        for parameter in ("attention.query", "feed_forward.up"):
            for step, layer, rank in np.ndindex(2, 2, 2):
                sigma = (trial.width / 32) ** slope * 2 ** generator.normal(0, noise)
                value = sigma * (0.5, 1.5)[layer] if step and not rank else 17.0 * trial.width
                rows.append((trial.trial, 50 * (step + 1), parameter, layer, rank, value, 0.0))
    names = SPECTRUM_SCHEMA.names
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(rows, schema=SPECTRUM_SCHEMA)


@pytest.mark.parametrize(
    ("recipe", "slope"),
    [
        ("mup+constant", 0.25),
        ("mup+sqrt", 0.0),
        ("mup+independent", -0.25),
        ("mup+0.7", -0.1),
        ("mean_field+sqrt", 0.0),
        ("standard", 0.75),
        ("standard/full+constant", 0.25),
        ("mup/none+constant", 0.5),
        ("mup/none+independent", 0.25),
    ],
)
def test_the_recipe_predicts_the_spectrums_slope(recipe, slope):
    assert predicted_slope(Recipe.parse(recipe)) == pytest.approx(slope)


def test_the_spectrums_slope_is_recovered_at_the_nearest_common_learning_rate(sweep):
    trials = sweep()(loss, WIDTHS, GRID, seeds=2)

    slopes = spectrum_slopes(trials, spectrum_of(trials, 0.3), "mup+sqrt", -6.4)

    assert set(slopes) == {"attention.query", "feed_forward.up"}
    query = slopes["attention.query"]
    assert query.slope.value == pytest.approx(0.3)
    assert query.slope.interval == pytest.approx((0.3, 0.3))
    assert query.log2_learning_rate == -6.0
    assert query.predicted == 0.0
    assert query.is_settled
    assert query.values == pytest.approx({32: 1.0, 64: 2**0.3, 128: 2**0.6})


def test_noise_in_the_spectrum_gives_an_interval_around_the_slope(sweep):
    trials = sweep()(loss, WIDTHS, GRID, seeds=5)

    slope = spectrum_slopes(trials, spectrum_of(trials, 0.3, 0.1), "mup+sqrt", -6)[
        "attention.query"
    ].slope

    assert slope.interval[0] < slope.value < slope.interval[1]
    assert slope.value == pytest.approx(0.3, abs=0.1)


def test_one_unsettled_run_unsettles_the_spectrum(sweep):
    trials = sweep()(loss, WIDTHS, GRID)
    short = [dataclasses.replace(t, decay_times=2.9) if t.width == 64 else t for t in trials]

    slopes = spectrum_slopes(short, spectrum_of(short, 0.0), "mup+sqrt", -6.0)

    assert not slopes["attention.query"].is_settled


def test_spectra_are_compared_where_runs_have_settled(sweep):
    trials = sweep()(loss, WIDTHS, GRID)
    short = [
        dataclasses.replace(t, decay_times=2.9)
        if t.width == 64 and t.learning_rate < 2**-5.5
        else t
        for t in trials
    ]

    slopes = spectrum_slopes(short, spectrum_of(short, 0.0), "mup+sqrt", -6.0)

    assert slopes["attention.query"].is_settled
    assert slopes["attention.query"].log2_learning_rate == -5.0


def test_without_spectra_there_is_no_slope(sweep):
    assert not spectrum_slopes(
        sweep()(loss, WIDTHS, GRID), SPECTRUM_SCHEMA.empty_table(), "mup+sqrt", -6.0
    )


@pytest.fixture(scope="module")
def trials(sweep):
    def drifting(width, rate, decay):
        centre = -6 - 0.8 * np.log2(width / 32)
        return np.inf if rate > -4.5 else 3.1 + 0.1 * (rate - centre) ** 2

    flat = sweep(noise=0.002)(loss, WIDTHS, GRID, seeds=4)
    baseline = sweep(recipe="standard", rates="uniform", decay="constant", noise=0.002)
    predicted = sweep()(loss, [256], [-6.3], seeds=4, origin="predicted")
    return flat + predicted + baseline(drifting, WIDTHS, GRID, seeds=4)


def test_the_verdict_is_plain_json_in_the_documented_shape(trials):
    judged = judge(trials, spectrum_of(trials, 0.0), task="bowls", provenance={"git": "abc"})
    verdict = judged.to_json()

    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict
    assert verdict["task"] == "bowls"
    assert verdict["provenance"] == {"git": "abc"}
    flat, drifting = verdict["recipes"]["mup+sqrt"], verdict["recipes"]["standard"]
    assert flat["transfers"] == "true"
    assert drifting["transfers"] == "false"
    assert set(flat["optimum_log2_learning_rate"]) == {"32", "64", "128"}
    assert set(flat["optimum_log2_learning_rate"]["32"]) == {"value", "interval"}
    assert flat["tentative"] is None
    assert flat["regret"]["128"]["relative_regret"] < 0.01
    assert flat["regret"]["256"]["source"] == "trained"
    assert flat["regret"]["256"]["regret"] is None
    assert flat["spectrum_slope"]["attention.query"]["predicted"] == 0.0
    assert drifting["spectrum_slope"]["attention.query"]["predicted"] == 0.75
    learning_rate = drifting["axes"][0]
    assert (learning_rate["axis"], learning_rate["transfers"]) == ("learning_rate", "false")
    assert learning_rate["slope"]["value"] == pytest.approx(-0.8, abs=0.05)
    first, second = verdict["advice"]
    assert (first["recipe"], second["recipe"]) == ("mup+sqrt", "standard")
    assert first["sentence"].startswith("At width 256 use learning rate 0.013 (2^-6.3) [")
    assert first["prediction"]["warnings"] == []
    assert second["prediction"]["warnings"] != []


def test_a_verdict_is_read_back_as_it_was(sweep, trials):
    def bowl(width, rate, decay):
        return loss(width, rate, decay) + 0.05 * (decay + 3.2) ** 2

    decays = [-5.0, -4.0, -3.0, -2.0]
    cases = {
        "two recipes with a target": trials,
        "decays on both sides of the best": sweep()(
            bowl, WIDTHS, GRID, seeds=2, log2_decays=decays
        ),
        "a best decay on the edge": sweep()(bowl, WIDTHS, GRID, log2_decays=decays[:2]),
        "one seed, undecided": sweep()(loss, WIDTHS, GRID[:3]),
        "one width": sweep()(loss, [32], GRID),
        "nothing but divergence": sweep()(lambda *_: np.inf, WIDTHS, GRID, seeds=2),
    }
    for name, each in cases.items():
        verdict = judge(each, spectrum_of(each, 0.1), task=name, provenance={"versions": ["1"]})

        text = json.dumps(verdict.to_json(), allow_nan=False)

        assert SweepVerdict.from_json(json.loads(text)) == verdict, name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.pop("recipes"),
        lambda content: content["recipes"]["mup+sqrt"].pop("best"),
        lambda content: content["recipes"]["mup+sqrt"].update(regret={"64": {"price": 0.1}}),
        lambda content: content["recipes"].update({"mup+sqrt": "transfers"}),
        lambda content: content["objective"].update(colour="blue"),
    ],
    ids=["nothing", "an older one", "an unknown regret", "a word for a recipe", "an unknown key"],
)
def test_what_is_no_verdict_is_refused_with_a_way_out(trials, spoil):
    content = judge(trials, spectrum_of(trials, 0.0), task="", provenance={}).to_json()
    spoil(content)

    with refused("transfer report"):
        SweepVerdict.from_json(content)


def test_the_proxy_of_a_width_is_the_next_narrower_one(trials):
    judged = judge(trials, spectrum_of(trials, 0.0), task="", provenance={}).recipes["mup+sqrt"]

    assert [judged.proxy(width).width for width in (32, 64, 100, 128, 256)] == [32, 32, 64, 64, 128]


def test_judging_again_gives_the_same_verdict(trials):
    spectrum = spectrum_of(trials, 0.0, 0.1)

    first, again = (judge(trials, spectrum, task="", provenance={}) for _ in range(2))

    assert first == again


def test_compute_on_proxies_is_set_beside_tuning_at_the_target(sweep):
    # flops go with width squared: 5 points at 32 and at 64 against 5 points at 128.
    swept = sweep()(loss, WIDTHS, GRID[:5])
    predicted = sweep()(loss, WIDTHS[:2], GRID[:5]) + sweep()(
        loss, [128], [-6.3], origin="predicted"
    )

    for trials in (swept, predicted):
        compute = judge(trials, spectrum_of(trials, 0.0), task="", provenance={}).compute
        target, ahead = compute.tuning
        assert (target.width, ahead.width) == (128, 8 * 128)
        assert target.ratio == pytest.approx((1 + 4) / 16)
        assert ahead.ratio == pytest.approx((1 + 4) / 16 / 64)


def test_a_single_width_is_undecided_and_json_still(sweep):
    trials = sweep()(loss, [32], GRID)
    verdict = judge(trials, spectrum_of(trials, 0.0), task="", provenance={})

    json.dumps(verdict.to_json(), allow_nan=False)
    assert verdict.recipes["mup+sqrt"].answer.transfers == "undecided"
    assert (verdict.compute.tuning, verdict.compute.proxy_flops) == ((), None)
    assert [each.width for each in verdict.compute.widths] == [32]


def test_everything_diverged_is_undecided_and_json_still(sweep):
    trials = sweep()(lambda *_: np.inf, WIDTHS, GRID, seeds=2)
    verdict = judge(trials, SPECTRUM_SCHEMA.empty_table(), task="", provenance={})

    json.dumps(verdict.to_json(), allow_nan=False)
    assert verdict.recipes["mup+sqrt"].answer.transfers == "undecided"


def test_nothing_swept_is_refused():
    with refused():
        judge([], SPECTRUM_SCHEMA.empty_table(), task="", provenance={})
