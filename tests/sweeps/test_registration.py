"""forecast.json is written before targets train, whole or not at all, and stays what it is."""

import dataclasses
import pathlib

import pytest
from refusals import refused

from sweeps.ladder import EXPERIMENT, trials, write
from transfer import atomic
from transfer.analysis import Forecast, registered_forecast
from transfer.run_directory import FORECAST
from transfer.sweeps import register_forecast, target_size, target_widths
from transfer.training import run_size


@pytest.fixture
def run(tmp_path):
    return write(tmp_path / "run")


def files(run):
    return {
        path.name: path.read_bytes() for path in pathlib.Path(run.path).iterdir() if path.is_file()
    }


def test_a_forecast_is_registered_with_what_it_is_from_and_read_back(run):
    made = register_forecast(run, EXPERIMENT, (96,))
    found, registered = registered_forecast(run)
    content = run.read_json(FORECAST)

    assert found == made
    assert made.widths == (96,)
    assert registered.startswith("20")
    assert len(content["trials"]) == 64
    assert "jax" in content["provenance"]["versions"]


def test_the_size_of_a_target_is_that_of_its_runs():
    """A run's own numbers come from the same function, so that both lie on one axis."""
    size = target_size(EXPERIMENT, 96)
    assert (size.parameters, size.flops) == run_size(EXPERIMENT.single_run())


def test_the_target_and_two_beyond_it_are_forecast_by_default():
    assert target_widths(EXPERIMENT) == (96, 192, 384)
    assert target_widths(EXPERIMENT, [128]) == (128,)
    narrow = dataclasses.replace(EXPERIMENT, model=dataclasses.replace(EXPERIMENT.model, width=32))
    assert target_widths(narrow) == (128, 256, 512)
    with refused("--width", "48", "64"):
        target_widths(EXPERIMENT, [48, 128])


def test_an_earlier_forecast_is_never_overwritten(run):
    register_forecast(run, EXPERIMENT, (96,))
    before = files(run)
    with refused("forecast.json", "--replace", "stays"):
        register_forecast(run, EXPERIMENT, (128,))
    assert files(run) == before

    register_forecast(run, EXPERIMENT, (128,), replace=True)
    register_forecast(run, EXPERIMENT, (192,), replace=True)
    assert Forecast.from_json(run.read_json("forecast.1.json")).widths == (96,)
    assert Forecast.from_json(run.read_json("forecast.2.json")).widths == (128,)
    assert registered_forecast(run)[0].widths == (192,)


@pytest.mark.parametrize("replace", [False, True])
def test_a_target_that_is_trained_gets_no_forecast(run, replace):
    run.add_group("width-96", trials(96), [], [])
    before = files(run)
    with refused("96", "is trained", "no forecast any more", recorded=not replace):
        register_forecast(run, EXPERIMENT, (96,), replace=replace)
    assert files(run) == before


def test_nor_does_one_whose_training_has_begun(run):
    (run.checkpoints / "width-96-0123abcd-6").mkdir(parents=True)
    with refused("96", "has begun to train"):
        register_forecast(run, EXPERIMENT, (96,))
    # A width that begins with the same digits is another one.
    register_forecast(run, EXPERIMENT, (960,))


def test_a_run_that_trains_meanwhile_is_waited_for_by_a_refusal(run):
    with run.exclusive(), refused("one writer at a time", recorded=False):
        register_forecast(run, EXPERIMENT, (96,))
    assert run.read_json(FORECAST) is None


def test_a_forecast_that_is_cut_off_leaves_nothing_and_is_made_again(run, monkeypatch):
    """The process ends between the content and the rename."""
    before = files(run)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            register_forecast(run, EXPERIMENT, (96,))
    assert files(run) == before
    assert register_forecast(run, EXPERIMENT, (96,)) == registered_forecast(run)[0]
