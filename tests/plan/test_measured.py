"""The verdict of `experiments/plan` follows from its table, and would not from another."""

import dataclasses
import functools
import json

import pyarrow.parquet as pq
import pytest

from experiments.plan import run
from experiments.plan.figure import compile_figure
from experiments.plan.judge import judge
from experiments.plan.programs import asked
from experiments.plan.run import HERE, TABLE
from experiments.plan.summary import summary

pytestmark = pytest.mark.skipif(
    not TABLE.exists(), reason="what it judges is made by python -m experiments.plan.run"
)


@functools.cache
def committed():
    return pq.read_table(TABLE).to_pylist()


def changed(part, **values):
    """The table with the last program of a part changed."""
    table = [dict(row) for row in committed()]
    last = max(place for place, row in enumerate(table) if row["part"] == part)
    table[last] |= values
    return table


def test_the_verdict_is_that_of_the_table():
    assert json.loads((HERE / "verdict.json").read_text()) == judge(committed())
    assert summary(committed()) in (HERE / "README.md").read_text()
    assert compile_figure(committed(), judge(committed())).axes


def test_the_table_holds_what_is_asked():
    programs = [(each.part, each.topology, each.trials) for each in asked()]
    assert [(row["part"], row["topology"], row["trials"]) for row in committed()] == programs


def test_what_is_kept_of_a_program_is_of_no_other(tmp_path, monkeypatch):
    small, *_, large = asked()
    monkeypatch.setattr(run, "KEPT", tmp_path)
    assert run.kept(large, lambda program: {"part": program.part})["part"] == large.part
    assert run.kept(small, lambda program: {"part": program.part})["part"] == small.part
    # Neither by its place nor by its name alone.
    wider = dataclasses.replace(small, settings={**small.settings, "model.width": 256})
    assert len({run.digest(each) for each in (small, wider, large)}) == 3
    # And once it is there, it is not compiled again.
    assert run.kept(large, pytest.fail)["part"] == large.part


def test_what_was_to_be_shown_holds():
    verdict = judge(committed())
    assert verdict["no_message_along_trial"]["holds"]
    assert verdict["gathered_layer_by_layer"]["holds"]
    assert verdict["as_lean_as_the_leanest"]["holds"]
    assert all(each["holds"] for each in verdict["7B_fits_with_room"].values())
    compiling = verdict["compiling_takes_as_long"]
    assert compiling["layers"]["holds"]
    assert compiling["trials, one a chip"]["holds"]
    assert compiling["trials on 4 chips, in turn"]["holds"]
    # A finding, and the page says so.
    assert not compiling["trials on 4 chips, vectorised"]["holds"]


@pytest.mark.parametrize(
    ("part", "values", "claim"),
    [
        ("trial axis", {"messages": 1}, "no_message_along_trial"),
        ("trials", {"sent_trial": 4.0}, "no_message_along_trial"),
        ("depth", {"bytes_temporaries": 5e8}, "gathered_layer_by_layer"),
        ("width 2048", {"bytes_temporaries": 1.3e9}, "as_lean_as_the_leanest"),
    ],
)
def test_the_judge_sees_what_would_be_wrong(part, values, claim):
    assert judge(committed())[claim]["holds"]
    assert not judge(changed(part, **values))[claim]["holds"]


def test_the_judge_sees_what_is_full_and_what_grows():
    full = judge(changed("7B", bytes_peak=60 * 2.0**30))
    assert not full["7B_fits_with_room"]["v6e:16x16"]["holds"]
    slow = judge(changed("depth", processor=1e4))
    assert not slow["compiling_takes_as_long"]["layers"]["holds"]
