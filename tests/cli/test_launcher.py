import dataclasses
import importlib.util

import jax
import pyarrow.compute as pc
import pytest
from refusals import require_complaint

from transfer.run_directory import RunDirectory

from .terminal import transfer

SWEEP = ("sweep", "--config=tiny.py", "--run=new")


@pytest.fixture(autouse=True)
def platforms():
    """The launcher keeps this process off the accelerators; the tests after these may want them."""
    before = jax.config.jax_platforms
    yield
    jax.config.update("jax_platforms", before)


def test_without_ray_it_is_said_how_to_get_it(refused, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find(name, *rest),
    )
    refused(*SWEEP, "--launcher=ray", names=("--launcher=ray", "width-transfer[ray]"))


@pytest.mark.parametrize(
    "flag", ["--address=auto", "--processes=2", "--gpus=1", "--slices=v6e:2x2"]
)
def test_flags_of_a_cluster_need_one(refused, flag):
    name = flag.partition("=")[0]
    refused(*SWEEP, flag, names=(name, "--launcher=ray"))


def test_a_sweep_on_a_cluster_of_this_machine_has_the_rows_of_one_without(workplace, swept, capsys):
    alone = ("--processes=1", "--cpus=1", "--config.sweep.widths=(8,)")
    assert transfer(*SWEEP, "--launcher=ray", *alone) == 0

    output, error = capsys.readouterr()
    assert error == ""
    assert "Trials are in new/trials.parquet" in output
    here, there = RunDirectory(swept), RunDirectory(workplace / "new")
    expected = {trial.trial: trial for trial in here.trials() if trial.width == 8}
    found = {trial.trial: trial for trial in there.trials()}
    assert len(found) == 5
    assert found.keys() == expected.keys()
    rounded = ("loss", "eval_loss", "wall_seconds", "compile_seconds")
    for name, trial in found.items():
        other = {each: getattr(expected[name], each) for each in rounded}
        # Float32 sums, which the compiler may order otherwise in another process.
        assert trial.loss == pytest.approx(other["loss"], rel=1e-5)
        assert trial.eval_loss == pytest.approx(other["eval_loss"], rel=1e-5)
        assert dataclasses.replace(trial, **other) == expected[name]
    keys = {
        "metrics": ["trial", "step"],
        "spectrum": ["trial", "step", "parameter", "layer", "rank"],
        "gains": ["trial", "step", "parameter", "layer"],
    }
    for table, columns in keys.items():
        left, right = (getattr(run, table)().select(columns) for run in (here, there))
        assert right.num_rows > 0
        assert left.filter(pc.field("trial").isin(list(found))).equals(right)


def test_no_cluster_at_an_address(workplace, capsys):
    # Port 1 of this machine, where nothing listens.
    assert transfer(*SWEEP, "--launcher=ray", "--address=127.0.0.1:1") == 1
    require_complaint(capsys.readouterr().err, "127.0.0.1:1", "ray start --head")


def test_what_is_no_address_of_a_cluster(workplace, capsys):
    assert transfer(*SWEEP, "--launcher=ray", "--address=here") == 1
    require_complaint(capsys.readouterr().err, "here")
