"""A run directory of every format so far: `formats/NUMBER`, by a version that wrote it."""

import json
from pathlib import Path

import pytest

from transfer.analysis import SweepVerdict
from transfer.report import Report
from transfer.run_directory import FORMAT, RunDirectory

FOLDERS = sorted((Path(__file__).parent / "formats").iterdir())


def test_a_directory_of_every_format_is_kept():
    assert [folder.name for folder in FOLDERS] == [str(number + 1) for number in range(FORMAT)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_tables_are_read_and_judged_as_they_were(folder):
    run = RunDirectory(folder)
    kept = SweepVerdict.from_json(json.loads((folder / "report/verdict.json").read_text()))

    assert run.config()["experiment"]["name"] == f"format_{folder.name}"
    trials = run.trials()
    assert len(trials) == 20  # 2 widths x 5 learning rates x 2 seeds
    assert {trial.optimizer for trial in trials} == {"adamw"}
    steps = {name: set(getattr(run, name)()["step"].to_pylist()) for name in ("metrics", "gains")}
    assert steps == {"metrics": set(range(1, 13)), "gains": {12}}

    found, was = Report.of(run).verdict.recipes["mup+sqrt"], kept.recipes["mup+sqrt"]
    assert found.answer.transfers == was.answer.transfers
    # The fits are least squares, whose last bits depend on the library that makes them.
    for optimum, before in zip(found.optima, was.optima, strict=True):
        assert optimum.best == before.best
        assert optimum.best_loss == pytest.approx(before.best_loss, rel=1e-12)
    for name, sublayer in was.sublayers.items():
        slope = found.sublayers[name].spectrum.slope
        assert slope.value == pytest.approx(sublayer.spectrum.slope.value, abs=1e-9)
    assert len(was.sublayers) == 7
