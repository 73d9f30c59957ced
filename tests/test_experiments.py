"""Committed runs: read by this version, and judged as they were when they were made."""

from pathlib import Path

import pytest

from transfer.report import Report
from transfer.run_directory import RunDirectory

FOLDER = Path(__file__).parents[1] / "experiments"
RUNS = [path.parent for path in sorted(FOLDER.rglob("trials.parquet"))]


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_committed_run_is_judged_as_its_verdict_says(folder):
    run = RunDirectory(folder)
    committed = run.read_json("verdict.json")["recipes"]

    found = Report.of(run).verdict["recipes"]

    assert found.keys() == committed.keys()
    for recipe, judged in found.items():
        was = committed[recipe]
        assert judged["transfers"] == was["transfers"]
        # Bits of a least-squares fit depend on the library that made it.
        assert judged["slope"] == pytest.approx(was["slope"], abs=1e-6)
        for name, slope in judged["spectrum_slope"].items():
            assert slope["value"] == pytest.approx(was["spectrum_slope"][name]["value"], abs=1e-6)


def test_the_campaign_keeps_the_spectrum_of_its_settled_runs():
    slopes = Report.of(RunDirectory(FOLDER / "campaign")).verdict["recipes"]["mup+sqrt"]

    assert len(slopes["spectrum_slope"]) == 7
    assert all(slope["settled"] for slope in slopes["spectrum_slope"].values())
