"""`transfer runs` and `transfer compare`: several run directories at a glance."""

import dataclasses
import os
import re
import shutil
import socket

import pytest

from transfer.run_directory import RunDirectory

from .terminal import transfer


@pytest.fixture
def better(swept, tmp_path):
    """A copy of the sweep with losses lower by a tenth and one setting changed."""
    folder = tmp_path / "b"
    shutil.copytree(swept, folder)
    run = RunDirectory(folder)
    lowered = [dataclasses.replace(t, eval_loss=0.9 * t.eval_loss) for t in run.trials()]
    run.add_group("width-8-copy", lowered, [], [])
    content = run.config()
    content["experiment"]["training"]["warmup"] = 5
    run.write_json("config.json", content)
    return folder


def test_two_runs_side_by_side(swept, better, capsys):
    assert transfer("compare", str(swept), str(better)) == 0
    output = capsys.readouterr().out
    assert "training.warmup: 2 in A, 5 in B" in output
    assert len(re.findall(r"-10\.00 ?%", output)) == 2
    assert "model.width" not in output


def test_a_run_beside_itself(swept, capsys):
    assert transfer("compare", str(swept), str(swept)) == 0
    output = capsys.readouterr().out
    assert "Their settings are the same." in output
    assert len(re.findall(r"\+0\.00 ?%", output)) == 2


def test_losses_of_other_data_are_not_compared(swept, better, capsys):
    run = RunDirectory(better)
    run.write_json("config.json", {**run.config(), "data_fingerprint": "another"})
    assert transfer("compare", str(swept), str(better)) == 0
    output = capsys.readouterr().out
    assert "Their data differ" in output
    assert "%" not in output


def test_one_run_is_not_enough(refused, swept):
    refused("compare", str(swept), names=("transfer compare RUN OTHER_RUN",))


def test_runs_below_a_folder(swept, better, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert transfer("report", f"--run={better}") == 0
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    RunDirectory(tmp_path / "deep" / "new").write_config({"experiment": {"name": "fresh"}})
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    capsys.readouterr()
    assert transfer("runs", str(tmp_path)) == 0
    rows = {
        line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:] if line.strip()
    }
    assert "tiny" in rows["b"]
    assert "idle" in rows["b"]
    assert "mup+sqrt" in rows["b"]
    assert "nothing trained yet" in rows["deep/new"]
    assert "cannot be read" in rows["broken"]
    assert "deep/empty" not in rows
    with RunDirectory(better).exclusive():
        assert transfer("runs", str(tmp_path)) == 0
        assert (
            f"training (process {os.getpid()} on {socket.gethostname()})" in capsys.readouterr().out
        )


def test_a_folder_without_runs(refused, tmp_path, capsys):
    assert transfer("runs", str(tmp_path)) == 0
    assert "No run directory" in capsys.readouterr().out
    refused("runs", "nowhere", names=("nowhere",))
