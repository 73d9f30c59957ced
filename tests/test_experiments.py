"""Committed runs: read by this version, and judged as they were when they were made."""

import dataclasses
from pathlib import Path

import pytest

from transfer.analysis import SweepVerdict
from transfer.cli.flags import recorded_origin
from transfer.report import Report
from transfer.run_directory import RunDirectory

FOLDER = Path(__file__).parents[1] / "experiments"
RUNS = [path.parent for path in sorted(FOLDER.rglob("trials.parquet"))]
# Another library rounds by 2^-53 otherwise, which the vertex of a flat bowl (losses that differ by
# 1e-3 of themselves) magnifies a thousand times and a thousand more where two such are subtracted.
ROUNDING = 1e-9


def assert_same(found, committed, where=""):
    """Compare a verdict field by field: words exactly, numbers to rounding."""
    assert type(found) is type(committed), where
    if dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            each = (getattr(one, field.name) for one in (found, committed))
            assert_same(*each, f"{where}.{field.name}")
    elif isinstance(found, dict):
        assert found.keys() == committed.keys(), where
        for key, value in found.items():
            assert_same(value, committed[key], f"{where}[{key}]")
    elif isinstance(found, list | tuple):
        assert len(found) == len(committed), where
        for place, pair in enumerate(zip(found, committed, strict=True)):
            assert_same(*pair, f"{where}[{place}]")
    elif isinstance(found, float):
        assert found == pytest.approx(committed, rel=ROUNDING, abs=ROUNDING), where
    else:
        assert found == committed, where


def verdicts(folder):
    """What the committed tables say now, and what the committed verdict says."""
    run = RunDirectory(folder)
    committed = SweepVerdict.from_json(run.read_json("verdict.json"))
    report = Report.of(run, task=committed.task, provenance=committed.provenance)
    return report.verdict, committed


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_committed_run_is_judged_number_for_number_as_its_verdict_says(folder):
    found, committed = verdicts(folder)

    if not (folder / "spectrum").exists():
        # Singular values of every setting are too large to be kept.
        kept = {
            name: dataclasses.replace(judged, sublayers={})
            for name, judged in committed.recipes.items()
        }
        committed = dataclasses.replace(committed, recipes=kept)
    assert_same(found, committed)


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_committed_verdict_is_read_back_whole(folder):
    content = RunDirectory(folder).read_json("verdict.json")

    assert SweepVerdict.from_json(content).to_json() == content


def test_a_number_that_is_off_by_more_than_rounding_is_seen():
    found, committed = verdicts(FOLDER / "quickstart")
    spent = committed.compute.proxy_flops
    off = dataclasses.replace(committed.compute, proxy_flops=spent * (1 + 1e-8))

    with pytest.raises(AssertionError, match=r"compute\.proxy_flops"):
        assert_same(
            dataclasses.replace(found, recipes={}),
            dataclasses.replace(committed, recipes={}, compute=off),
        )


def test_the_campaign_keeps_the_spectrum_of_its_settled_runs():
    found, _ = verdicts(FOLDER / "campaign")
    sublayers = found.recipes["mup+sqrt"].sublayers

    assert len(sublayers) == 7
    assert all(each.spectrum.is_settled for each in sublayers.values())


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_committed_run_says_what_it_was_made_for(folder):
    """So that `transfer report --run=experiments/NAME` works, which needs the configuration."""
    run = RunDirectory(folder)
    task, provenance = recorded_origin(run)
    committed = run.read_json("verdict.json")
    assert task == committed["task"]
    assert provenance == committed["provenance"]
