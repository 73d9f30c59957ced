"""Tables and run directories in one run directory, with the verbs that work on it."""

import dataclasses
import json
import math
import pathlib

import pytest
from refusals import refused

from transfer.cli.main import main
from transfer.run_directory import RunDirectory
from transfer.sweeps.results import combine

from . import table
from .table import ROWS


@pytest.fixture
def results(tmp_path: pathlib.Path) -> pathlib.Path:
    return table.write_csv(tmp_path / "results.csv")


def transfer(*arguments: object) -> int:
    return main(["transfer", *map(str, arguments)])


def test_the_verbs_judge_and_predict_from_a_table(tmp_path, results, capsys):
    run = tmp_path / "run"
    assert transfer("report", f"--table={results}", f"--run={run}") == 0
    said = capsys.readouterr().out
    assert f"{results}: 72 runs; read learning_rate from lr, eval_loss from val_loss." in said
    assert "At width 2048 use learning rate 0.01" in said
    assert "decay" not in said.partition("Verdict")[0].partition("At width")[2].partition("\n")[0]
    verdict = json.loads((run / "report" / "verdict.json").read_text())
    assert verdict["recipes"]["results"]["transfers"] == "true"
    assert (run / "report" / "report.html").exists()
    assert (run / "report" / "loss_vs_learning_rate.png").exists()
    assert transfer("predict", f"--run={run}", "--width=1024") == 0
    said = capsys.readouterr().out
    assert "base width" not in said
    prediction = json.loads((run / "hyperparameters.json").read_text())
    assert prediction["log2_learning_rate"] == pytest.approx(-6, abs=0.1)
    assert prediction["target_width"] == 1024


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("predict", "--width=1024", "--layers=8"), ("--layers",)),
        (("predict", "--width=1024", "--decay=measured"), ("--decay",)),
        (("forecast", "--width=1024"), ("configuration",)),
        (("report", "--columns=width=dim"), ("--columns", "--table")),
        (("report", "--columns=width", "--table=a.csv"), ("width=dim",)),
    ],
)
def test_what_takes_more_than_a_table_is_refused(tmp_path, results, capsys, arguments, names):
    run = tmp_path / "run"
    combine(RunDirectory(run), [results])
    verb, *flags = arguments
    assert transfer(verb, f"--run={run}", *flags) == 1
    error = capsys.readouterr().err
    assert all(name in error for name in names)
    assert error.count("\n") == 1


def test_hostile_text_stays_text(tmp_path, capsys):
    hostile = "</script><script>alert('x')</script> $\\frac{$ [bold] {{ 7 * 7 }}"
    rows = [row | {"recipe": hostile} for row in ROWS]
    run, source = tmp_path / "run", table.write_csv(tmp_path / "a.csv", rows)
    assert transfer("report", f"--table={source}", f"--run={run}") == 0
    assert "[bold]" in capsys.readouterr().out
    page = (run / "report" / "report.html").read_text()
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in page
    assert (run / "report" / "optimum_vs_width.png").exists()


def test_tables_are_combined_and_combining_again_replaces(tmp_path, results):
    run = RunDirectory(tmp_path / "run")
    other = [row | {"width": 2 * row["width"], "recipe": "other"} for row in ROWS]
    more = table.write_lines(tmp_path / "more.jsonl", other)
    for _ in range(2):
        notes = combine(run, [results, more])
        assert len(notes) == 2
        assert len(run.trials()) == 144
        assert {trial.recipe for trial in run.trials()} == {"results", "other"}
    combine(run, [results])
    assert len(run.trials()) == 72
    assert run.config()["sources"][0]["rows"] == 72


def test_names_that_two_tables_share_are_told_apart(tmp_path):
    parts = [
        [row | {"name": f"run-{place}"} for place, row in enumerate(ROWS) if row["width"] == width]
        for width in (64, 128)
    ]
    renamed = [[row | {"name": f"run-{place}"} for place, row in enumerate(part)] for part in parts]
    sources = [table.write_csv(tmp_path / f"{i}.csv", part) for i, part in enumerate(renamed)]
    run = RunDirectory(tmp_path / "run")
    combine(run, sources, {"recipe": ""})
    assert len({trial.trial for trial in run.trials()}) == 48


