"""What the page says and would draw, read before any browser does."""

import hashlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from transfer.analysis import judge
from transfer.analysis.verdict import Objective
from transfer.report.page.looks import colour_variables
from transfer.run_directory import RunDirectory

from .conftest import GRID, RECIPES, SUBLAYERS, WIDTHS, build_run
from .pages import Page, data_of, page_of

CONFIGURATION = {"model": {"width": 512}, "seed": 7}
EVERY = ["loss", "optimum", "decay", "spectrum", "spectrum-training", "curves"]


@pytest.fixture(scope="module")
def content(run):
    return page_of(run, task="synthetic", configuration=CONFIGURATION)


@pytest.fixture(scope="module")
def page(content):
    return Page(content)


@pytest.fixture(scope="module")
def decay_page(decay_run):
    return Page(page_of(decay_run))


@pytest.fixture(scope="module")
def verdict(run):
    return judge(run.trials(), run.spectrum(), task="synthetic", provenance={})


def test_the_verdict_comes_first_in_words(page, verdict):
    figures = page.text.index("Held-out loss against learning rate")
    for recipe, judged in verdict.recipes.items():
        assert page.text.index(judged.answer.reason) < figures
        word = "transfers" if judged.answer.transfers == "true" else "does not transfer"
        assert page.text.index(f"{recipe} {word}") < figures
        told = f"Slope of the best learning rate over width {judged.slope.value:+z.2f} ["
        assert told in page.text
        for regret in judged.regrets:
            if regret.relative_regret is not None:
                told = f"of moving all at width {regret.width} {regret.relative_regret:+.2%} ["
                assert told in page.text
    assert "synthetic" in page.text[:figures]


def test_the_page_begins_with_what_to_do(page, verdict):
    sentence = verdict.advice[0].sentence
    assert sentence.startswith("At width 512 use learning rate 0.0079 (2^-7) [")
    assert page.text.index(sentence) < page.text.index("The best learning rate transfers across")
    told = "mup+constant is advised because its learning rate transfers and its loss at width 256"
    assert told in page.text


def test_configuration_and_provenance_are_at_the_bottom(decay_run):
    page = Page(
        page_of(decay_run, configuration={"model": {"width": 512}}, provenance={"jax": "0.10.2"})
    )
    bottom = page.text[page.text.index("How it was made") :]
    assert "Configuration model width 512" in bottom
    assert "Provenance jax 0.10.2" in bottom


def test_the_page_names_nothing_to_load_and_forbids_to_load_it(content, page):
    assert page.fetches == []
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    for specs in page.figures.values():
        assert "http" not in str(specs)
        assert "url" not in str(specs)
    # The check sees a picture, a style sheet and a font that are elsewhere.
    for planted in (
        '<img src="https://example.org/a.png">',
        '<link rel="stylesheet" href="https://example.org/a.css">',
        "<style>@import 'https://example.org/a.css'</style>",
    ):
        assert len(Page(content.replace("<body>", f"<body>{planted}")).fetches) == 1


def test_text_stays_text(decay_run):
    hostile = "</script><script>alert('x')</script> & \"more\""
    content = page_of(decay_run, task=hostile, configuration={hostile: hostile})
    assert "<script>alert" not in content
    page = Page(content)
    assert page.text.count(" ".join(hostile.split())) == 3


def test_the_same_tables_give_the_same_bytes(decay_run):
    """In this process, and in one whose sets are in another order."""
    content = page_of(decay_run, configuration=CONFIGURATION)
    assert page_of(decay_run, configuration=CONFIGURATION) == content
    code = (
        "import hashlib\n"
        "from tests.report.pages import page_of\n"
        "from transfer.run_directory import RunDirectory\n"
        f"run, configuration = RunDirectory({str(decay_run)!r}), {CONFIGURATION}\n"
        "page = page_of(run, configuration=configuration)\n"
        "print(hashlib.sha256(page.encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12"}
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == hashlib.sha256(content.encode()).hexdigest()


def test_a_figure_is_there_for_all_that_was_recorded(page, decay_page):
    assert list(page.figures) == ["loss", "optimum", "spectrum", "curves"]
    assert list(decay_page.figures) == EVERY
    panels = {key: len(specs) for key, specs in page.figures.items()}
    assert panels == {"loss": 3, "optimum": 1, "spectrum": 3, "curves": 3}
    assert len(decay_page.figures["decay"]) == 2


