"""Real processes over loopback: they train as one does, and none waits for one that is gone."""

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest

from transfer.distributed import timeouts
from transfer.run_directory import RunDirectory
from transfer.training import restore_parameters

from .jobs import COMMAND, STEPS, Jobs

# A first process whose storage is slow: the others are done long before the tables are there.
SLOW = """
import time
from transfer.run_directory import RunDirectory

add_group = RunDirectory.add_group

def slowly(*what):
    time.sleep(3)
    add_group(*what)

RunDirectory.add_group = slowly
"""
pytestmark = pytest.mark.multidevice
# A batch summed in parts rounds otherwise than one summed in a row, by about 1e-7 a step.
CLOSE = {"rtol": 1e-5}
# How long a test waits for what should take seconds, on a machine however busy.
LONG = 600


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    return Jobs(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def alone(jobs):
    jobs.finish("train", jobs.folder / "alone")
    return RunDirectory(jobs.folder / "alone")


@pytest.fixture(scope="module")
def said(jobs):
    """What each of two processes says, the first of which has slow storage."""
    slow = dataclasses.replace(jobs, command=SLOW + COMMAND)
    return slow.finish("train", jobs.folder / "two", 2)


@pytest.fixture(scope="module")
def two(jobs, said):
    return RunDirectory(jobs.folder / "two")


def columns(table):
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def require_close(one, other):
    """Hold all that two runs measured against each other, but for how and how fast."""
    for a, b in zip(one.trials(), other.trials(), strict=True):
        assert a.trial == b.trial
        np.testing.assert_allclose([a.loss, a.eval_loss], [b.loss, b.eval_loss], **CLOSE)
    a, b = columns(one.metrics()), columns(other.metrics())
    for name in ("trial", "step"):
        np.testing.assert_array_equal(a[name], b[name])
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(a[name], b[name], **CLOSE)
    values = (columns(each.spectrum())["singular_value"] for each in (one, other))
    np.testing.assert_allclose(*values, rtol=1e-4)  # the vectors are followed, not decomposed


def saved(run):
    folder = run.checkpoints
    return [int(each.name) for each in folder.glob("*") if each.name.isdigit()]


def wait_for_a_checkpoint_after(step, run, started):
    deadline = time.monotonic() + LONG
    while max(saved(run), default=0) <= step:
        assert all(each.poll() is None for each in started)
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def job(jobs, run, **environment):
    """A job of two processes that is in the middle of its training."""
    before = max(saved(run), default=0)
    started = jobs.start("train", run.path, 2, **environment)
    try:
        wait_for_a_checkpoint_after(before, run, started)
        yield started
    finally:
        for each in started:
            for number in whole(each) if each.poll() is None else ():
                os.kill(number, signal.SIGKILL)
            each.communicate()
    assert max(saved(run)) < STEPS


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.full)])
def test_processes_that_share_a_batch_have_the_losses_of_one(jobs, alone, two, processes):
    run = two
    if processes == 4:
        run = RunDirectory(jobs.folder / "four")
        jobs.finish("train", run.path, 4)
    require_close(run, alone)
    assert run.trials()[0].execution == f"in_turn, 1 trial x {processes} data"
    # What several wrote, one reads.
    restore_parameters(run.checkpoints)


def test_processes_read_no_table_before_the_first_has_written_it(said):
    first, second = said
    # The first speaks for all.
    assert "Held-out loss" in first
    assert "Held-out" not in second


def test_processes_that_share_the_trials_of_a_sweep_have_the_tables_of_one(jobs):
    one, both = (RunDirectory(jobs.folder / name) for name in ("one_sweep", "shared_sweep"))
    jobs.finish("sweep", one.path)
    jobs.finish("sweep", both.path, 2)

    require_close(one, both)
    assert {each.execution for each in both.trials()} == {"in_turn, 2 trial x 1 data"}
    assert list(both.checkpoints.iterdir()) == []  # the tables have it all


def test_a_job_that_loses_a_process_ends_and_goes_on_with_the_losses_of_one_that_did_not(
    jobs, alone, two, pytestconfig
):
    """As many processes go on with it, and so does one."""
    run = RunDirectory(jobs.folder / "killed")

    # One that only takes part; the first, whom JAX ends the others for; one that is frozen, which
    # its silence tells.
    losses = [(1, signal.SIGKILL, 100), (0, signal.SIGKILL, 100), (1, signal.SIGSTOP, 10)]
    for victim, number, bound in losses if pytestconfig.getoption("full") else losses[:1]:
        with job(jobs, run, TRANSFER_PEER_TIMEOUT=str(bound)) as started:
            ids = [started[victim].pid]
            if number == signal.SIGSTOP:
                ids = whole(started[victim])  # as a machine that freezes stops them all
            for each in ids:
                os.kill(each, number)
            left = started[1 - victim]
            _, error = left.communicate(timeout=bound + LONG)
            assert left.returncode == timeouts.PEER_LOST
            one = r"transfer( train)?: another process of the job is gone.* last checkpoint\.\n"
            assert re.fullmatch(one, error), error

    # A process that is taken away tells the others: all save the same step.
    with job(jobs, run) as started:
        started[1].send_signal(signal.SIGTERM)
        errors = [each.communicate(timeout=LONG)[1] for each in started]
        assert [each.returncode for each in started] == [75, 75]
        (step,) = re.findall(r"asked to stop after step (\d+) of", errors[0])
        assert (len(errors[0].splitlines()), errors[1]) == (1, "")
        assert max(saved(run)) == int(step)

    fewer = RunDirectory(shutil.copytree(run.path, jobs.folder / "fewer"))
    jobs.finish("train", run.path, 2)
    require_close(run, two)
    # As many processes, as many sums: the same to the last bit.
    for table in ("metrics", "spectrum", "gains"):
        one, other = (columns(getattr(each, table)()) for each in (run, two))
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])

    jobs.finish("train", fewer.path)
    require_close(fewer, alone)


def whole(process):
    """The ids of a process of a job: of the one that was started and of its child."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [process.pid, *map(int, file.read().split())]