def test_one_width_is_refused_and_nothing_written(tmp_path):
    rows = [row for row in ROWS if row["width"] == 64]
    source = table.write_csv(tmp_path / "a.csv", rows)
    with refused(64, 24):
        combine(RunDirectory(tmp_path / "run"), [source])
    assert not (tmp_path / "run").exists()


def test_a_directory_of_others_is_left_alone(tmp_path, results):
    (tmp_path / "sweep").mkdir()
    run = RunDirectory(tmp_path / "sweep")
    run.write_config({"kind": "sweep"})
    with refused(run, "sweep", "--run"):
        combine(run, [results])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with refused(tmp_path / "notes", "config.json"):
        combine(RunDirectory(tmp_path / "notes"), [results])
    with refused(results):
        combine(RunDirectory(results), [results])
    made = RunDirectory(tmp_path / "made")
    combine(made, [results])
    with refused(made, "--run"):
        combine(made, [made.path])


def part_of(folder: pathlib.Path, rows: list[dict], **content: object) -> RunDirectory:
    """A run directory as a sweep leaves it, with some of the trials."""
    run = RunDirectory(folder)
    combine(run, [table.write_csv(folder.with_suffix(".csv"), rows)], {"recipe": ""})
    measured = [
        {"trial": trial.trial, "step": 1, "loss": 3.0, "grad_norm": 1.0, "learning_rate": 0.1}
        for trial in run.trials()
    ]
    run.replace(run.trials(), metrics=measured)
    run.write_config({"kind": "sweep", **content})
    return run


def experiment(widths: list[int], **change: object) -> dict:
    return {
        "name": "part",
        "model": {"width": 512},
        "sweep": {"widths": widths, "recipes": ["a"], "seeds": [0], "objective": "eval_loss"},
        "training": {"steps": 10},
        **change,
    }


def test_parts_of_a_sweep_become_one_with_curves_and_configuration(tmp_path):
    pairs = ((64, 128), (128, 256))
    parts = [
        part_of(
            tmp_path / f"part{place}",
            [row | {"name": str(row)} for row in ROWS if row["width"] in pair],
            experiment=experiment(list(pair), name=f"part {place}"),
            data_fingerprint="0f3a",
        )
        for place, pair in enumerate(pairs)
    ]
    # A recipe of each table's name would part them.
    for part in parts:
        part.replace(
            [
                dataclasses.replace(trial, recipe="mine", parametrization="mine")
                for trial in part.trials()
            ],
            metrics=part.metrics().to_pylist(),
        )
    whole = RunDirectory(tmp_path / "whole")
    combine(whole, [part.path for part in parts])
    assert len(whole.trials()) == 72
    assert whole.metrics().num_rows == 72
    content = whole.config()
    assert content["experiment"]["sweep"]["widths"] == [64, 128, 256]
    assert content["data_fingerprint"] == "0f3a"


def test_runs_of_other_data_or_other_configuration(tmp_path):
    first = part_of(
        tmp_path / "a",
        [row | {"name": f"a {row}"} for row in ROWS],
        experiment=experiment([64]),
        data_fingerprint="0f3a",
    )
    second = part_of(
        tmp_path / "b",
        [row | {"name": f"b {row}"} for row in ROWS],
        experiment=experiment([64], training={"steps": 20}),
        data_fingerprint="0f3a",
    )
    whole = RunDirectory(tmp_path / "whole")
    combine(whole, [first.path, second.path])
    assert "experiment" not in whole.config()
    second.write_config({"kind": "sweep", "data_fingerprint": "77aa"})
    with refused(first, second, "0f3a", "77aa"):
        combine(whole, [first.path, second.path])


def test_a_trial_with_two_results_is_refused(tmp_path):
    named = [row | {"name": str(place)} for place, row in enumerate(ROWS)]
    first = part_of(tmp_path / "a", named)
    second = part_of(tmp_path / "b", [row | {"val_loss": math.pi} for row in named])
    with refused(0):
        combine(RunDirectory(tmp_path / "whole"), [first.path, second.path])
