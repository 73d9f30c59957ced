"""The verb, from five widths to the judgment, and the cost of a sweep before it runs."""

import dataclasses
import pathlib

import pytest
from sweeps.ladder import trials, write

from transfer.cli.dry_run import budget
from transfer.errors import TransferError
from transfer.run_directory import RunDirectory

from .terminal import transfer, tree


@pytest.fixture
def ladder(tmp_path):
    return write(tmp_path / "ladder")


def test_a_forecast_is_said_first_written_and_said_again(ladder, capsys):
    assert transfer("forecast", f"--run={ladder}") == 0
    first = capsys.readouterr().out.splitlines()
    before = tree(pathlib.Path(ladder.path))
    assert transfer("forecast", f"--run={ladder}") == 0
    again = capsys.readouterr().out.splitlines()

    assert first[0].startswith("At width 96 (")
    assert "held-out loss of" in first[0]
    assert "forecast.json" in first[-1]
    assert again[0].startswith("Registered on 20")
    assert again[1 : len(first)] == first[:-1]
    assert tree(pathlib.Path(ladder.path)) == before


def test_the_report_judges_it_and_draws_it(ladder, capsys):
    assert transfer("forecast", f"--run={ladder}", "--width=96") == 0
    target = [
        dataclasses.replace(trial, origin="predicted", trial=f"predicted {trial.trial}")
        for trial in trials(96)
        if trial.learning_rate == 2.0**-5
    ]
    ladder.add_group("width-96", target, [], [])
    capsys.readouterr()
    assert transfer("report", f"--run={ladder}") == 0
    printed = " ".join(capsys.readouterr().out.split())
    (judged,) = ladder.read_json("report/forecast.json")["targets"]
    page = (ladder.report / "report.html").read_text()

    assert "came to" in printed
    assert "inside" in printed
    assert judged["inside"] is True
    assert judged["runs"] == 2
    assert (ladder.report / "forecast.png").exists()
    assert "came inside the forecast" in page


def test_a_run_elsewhere_judges_it_too(ladder, tmp_path, capsys):
    elsewhere = RunDirectory(tmp_path / "target")
    elsewhere.add_group("width-96", trials(96)[2:3], [], [])
    assert transfer("forecast", f"--run={ladder}") == 0
    assert transfer("forecast", f"--run={ladder}", f"--target={elsewhere}") == 0
    assert "came to" in capsys.readouterr().out


def test_a_sweep_of_two_widths_is_refused_with_what_is_missing(refused, run):
    refused("forecast", "--run=swept", "--width=32", names=("2 widths", "8, 16", "add 3"))


@pytest.mark.parametrize("width", ["x", "0", "16,x"])
def test_a_width_that_is_none_is_refused(refused, run, width):
    refused("forecast", "--run=swept", f"--width={width}", names=("--width",))


def test_a_narrow_target_is_refused(refused, run):
    refused("forecast", "--run=swept", "--width=16", names=("--width", 16))


def test_a_dry_run_says_what_is_done_and_writes_nothing(run, capsys):
    before = tree(run)
    assert transfer("sweep", "--config=tiny.py", "--run=swept", "--dry_run", "--budget=1e12") == 0
    printed = capsys.readouterr().out
    words = " ".join(printed.split())

    assert tree(run) == before
    assert words.startswith("10 trials take")
    assert "10 are done" in words
    assert "width 32" in words
    assert "expected regret" in words
    rows = [line.split()[:3] for line in printed.splitlines()]
    assert ["8", "5", "5"] in rows
    assert ["16", "5", "5"] in rows


def test_a_dry_run_of_an_adaptive_search_counts_its_trials_at_most(run, capsys):
    adaptive = (
        "--config.sweep.search=adaptive",
        "--config.sweep.space.learning_rate=(0.01, 0.1)",
        "--config.sweep.trials=8",
    )
    assert transfer("sweep", "--config=tiny.py", "--run=swept", "--dry_run", *adaptive) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("At most 16 trials take")
    assert "by 8 trials" in printed


def test_a_budget_proposes_and_trains_nothing(refused, workplace):
    refused("sweep", "--config=tiny.py", "--run=new", "--budget=1e12", names=("--dry_run",))
    assert not (workplace / "new").exists()


def test_budgets_are_flops_or_time():
    assert budget("1e15")[0] == 1e15
    assert budget("90s")[1] == 90
    assert budget("1.5h")[1] == 5400
    for wrong in ("", "x", "-1", "0", "3d", "1e400x"):
        with pytest.raises(TransferError, match="--budget is"):
            budget(wrong)
