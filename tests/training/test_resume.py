import contextlib
import dataclasses
import functools
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from refusals import refused

from transfer.termination import TerminatedError
from transfer.training import Checkpoints, Population, restore_parameters
from transfer.training.kept_programs import KeptPrograms

from . import killed, tiny
from .tiny import SETTINGS, STEPS

TESTS = pathlib.Path(__file__).parents[1]
train = functools.partial(tiny.train, kept=KeptPrograms(most=16))


@pytest.fixture(scope="module")
def uninterrupted():
    return train()


def interrupt_at(step):
    def progress(fraction, loss):
        if round(fraction * STEPS) >= step:
            raise KeyboardInterrupt

    return progress


def resume(folder, **changes):
    """Train on from the folder; returns the outcome and the steps at which there was progress."""
    steps = []
    with Checkpoints(folder) as checkpoints:
        outcome = train(
            checkpoints=checkpoints,
            progress=lambda fraction, loss: steps.append(round(fraction * STEPS)),
            **changes,
        )
    return outcome, steps


@pytest.fixture(scope="module")
def finished(tmp_path_factory, uninterrupted):
    """The checkpoints of a finished run, which changed nothing of it."""
    folder = tmp_path_factory.mktemp("finished")
    outcome, _ = resume(folder, checkpoint_every=8)
    require_same_bits(uninterrupted, outcome)
    return folder


def require_same_bits(one, other):
    for name, values in one.history.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, other.history[name])
    np.testing.assert_array_equal(one.held_out["loss"], other.held_out["loss"])
    for path, values in one.spectrum.items():
        np.testing.assert_array_equal(values, other.spectrum[path])
    jax.tree.map(np.testing.assert_array_equal, one.state, other.state)


@pytest.mark.parametrize(
    ("checkpoint_every", "interrupted_at", "steps"),
    [
        (8, 16, [16, 20]),  # with every word of progress
        (12, 20, [20]),  # not a multiple of log_every
        (5, 15, [15, 20]),  # more often than log_every
        (3, 2, [3, 6, 9, 12, 15, 18, 20]),  # before the first checkpoint
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path, uninterrupted, checkpoint_every, interrupted_at, steps
):
    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path) as checkpoints:
        train(
            checkpoints=checkpoints,
            checkpoint_every=checkpoint_every,
            progress=interrupt_at(interrupted_at),
        )
    outcome, done = resume(tmp_path, checkpoint_every=checkpoint_every)

    # What was done before the checkpoint is not done again, and nothing after it is left out.
    assert done == steps
    require_same_bits(uninterrupted, outcome)


def test_a_resumed_run_holds_no_state_but_the_restored_one(finished, monkeypatch):
    given, compile_population = [], Population.compile
    restore = Checkpoints.restore

    def without_init(population, *arguments):
        return dataclasses.replace(compile_population(population, *arguments), init=None)

    def keep(checkpoints, state, history):
        given.extend(jax.tree.leaves(state))
        return restore(checkpoints, state, history)

    monkeypatch.setattr(Population, "compile", without_init)
    monkeypatch.setattr(Checkpoints, "restore", keep)
    resume(finished, kept=None)
    assert {type(leaf) for leaf in given} == {jax.ShapeDtypeStruct}


class WatchedProgram:
    """A program whose calls are those of a function."""

    def __init__(self, call, program):
        self._call, self._program = call, program

    def __call__(self, *arguments):
        return self._call(*arguments)

    def __getattr__(self, name):
        return getattr(self._program, name)


def test_all_that_processes_do_together_is_watched(tmp_path, monkeypatch):
    """From the restored checkpoint to the held-out loss: a step is no more likely to hang."""
    inside, called = [], set()

    @contextlib.contextmanager
    def timed():
        inside.append(True)
        yield
        inside.pop()

    def watched(name, function):
        def call(*arguments):
            assert inside, f"nobody watches {name}"
            called.add(name)
            return function(*arguments)

        return call

    compile_population = Population.compile

    def compile_watched(population, *arguments):
        compiled = compile_population(population, *arguments)
        programs = {
            name: WatchedProgram(watched(name, program.__call__), program)
            for name in ("run", "measure", "evaluate")
            for program in [getattr(compiled, name)]
        }
        return dataclasses.replace(compiled, **programs)

    monkeypatch.setattr("transfer.training.loop.collective_timeout", timed)
    monkeypatch.setattr(Population, "compile", compile_watched)
    for name in ("restore", "save"):
        monkeypatch.setattr(Checkpoints, name, watched(name, getattr(Checkpoints, name)))
    resume(tmp_path, kept=None)
    assert called == {"restore", "run", "measure", "save", "evaluate"}


def test_a_finished_run_is_measured_again_without_a_step(finished, uninterrupted):
    outcome, steps = resume(finished)

    assert steps == []
    require_same_bits(uninterrupted, outcome)


def test_a_run_killed_in_the_middle_ends_with_the_same_bits(tmp_path, uninterrupted):
    folder = tmp_path / "checkpoints"
    child = subprocess.Popen([sys.executable, "-m", killed.__name__, str(folder)], cwd=TESTS)
    try:
        while child.poll() is None and not _steps(folder):
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        status = child.wait()

    assert status == -signal.SIGKILL
    assert 0 < max(_steps(folder)) < STEPS
    outcome, steps = resume(folder, checkpoint_every=killed.CHECKPOINT_EVERY)
    assert steps[0] > killed.CHECKPOINT_EVERY
    require_same_bits(uninterrupted, outcome)


@pytest.mark.parametrize("looks", [1, 4])
def test_a_run_asked_to_stop_saves_and_goes_on_with_the_same_bits(tmp_path, uninterrupted, looks):
    asked = iter([False] * (looks - 1) + [True])
    with (
        refused(STEPS, error=TerminatedError) as error,
        Checkpoints(tmp_path) as checkpoints,
    ):
        train(checkpoints=checkpoints, asked_to_stop=lambda: next(asked))
    (stopped,) = _steps(tmp_path)
    assert 0 < stopped < STEPS
    assert f"after step {stopped} of" in str(error.value)

    outcome, steps = resume(tmp_path)
    assert steps[0] > stopped
    require_same_bits(uninterrupted, outcome)


def test_a_run_without_checkpoints_says_that_nothing_is_saved():
    with refused(error=TerminatedError):
        train(asked_to_stop=lambda: True)


def test_a_run_whose_end_nobody_reads_saves_it_only_when_asked_to_stop(tmp_path):
    with Checkpoints(tmp_path, final=False) as checkpoints:
        train(checkpoints=checkpoints)
    assert _steps(tmp_path) == []


def _steps(folder):
    return [int(each.name) for each in folder.glob("*") if each.name.isdigit()]


def test_the_last_two_checkpoints_are_kept(finished):
    assert sorted(_steps(finished)) == [16, 20]


def test_the_parameters_of_a_single_run_are_read_back(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        outcome = train([SETTINGS[1][:2]], checkpoints=checkpoints, checkpoint_every=8)
    parameters, multipliers = restore_parameters(tmp_path)

    for restored, trained in (
        (parameters, outcome.state.parameters),
        (multipliers, outcome.state.multipliers),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), restored, trained)
    assert multipliers["readout"]["multiplier"] == 1.0  # 2 times the 1/2 of muP at twice the base


@pytest.mark.parametrize("folder", ["missing", "."])
def test_parameters_of_a_run_without_checkpoints_are_refused(tmp_path, folder):
    with refused(tmp_path / folder):
        restore_parameters(tmp_path / folder)


def test_parameters_of_several_trials_are_refused(finished):
    with refused(finished, 3):
        restore_parameters(finished)
