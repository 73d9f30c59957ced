"""Two processes never write into one run directory, and a dead one stops nobody."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from refusals import refused

from transfer.run_directory import LOCK, RunDirectory, lock

HOLDER = """
import sys, time
from transfer.run_directory import RunDirectory
with RunDirectory(sys.argv[1]).exclusive():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "deep" / "run")


@pytest.fixture
def holder(run):
    """Another process that holds the run directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_told_of_the_first_and_changes_nothing(run, holder):
    before = (run.path / LOCK).read_text()
    with refused(run, holder.pid, socket.gethostname(), recorded=False), run.exclusive():
        raise AssertionError("two at once")
    assert [file.name for file in run.path.iterdir()] == [LOCK]
    assert json.loads((run.path / LOCK).read_text())["token"] == json.loads(before)["token"]


def test_a_killed_writer_stops_nobody(run, holder, monkeypatch):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (run.path / LOCK).exists()
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for a sign of life"))
    with run.exclusive():
        assert json.loads((run.path / LOCK).read_text())["pid"] == os.getpid()
    assert not (run.path / LOCK).exists()


def test_one_process_is_one_writer_too(run):
    with run.exclusive():
        with refused(os.getpid(), recorded=False), run.exclusive():
            pass
        assert (run.path / LOCK).exists()
    with run.exclusive():
        pass


def test_reading_asks_for_no_lock(run, holder):
    assert run.trials() == []
    assert run.write_json("plan.json", {}).exists()


def test_what_was_made_for_nothing_is_removed_and_what_was_written_stays(run, tmp_path):
    with pytest.raises(ZeroDivisionError), run.exclusive():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with run.exclusive():
        run.write_json("config.json", {})
    assert [file.name for file in run.path.iterdir()] == ["config.json"]


def test_a_file_in_its_place_is_left_to_what_writes(tmp_path):
    (tmp_path / "notes").write_text("dear to someone")
    with RunDirectory(tmp_path / "notes").exclusive():
        pass
    assert (tmp_path / "notes").read_text() == "dear to someone"


@pytest.fixture
def elsewhere(run, monkeypatch):
    """A lock file that a process on another host has left or holds, on a disk that cannot tell."""
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lock, "DEAD_SECONDS", 1.0)
    monkeypatch.setattr(lock, "_SECONDS_TO_SETTLE", 0.0)
    run.path.mkdir(parents=True)
    owner = {"pid": 42, "host": "elsewhere", "token": "a", "count": 0}
    (run.path / LOCK).write_text(json.dumps(owner))
    return owner


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_writer_on_another_host_that_gives_no_sign_of_life_is_dead(
    run, elsewhere, has_locks, monkeypatch
):
    if not has_locks:
        monkeypatch.setattr(lock, "_flock", lambda file: None)
    with run.exclusive():
        assert json.loads((run.path / LOCK).read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_writer_on_another_host_that_lives_is_waited_for_by_nobody(
    run, elsewhere, has_locks, monkeypatch
):
    if not has_locks:
        monkeypatch.setattr(lock, "_flock", lambda file: None)
    ended = threading.Event()
    beating = threading.Thread(target=lock._count, args=(run.path / LOCK, elsewhere, ended))
    beating.start()
    try:
        with refused(42, "elsewhere"), run.exclusive():
            pass
    finally:
        ended.set()
        beating.join()


def test_without_locks_a_process_of_this_host_is_asked_for(run, elsewhere, monkeypatch):
    monkeypatch.setattr(lock, "_flock", lambda file: None)
    elsewhere["host"] = socket.gethostname()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (run.path / LOCK).write_text(json.dumps(elsewhere | {"pid": gone.pid}))
    with run.exclusive():
        pass
    run.path.mkdir(exist_ok=True)
    (run.path / LOCK).write_text(json.dumps(elsewhere | {"pid": os.getppid()}))
    with refused(os.getppid(), recorded=False), run.exclusive():
        pass
