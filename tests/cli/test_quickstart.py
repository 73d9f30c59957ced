"""The quickstart in small: every stage runs, and running it again goes on from what is done."""

import contextlib
import io
import json
import os
import re
import signal
from unittest import mock

import pytest
from training.tiny import Tiny

from transfer import termination
from transfer.cli.console import SweepProgress
from transfer.config import Experiment
from transfer.run_directory import RunDirectory

from .terminal import transfer, tree

RECIPES = ("mup+sqrt", "standard")
TARGET = 32


def quickstart(config, run, recipes=RECIPES):
    return transfer(
        "quickstart",
        f"--config={config}",
        f"--run={run}",
        f"--config.model.width={TARGET}",
        "--config.sweep.widths=(8, 16)",
        f"--config.sweep.recipes={recipes}",
        "--config.sweep.space.learning_rate=(0.015625, 0.0625, 0.25, 1.0)",
    )


@pytest.fixture(scope="module", autouse=True)
def small():
    """Trains a model of three matrices, which compiles in half the time."""
    with mock.patch.object(Experiment, "at", lambda self, width: Tiny(width=width)):
        yield


@pytest.fixture(scope="module")
def shown(folder, config):
    """What the terminal shows, in a file: there is no terminal here."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert quickstart(config, folder / "quickstart") == 0
    return output.getvalue()


@pytest.fixture(scope="module")
def run(folder, shown):
    return folder / "quickstart"


@pytest.fixture(scope="module")
def verdict(run):
    return json.loads((run / "report/verdict.json").read_text())


def test_one_that_is_asked_to_stop_saves_what_it_trains_and_goes_on(
    folder, config, capsys, monkeypatch
):
    """In the midst of the sweep at the target, whose groups no configuration declares."""
    # Nobody looks at the report.
    monkeypatch.setattr("transfer.report.write_report", lambda *_, **__: {})
    monkeypatch.setattr("transfer.cli.console.show_verdict", lambda *_: None)
    run, heard, asked = folder / "terminated", [], []

    class Told(SweepProgress):
        def step(self, group, fraction, loss):
            super().step(group, fraction, loss)
            heard.append((group.shape.width, fraction))
            if not asked and heard[-1] == (TARGET, 4 / 12):
                asked.append(True)
                os.kill(os.getpid(), signal.SIGTERM)

    with mock.patch("transfer.cli.console.SweepProgress", Told):
        assert quickstart(config, run, recipes=RECIPES[:1]) == termination.STATUS
        said = capsys.readouterr().err
        assert heard[-1][0] == TARGET
        heard.clear()
        (saved,) = (run / "checkpoints").iterdir()
        assert quickstart(config, run, recipes=RECIPES[:1]) == 0
    assert re.fullmatch(
        r"transfer quickstart: It was asked to stop after step \d+ of 12, which is saved; "
        r"the same command goes on from there\.\n",
        said,
    )
    assert heard[0][0] == TARGET
    assert heard[0][1] > 4 / 12
    assert not saved.exists()


def test_both_recipes_are_swept_below_the_target(run):
    swept = {
        (trial.recipe, trial.width)
        for trial in RunDirectory(run).trials()
        if trial.origin == "sweep"
    }
    assert swept == {(recipe, width) for recipe in RECIPES for width in (8, 16, TARGET)}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_target_is_trained_with_what_was_predicted_and_checked_against_a_sweep(
    run, verdict, recipe
):
    at_target = [
        trial
        for trial in RunDirectory(run).trials()
        if (trial.recipe, trial.width) == (recipe, TARGET)
    ]
    (predicted,) = [trial for trial in at_target if trial.origin == "predicted"]
    assert len(at_target) >= 4
    shot = verdict["recipes"][recipe]["regret"][str(TARGET)]
    assert shot["source"] == "trained"
    assert 2 ** shot["log2_learning_rate"] == pytest.approx(predicted.learning_rate)
    # Losses are read off the bowl that is fitted to all trials of that width.
    assert shot["loss"] == pytest.approx(predicted.eval_loss, rel=0.05)
    others = [trial.eval_loss for trial in at_target if trial.origin == "sweep"]
    assert shot["best_loss"] == pytest.approx(min(others), rel=0.05)


def test_the_prediction_of_the_configured_recipe_is_kept(run):
    prediction = json.loads((run / "hyperparameters.json").read_text())
    assert (prediction["recipe"], prediction["target_width"]) == ("mup+sqrt", TARGET)
    assert prediction["proxy_widths"] == [8, 16]


def test_the_terminal_begins_with_the_plan_and_ends_with_the_verdict_and_its_figures(
    shown, run, verdict
):
    first, *middle, last = shown.strip().splitlines()
    assert first.startswith("Training 4 learning rates x 1 seeds at widths 8, 16 for")
    figures = sorted((run / "report").glob("*.png"))
    assert len(figures) >= 3
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    assert last.startswith(f"Verdict: {run}/report/verdict.json")
    assert all(figure.name in last for figure in figures)
    assert set(verdict["recipes"]) == set(RECIPES)
    for recipe in RECIPES:
        assert any(line.startswith(f"{recipe}: ") for line in middle)


def test_what_is_written_to_a_file_has_no_control_characters(shown):
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_a_second_run_trains_nothing_and_finds_the_same(run, config, monkeypatch):
    before = tree(run)
    (run / "checkpoints/width-8-01234567").mkdir()  # which nothing goes on from
    monkeypatch.setattr("transfer.sweeps.runner.train", None)
    assert quickstart(config, run) == 0
    assert tree(run) == before
