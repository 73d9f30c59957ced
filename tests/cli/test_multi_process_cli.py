"""When a process of several listens to SIGTERM."""

import contextlib
import os
import signal

import pytest
from refusals import require_complaint

from transfer.cli import multi_process_cli
from transfer.cli.main import main
from transfer.distributed import job, supervisor, timeouts


@pytest.fixture
def outside(monkeypatch):
    """Signals that would end this process: SIGTERM outside of all that listens to it."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    monkeypatch.setattr(job, "described", lambda: True)
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_a_process_that_waits_for_others_to_come_but_not_for_them_to_leave(
    outside, monkeypatch
):
    ended = []

    @contextlib.contextmanager
    def join():
        os.kill(os.getpid(), signal.SIGTERM)
        ended.append(len(outside))
        yield
        os.kill(os.getpid(), signal.SIGTERM)
        ended.append(len(outside))

    monkeypatch.setattr(job, "join", join)
    with multi_process_cli.multi_process() as asked_to_stop:
        assert not asked_to_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked_to_stop()
    assert ended == [1, 1]


def test_a_process_whose_others_never_come_says_so_and_ends_as_one_that_is_alone(
    monkeypatch, capsys
):
    """Where JAX says it by an exception, and not by an abort."""
    import jax

    def nobody(*_, **__):
        raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: Barrier timed out\nat some place")

    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(supervisor, "is_supervised", lambda: True)
    monkeypatch.setattr(jax.distributed, "initialize", nobody)
    assert main(["transfer", "train"]) == timeouts.PEER_LOST
    _, said = capsys.readouterr()
    require_complaint(said, "DEADLINE_EXCEEDED")