def test_every_figure_has_its_numbers_as_a_table_and_every_chart_a_description(page, decay_page):
    for each in (page, decay_page):
        tables = [attributes for tag, attributes in each.tags if tag == "table"]
        answers = sum(
            attributes.get("class", "").startswith("answer ") for _, attributes in each.tags
        )
        # An answer has one by width, one of numbers and one by sublayer, or with decay and both
        # jointly two more by width; another holds all that was trained.
        axes = 3 if each is decay_page else 1
        assert len(tables) == len(each.figures) + (axes + 2) * answers + 1
        for specs in each.figures.values():
            assert all(len(spec["description"]) > 20 for spec in specs)


def test_loss_curves_are_means_over_seeds_and_the_star_is_the_transferred_point(run, page, verdict):
    trials = [t for t in run.trials() if t.recipe == "mup+sqrt" and t.origin == "sweep"]
    _, spec, _ = page.figures["loss"]
    rows = data_of(spec, 1)
    assert len(rows) == len(WIDTHS) * len(GRID)
    for row in rows:
        here = [
            trial.eval_loss
            for trial in trials
            if trial.width == row["width"] and math.log2(trial.learning_rate) == row["log2_rate"]
        ]
        # Same sums in another order.
        np.testing.assert_allclose(row["loss"], np.mean(here), rtol=1e-14)
        assert (row["low"], row["high"]) == (min(here), max(here))
    (star,) = data_of(spec, -1)
    target = verdict.recipes["mup+sqrt"].regrets[-1]
    assert target.width == 512
    assert (star["log2_rate"], star["loss"]) == (target.log2_learning_rate, target.loss)


def test_what_diverged_is_a_cross_and_no_curve(page):
    *_, standard = page.figures["loss"]
    crosses = [
        row
        for layer, content in enumerate(standard["layer"])
        if content["mark"].get("strokeWidth") == 1.8
        for row in data_of(standard, layer)
    ]
    assert crosses
    assert all(row["loss"] is None for row in crosses)
    gone = [row for row in data_of(standard, 1) if row["loss"] is None]
    assert len(gone) == len(crosses)
    assert "loss != null" in standard["layer"][1]["transform"][0]["filter"]


def test_predicted_slopes_are_drawn_in(page, verdict):
    for spec, judged in zip(page.figures["spectrum"], verdict.recipes.values(), strict=True):
        left, right = data_of(spec, 2)
        predicted = next(iter(judged.sublayers.values())).spectrum.predicted
        rise = (right["y"] - left["y"]) / (right["x"] - left["x"])
        assert rise == pytest.approx(predicted, abs=1e-12)
        assert right["label"] == f"{predicted:+z.2f}"
        assert len(data_of(spec, 0)) == len(SUBLAYERS) * len(WIDTHS)


def test_every_sublayer_has_its_verdict_in_a_word_and_a_sentence(page, verdict):
    for judged in verdict.recipes.values():
        for name, each in judged.sublayers.items():
            assert f"{name} {each.invariance.answer} {each.invariance.reason}" in page.text
    assert page.text.count("Top singular value over width") == len(verdict.recipes)


def test_maps_show_what_a_setting_costs_beside_the_lowest_loss(decay_run, decay_page):
    trials = decay_run.trials()
    for spec, width in zip(decay_page.figures["decay"], WIDTHS[:2], strict=True):
        rows = data_of(spec, 0)
        assert len(rows) == 5 * 4
        (lowest,) = [row for row in rows if row["lowest"]]
        assert lowest["excess"] == 0.0
        assert min(row["excess"] for row in rows if row["excess"] is not None) == 0.0
        for row in rows:
            here = [
                trial.eval_loss
                for trial in trials
                if (trial.width, trial.learning_rate, trial.weight_decay)
                == (width, row["rate"], row["decay"])
            ]
            if np.isnan(here).all():
                assert row["excess"] is None
            else:
                cost = 100 * (np.mean(here) / lowest["loss"] - 1)
                assert row["excess"] == pytest.approx(cost, abs=1e-9)


def test_singular_values_over_training_are_at_the_setting_of_the_slopes(decay_run, decay_page):
    verdict = judge(decay_run.trials(), decay_run.spectrum(), task="", provenance={})
    (sublayers,) = [judged.sublayers for judged in verdict.recipes.values()]
    (spec,) = decay_page.figures["spectrum-training"]
    rows = data_of(spec, 0)
    assert {row["step"] for row in rows} == {0, 200, 400}
    last = {(row["sublayer"], row["width"]): row["sigma"] for row in rows if row["step"] == 400}
    for name, each in sublayers.items():
        for width, value in each.spectrum.values.items():
            assert last[name, width] == pytest.approx(value, rel=1e-12)


