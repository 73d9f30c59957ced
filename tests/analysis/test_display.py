"""How answers show themselves in a notebook: what is known, and why the rest is not."""

import dataclasses

from cells import cells_of, text_of

from transfer.analysis import (
    Estimate,
    SpectrumSlope,
    WidthSweep,
    calibrate,
    find_optimum,
    judge_invariance,
    judge_transfer,
    optimum_slope,
    predict,
)
from transfer.scaling import Recipe

GRID = [float(k) for k in range(-9, -3)]


def loss(width, rate, decay):
    return 3.0 + 0.1 * (rate + 6) ** 2


def test_an_optimum_shows_its_interval_and_the_best_run(sweep):
    found = find_optimum(sweep(noise=0.01)(loss, [32], GRID, seeds=4), "mup+sqrt", 32)
    low, high = found.log2_learning_rate.interval
    shown = found._repr_html_()

    assert "The optimum at one width" in text_of(shown)
    assert cells_of(shown) == [
        ["width 32", "mup+sqrt"],
        ["best learning rate", f"0.015 (2^-6) [{2**low:#.2g}, {2**high:#.2g}]"],
        [
            "best that was run",
            f"learning rate 0.016 (2^-6), decay 0.125: loss {found.best_loss:.4f}",
        ],
    ]


def test_an_optimum_says_why_something_is_unknown(sweep):
    edge = find_optimum(sweep()(loss, [32], [-5.0, -4.0, -3.0]), "mup+sqrt", 32)
    gone = find_optimum(sweep()(lambda *_: float("inf"), [32], GRID), "mup+sqrt", 32)
    bare = dataclasses.replace(edge, log2_learning_rate=Estimate(-6.0, reason="it was lost"))

    assert "undecided: the best learning rate is the smallest: add" in text_of(edge._repr_html_())
    assert "every run diverged" in text_of(gone._repr_html_())
    assert "0.016 (2^-6) (no interval: it was lost)" in text_of(bare._repr_html_())


def test_an_optimum_in_decay_too_has_a_row_for_it(sweep):
    def bowl(width, rate, decay):
        return loss(width, rate, decay) + 0.05 * (decay + 3.2) ** 2

    decays = [-5.0, -4.0, -3.0, -2.0]
    swept = sweep()(bowl, [32], GRID, log2_decays=decays)
    inside = cells_of(find_optimum(swept, "mup+sqrt", 32)._repr_html_())
    edge = cells_of(
        find_optimum(
            sweep()(bowl, [32], GRID, log2_decays=decays[:2]), "mup+sqrt", 32
        )._repr_html_()
    )

    assert inside[2][0] == "best decay"
    assert inside[2][1].startswith("0.11 [0.1")  # 2^-3.2 is 0.109
    assert edge[-1][0] == "note"
    assert edge[-1][1].startswith("weight decay stays at 0.0625")


def test_the_plain_text_of_an_optimum_is_short(sweep):
    found = find_optimum(sweep()(loss, [32], GRID), "mup+sqrt", 32)
    assert len(repr(found)) < 800


def test_a_prediction_is_what_to_train_with(sweep):
    trials = sweep(noise=0.01)(loss, [32, 64], GRID, seeds=4, readout_output=4.0)
    found = predict(trials, "mup+sqrt", 512)
    low, high = found.log2_learning_rate_interval
    shown = found._repr_html_()

    interval = f"[{2**low:#.2g}, {2**high:#.2g}]"
    assert text_of(shown) == (
        f"At width 512 use learning rate 0.015 (2^-6) {interval}, decay 0.125 and readout output "
        "x 4 under mup+sqrt. "
        + "".join(f"Warning: {each} " for each in found.warnings)
        + "Tentative: 4 seeds, 2 widths. Expected regret at width 512: "
        f"{found.forecast.text('.2%')} of the lowest loss that tuning there would find. These are "
        "values of config.hyperparameters, which hold at the base width 32; the recipe rescales "
        "them to every other width. Assumed: the optimum at width 64, moved unchanged Assumed: "
        "decay 0.125 and readout output x 4, which the sweep did not vary"
    )


def test_what_a_prediction_says_is_escaped(sweep):
    found = predict(sweep()(loss, [32], GRID), "mup+sqrt", 64)
    hostile = dataclasses.replace(found, notes=("<b>5 < 6</b>",))

    assert "<b>" not in hostile._repr_html_()
    assert "Assumed: <b>5 < 6</b>" in text_of(hostile._repr_html_())


def test_verdicts_are_their_sentences(sweep):
    drift = SpectrumSlope(Estimate(0.27, (0.24, 0.29)), 0.25, {32: 9.0, 64: 9.0}, -6.0, {})
    young = dataclasses.replace(drift, decay_times={32: 9.0, 64: 2.0})
    sweeps = [WidthSweep.of(sweep()(loss, [w], GRID), "mup+sqrt", w) for w in (32, 64)]
    judged = judge_transfer([each.optimum for each in sweeps], optimum_slope(sweeps), [])

    assert judge_invariance(drift, "mup+constant")._repr_html_() == (
        "<p>Drifts as predicted: sigma_1 ~ width^+0.27 [+0.24, +0.29], where +0.25 is predicted; p "
        "is 0.77 [0.74, 0.79], for which decay ~ width^0.54 [0.48, 0.58] keeps it level under "
        "muP&#x27;s rates.</p>"
    )
    assert "Not settled, so not judged" in judge_invariance(young, "mup+constant")._repr_html_()
    assert text_of(judged._repr_html_()) == judged.reason


def test_a_calibration_is_a_paragraph_per_note():
    sigma = {
        # The last width is a bit off, since a law that holds exactly leaves nothing to compare.
        "up": {width: {0: 1.0, 1: 1.1} for width in (64, 128)} | {256: {0: 1.01, 1: 1.1}},
        "down": {width: {0: width**0.25, 1: width**0.25} for width in (64, 128, 256)},
    }
    found = calibrate(sigma, Recipe("mup"), dict.fromkeys((64, 128, 256), 5.0), base_width=64)
    shown = found._repr_html_()

    assert shown.count("<p>") == len(found.notes) == 3
    assert shown.startswith("<p>Decay exponents measured at widths 64, 128 and verified at 256")
