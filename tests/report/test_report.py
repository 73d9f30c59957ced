import json
import subprocess
import sys

import pytest
from refusals import refused

from transfer.analysis import SweepVerdict, optimum
from transfer.report import write_report
from transfer.run_directory import RunDirectory

from .conftest import RECIPES, build_run

FIGURES = (
    "loss_vs_learning_rate",
    "optimum_vs_width",
    "singular_values_vs_width",
    "training_curves",
)


@pytest.fixture(scope="module")
def verdict(run):
    return write_report(run, task="synthetic", provenance={"seed": 0})


def png_size(image: bytes) -> tuple[int, int]:
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])


def test_the_verdict_is_written_as_returned(run, verdict):
    assert SweepVerdict.from_json(run.read_json("report/verdict.json")) == verdict
    assert verdict.task == "synthetic"
    answers = {recipe: judged.answer.transfers for recipe, judged in verdict.recipes.items()}
    assert answers == {"mup+sqrt": "true", "mup+constant": "true", "standard": "false"}


def test_every_figure_is_a_whole_png(run, verdict):
    names = {file.name for file in run.report.iterdir()}
    assert names == {f"{name}.png" for name in FIGURES} | {"verdict.json", "report.html"}
    for name in FIGURES:
        image = (run.report / f"{name}.png").read_bytes()
        width, height = png_size(image)
        assert 1100 <= width <= 2000
        assert 500 <= height <= 600
        assert len(image) > 20_000


def test_the_widths_of_a_recipe_are_fitted_once_for_the_verdict_and_all_that_is_drawn(
    tmp_path, monkeypatch
):
    run = build_run(tmp_path, RECIPES[:2])
    fitted = []
    original = optimum.fit_surfaces

    def counted(widths):
        fitted.append(len(widths))
        return original(widths)

    monkeypatch.setattr(optimum, "fit_surfaces", counted)

    verdict = write_report(run, task="", provenance={})

    assert fitted == [len(judged.optima) for judged in verdict.recipes.values()]


def test_writing_again_changes_nothing(run, verdict):
    files = {file.name: file.read_bytes() for file in run.report.iterdir()}

    write_report(run, task="synthetic", provenance={"seed": 0})

    assert {file.name: file.read_bytes() for file in run.report.iterdir()} == files


def test_without_trials_nothing_is_written(tmp_path):
    with refused(tmp_path):
        write_report(RunDirectory(tmp_path), task="", provenance={})

    assert not list(tmp_path.iterdir())


def test_without_records_there_are_only_the_figures_of_losses(tmp_path):
    run = build_run(tmp_path, RECIPES[:1], records=False)

    write_report(run, task="", provenance={})

    assert {file.name for file in run.report.iterdir()} == {
        "verdict.json",
        "report.html",
        "loss_vs_learning_rate.png",
        "optimum_vs_width.png",
    }


def test_a_run_that_only_diverged_is_still_reported(tmp_path):
    class Diverging(type(RECIPES[0])):
        def loss(self, width, rate):
            return float("inf")

    run = build_run(tmp_path, [Diverging("standard", "uniform", 0.0, 0.0, 0.0, "constant")])

    verdict = write_report(run, task="", provenance={})

    json.dumps(verdict.to_json(), allow_nan=False)
    assert verdict.recipes["standard"].answer.transfers == "undecided"
    assert (run.report / "loss_vs_learning_rate.png").exists()


def test_importing_the_report_is_quick():
    heavy = {"altair", "jax", "jinja2", "matplotlib", "rich", "vl_convert"}
    check = f"import sys, transfer.report; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