def test_training_curves_are_thinned_but_keep_their_ends(page):
    for spec in page.figures["curves"]:
        rows = data_of(spec, 0)
        for width in {row["width"] for row in rows}:
            steps = [row["step"] for row in rows if row["width"] == width]
            assert steps[-1] == 398
            assert len(steps) <= 240
            assert steps == sorted(set(steps))


def test_losses_are_called_what_the_verdict_calls_them(decay_run):
    objective = Objective("training loss", "nats per image")
    page = Page(page_of(decay_run, objective=objective))
    assert "Training loss against learning rate" in page.text
    assert "Training loss (nats per image)" in page.text
    everything = page.text + str(page.figures)
    assert "held-out" not in everything.lower()
    assert "per token" not in everything


def without(run, path, keep) -> RunDirectory:
    """Copy the trials of a run that are to be kept, without metrics and spectra."""
    copy = RunDirectory(path)
    copy.add_group("kept", [trial for trial in run.trials() if keep(trial)], [], [])
    return copy


def test_without_records_there_are_only_the_figures_of_losses(run, tmp_path):
    page = Page(page_of(without(run, tmp_path, lambda trial: True)))
    assert list(page.figures) == ["loss", "optimum"]


def test_one_width_is_reported_without_a_slope(run, tmp_path):
    page = Page(page_of(without(run, tmp_path, lambda trial: trial.width == 32)))
    assert list(page.figures) == ["loss", "optimum"]
    assert page.text.count("unknown: a slope needs the optimum at two or more widths") == 3
    assert "transferred to width" not in page.text
    assert "unknown: no width was swept below the widest one." in page.text


def test_an_undecided_optimum_is_called_so(run, tmp_path):

    def keep(trial):
        return trial.recipe == "mup+sqrt" and trial.learning_rate < 2**-7

    short = without(run, tmp_path, keep)
    page = Page(page_of(short))
    assert "mup+sqrt undecided" in page.text
    assert list(page.figures) == ["loss"]


def test_a_run_that_only_diverged_is_still_reported(tmp_path):
    class Diverging(type(RECIPES[0])):
        def loss(self, width, rate):
            return float("inf")

    run = build_run(tmp_path, [Diverging("standard", "uniform", 0.0, 0.0, 0.0, "constant")])
    page = Page(page_of(run))
    assert list(page.figures) == ["loss"]
    assert page.text.count("diverged") > len(WIDTHS) * len(GRID)


def test_a_single_seed_has_intervals_and_is_called_tentative(run, tmp_path):
    page = Page(page_of(without(run, tmp_path, lambda trial: trial.seed == 0)))
    (spec,) = page.figures["optimum"]
    assert all(row["low"] < row["best"] < row["high"] for row in data_of(spec, 1))
    # In the headline, in every recipe's answer, and in the advice.
    assert page.text.count("entative: 1 seed, 4 widths") > len(RECIPES)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour as WCAG 2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_marks_and_text_stand_out_from_the_paper(page, place):
    """3 to 1 for marks and 4.5 to 1 for text, as WCAG 2.1 asks."""
    named = dict(re.findall(r"(--[\w-]+): light-dark\((.*?)\);", page.style))
    colours = {name: pair.split(", ")[place] for name, pair in named.items()}
    paper = colours["--paper"]
    marks = colour_variables(len(WIDTHS) + 1)
    assert set(marks) < set(colours)
    assert all(contrast(colours[name], paper) >= 3 for name in marks)
    assert contrast(colours["--focus"], paper) > 3
    for name in ("--ink", "--muted", "--true", "--false", "--undecided"):
        assert contrast(colours[name], paper) > 4.5
        assert contrast(colours[name], colours["--raised"]) > 4.5
    # In order of lightness, which every eye sees.
    shades = [luminance(colours[f"--width-{k}"]) for k in range(len(WIDTHS) + 1)]
    assert shades == sorted(shades, reverse=place == 0)


def test_no_two_series_look_the_same(page):
    for spec in page.figures["spectrum"]:
        line, points = spec["layer"][0]["encoding"], spec["layer"][1]["encoding"]
        looks = zip(
            line["color"]["scale"]["range"],
            map(tuple, line["strokeDash"]["scale"]["range"]),
            points["shape"]["scale"]["range"],
            strict=True,
        )
        assert len(set(looks)) == len(SUBLAYERS)
